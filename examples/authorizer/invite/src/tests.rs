use serde_json::json;
use tollgate_plugin::{Result, Verdict, testing};

use super::Invite;

/// `printf %s alice.garden | openssl dgst -sha256 -hmac only-for-this-demo`
const ALICE: &str = "alice.garden.78d4d61e9516da3b3dd35e3fcf92cd9d30dde066f6d92d73b3e77c782f425445";

fn plugin(key: &str) -> Result<Invite> {
    testing::secret("INVITE_KEY", key);
    testing::configure(json!({ "secret": "INVITE_KEY", "remember": 60 }))
}

/// Name, table and seconds remembered; or the status and seconds of a refusal.
fn answer(invite: &str, table: &str) -> Result<(String, String, u64), (u16, u64)> {
    let request = testing::request("GET", "/")
        .header("x-invite", invite)
        .path_parameter("table", table)
        .build();
    let plugin = plugin("only-for-this-demo").unwrap();
    let decision = testing::authorize(&plugin, &request).unwrap();
    let remembered = decision.remember.map_or(0, |time| time.as_secs());
    match decision.verdict {
        Verdict::Allow(grant) => {
            let [(name, table)] = &grant.claims[..] else {
                panic!("{grant:?}");
            };
            assert_eq!(name, "table");
            let table = table.as_str().unwrap_or_default().to_owned();
            Ok((grant.principal, table, remembered))
        }
        Verdict::Deny(reply) => Err((reply.status, remembered)),
    }
}

#[test]
fn a_sealed_invite_opens_its_table() {
    let alice = ("alice".to_owned(), "garden".to_owned(), 60);
    assert_eq!(answer(ALICE, "garden"), Ok(alice));
    assert_eq!(answer(ALICE, "cellar"), Err((403, 60)));
}

#[test]
fn nothing_else_does() {
    let other = ALICE.replace("alice", "bob");
    let cut = &ALICE[..ALICE.len() - 1];
    for invite in [
        "",
        ".",
        "..",
        "alice",
        "alice.garden",
        "alice.garden.",
        &other,
        cut,
    ] {
        assert_eq!(answer(invite, "garden"), Err((401, 0)), "{invite}");
    }
}

#[test]
fn a_key_that_can_be_guessed_is_refused() {
    assert!(plugin("short").is_err());
}
