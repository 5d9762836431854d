//! How much a request takes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tollgate_plugin::{Request, Result};

/// A number, or what it depends on.
#[derive(serde::Deserialize)]
#[serde(
    untagged,
    expecting = "`cost` is a whole number, or a table with `variable`, `methods` and `default`"
)]
pub enum Cost {
    Fixed(u64),
    By(CostBy),
}

/// Of alternatives a schema's error says no more than that none fits; the text above says which there
/// are.
impl schemars::JsonSchema for Cost {
    fn schema_name() -> Cow<'static, str> {
        "Cost".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["integer", "object"], "minimum": 0 })
    }
}

/// The first that is there holds: the variable, the method, the default.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostBy {
    /// A variable of the route or its API that says it.
    variable: Option<String>,
    /// What requests of some methods cost.
    #[serde(default)]
    methods: BTreeMap<String, u64>,
    /// What all others cost.
    #[serde(default = "one")]
    default: u64,
}

fn one() -> u64 {
    1
}

impl Default for Cost {
    fn default() -> Self {
        Cost::Fixed(1)
    }
}

impl Cost {
    pub fn check(&self) -> Result<(), String> {
        let Cost::By(by) = self else { return Ok(()) };
        if by.variable.as_deref() == Some("") {
            return Err("`cost.variable` is empty".into());
        }
        // Methods are compared with their case, and one that no client sends is a mistake.
        let is_method = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
        };
        match by.methods.keys().find(|name| !is_method(name)) {
            Some(name) => Err(format!(
                "`cost.methods`: {name:?} is no method; they have capital letters"
            )),
            None => Ok(()),
        }
    }

    /// The most that the configuration itself says.
    pub fn most(&self) -> u64 {
        match self {
            Cost::Fixed(cost) => *cost,
            Cost::By(by) => by
                .methods
                .values()
                .fold(by.default, |most, cost| most.max(*cost)),
        }
    }

    pub fn of(&self, request: &Request) -> Result<u64> {
        let by = match self {
            Cost::Fixed(cost) => return Ok(*cost),
            Cost::By(by) => by,
        };
        if let Some(name) = &by.variable
            && let Some(text) = request.variable(name)
        {
            return text.parse().map_err(|_| {
                format!("`cost`: the variable `{name}` is {text:?}, not a whole number").into()
            });
        }
        if by.methods.is_empty() {
            return Ok(by.default);
        }
        Ok(*by.methods.get(&request.method()).unwrap_or(&by.default))
    }
}
