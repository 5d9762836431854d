use tollgate_plugin::{Authorizer, Decision, Plugin, Reply, Request, Result, export};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TenantGuard {
    /// The tenants there are.
    tenants: Vec<String>,
}

impl Plugin for TenantGuard {
    type Config = Self;
    fn configure(config: Self) -> Result<Self> {
        Ok(config)
    }
}

impl Authorizer for TenantGuard {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        let refuse = |status, why| Ok(Decision::deny(Reply::problem(status, why)));
        match request.header_text("x-tenant") {
            Some(tenant) if !self.tenants.contains(&tenant) => refuse(401, "no such tenant"),
            Some(tenant) if request.path_parameter("tenant").as_ref() == Some(&tenant) => {
                Ok(Decision::allow(tenant))
            }
            Some(_) => refuse(403, "this belongs to another tenant"),
            None => refuse(401, "say who you are in `x-tenant`"),
        }
    }
}

export!(TenantGuard: Authorizer);

#[cfg(test)]
mod tests {
    use tollgate_plugin::{Authorizer, Verdict, testing};

    use super::TenantGuard;

    /// The principal, or the status of the refusal.
    fn answer(header: Option<&str>, path: &str) -> Result<String, u16> {
        let config = serde_json::json!({ "tenants": ["acme", "globex"] });
        let plugin = testing::configure::<TenantGuard>(config).unwrap();
        let request = testing::request("GET", "/").path_parameter("tenant", path);
        let request = header.into_iter().fold(request, |request, tenant| {
            request.header("x-tenant", tenant)
        });
        match plugin.authorize(&request.build()).unwrap().verdict {
            Verdict::Allow(grant) => Ok(grant.principal),
            Verdict::Deny(reply) => Err(reply.status),
        }
    }

    #[test]
    fn a_tenant_reaches_its_own_paths_only() {
        assert_eq!(answer(Some("acme"), "acme"), Ok("acme".to_owned()));
        assert_eq!(answer(Some("globex"), "acme"), Err(403));
        assert_eq!(answer(Some("initech"), "initech"), Err(401));
        assert_eq!(answer(None, "acme"), Err(401));
    }
}
