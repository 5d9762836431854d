//! Chains, what they inherit, and for which requests an entry is.

use std::fmt::Write as _;

use http::Method;

use super::*;
use crate::route::{FieldTest, HostPattern, Wanted};

fn entries(config: &Config, route: &str) -> Vec<String> {
    let route = config.routes.iter().find(|one| one.name == route).unwrap();
    route.chain.iter().map(|link| link.entry.clone()).collect()
}

#[test]
fn inherits() {
    let config = good();
    assert_eq!(
        entries(&config, "z"),
        ["gateway:geo", "route z:geo", "route z:partner-key"]
    );
    assert_eq!(entries(&config, "a"), ["gateway:geo"]);
    assert_eq!(
        entries(&config, "store-pet"),
        [
            "gateway:geo",
            "api store:partner-key",
            "api store:geo",
            "route store-pet:geo",
            "route store-pet:partner-key",
            "route store-pet:geo#2",
        ]
    );
    assert!(entries(&config, "store").is_empty());
    let [z, a, pet, store] = &config.routes[..] else {
        panic!()
    };
    assert!(Arc::ptr_eq(&z.chain[0], &pet.chain[0]));
    let policies: Vec<_> = z.chain.iter().map(|link| link.policy.as_str()).collect();
    assert_eq!(policies, ["geo", "geo", "partner-key"]);

    let variables = |route: &Route| {
        let mut text = String::new();
        for (name, value) in route.variables.iter() {
            write!(text, "{name}={value} ").unwrap();
        }
        text
    };
    assert_eq!(variables(a), "region=eu tier=free ");
    assert_eq!(variables(pet), "pet= region=eu tier=platinum ");
    // A reset is of the chain alone.
    assert_eq!(variables(store), "region=eu tier=gold ");
}

#[test]
fn reads_predicates() {
    let config = good();
    let chain = &config.routes[0].chain;
    assert!(chain[1].when.is_none());
    let when = chain[0].when.as_ref().unwrap();
    assert_eq!(when.methods, [Method::GET]);
    assert_eq!(when.hosts, [HostPattern::Wildcard("example.com".into())]);
    assert_eq!(when.path.as_ref().unwrap().as_str(), "/store/{any+}");
    let test = |name: &str, wanted| FieldTest {
        name: name.to_owned(),
        wanted,
    };
    let headers = [
        test("x-debug", Wanted::Equals("1".to_owned())),
        test("x-beta", Wanted::Present),
        test("x-old", Wanted::Absent),
    ];
    assert_eq!(when.headers, headers);
    assert_eq!(when.query, [test("a b", Wanted::Equals("c d".to_owned()))]);
}

#[test]
fn refuses_predicates() {
    let when = |when: &str, wanted: &str| {
        let chain = format!("chain = [{{ policy = \"p\", when = {when} }}]\nupstream =");
        replaced("upstream =", &chain, wanted);
    };
    when(
        "{}",
        "`routes.r.chain[0].when` is empty; without `when` the entry is for all requests",
    );
    when(
        "\"GET /\"",
        "`routes.r.chain[0].when` must be a table such as",
    );
    when("{ method = [\"GET\"] }", "did you mean `methods`?");
    when(
        "{ methods = [] }",
        "`routes.r.chain[0].when.methods` is empty; to accept any, leave it",
    );
    when(
        "{ methods = \"GET\" }",
        "must be an array such as [\"GET\"]",
    );
    when(
        "{ methods = [\"get\"] }",
        "`get` is not a method; methods are written in capitals: GET",
    );
    when(
        "{ methods = [\"G T\"] }",
        "`G T` is not a method; a method is a word such as GET",
    );
    when("{ hosts = [\"a b\"] }", "`a b`: is not a host");
    when("{ path = \"a\" }", "the path `a` must begin with a slash");
    when(
        "{ headers = {} }",
        "`routes.r.chain[0].when.headers` is empty",
    );
    when(
        "{ headers = [] }",
        "must be a table such as { a = \"1\", b = true, c = false }, not an",
    );
    when(
        "{ headers = { a = 1 } }",
        "must be a string to equal, true (present) or false (absent)",
    );
    when(
        "{ headers = { \"a b\" = true } }",
        "`a b` is not the name of a header",
    );
    when(
        "{ headers = { a = true, A = false } }",
        "`A` is given twice",
    );
    when(
        "{ headers = { TE = false } }",
        "`TE` belongs to the connection and is never seen",
    );
    when(
        "{ headers = { a = \" b\" } }",
        "`a` is compared with a value that no header can have",
    );
    when(
        "{ headers = { a = \"b\\n\" } }",
        "`a` is compared with a value that no header can have",
    );
    when("{ query = {} }", "`routes.r.chain[0].when.query` is empty");
    when(
        "{ query = { a = [\"b\"] } }",
        "must be a string to equal, true (present)",
    );
    let many: String = (0..33).fold(String::new(), |text, index| {
        format!("{text}k{index} = true, ")
    });
    when(
        &format!("{{ query = {{ {many} }} }}"),
        "when.query` has more than 32 query",
    );
}

#[test]
fn references() {
    replaced(
        "upstream =",
        "chain = [\"nothing\"]\nupstream =",
        "there is no policy `nothing`; known policies: `p`",
    );
    for chain in [
        "[\"q\"]",
        "[{ policy = \"q\", when = { methods = [\"GET\"] } }]",
    ] {
        let wanted = "there is no policy `q`; did you mean `p`?";
        added(&format!("gateway.chain = {chain}"), wanted);
        added(&format!("apis.a.chain = {chain}"), wanted);
    }
    added(
        "gateway.chain = [7]",
        "must be the name of a policy or { policy = \"name\" }, not an",
    );
    added("gateway.chain = [{}]", "`gateway.chain[0]` has no `policy`");
    added(
        "gateway.chian = []",
        "unknown key `gateway.chian`; did you mean `chain`?",
    );
    added(
        "gateway = []",
        "`gateway` must be a table such as [gateway]",
    );
    replaced(
        "upstream =",
        "chain-reset = 1\nupstream =",
        "must be true or false",
    );
}

#[test]
fn variables() {
    added(
        "gateway.variables = []",
        "must be a table such as { tier = \"gold\" }, not an array",
    );
    added(
        "gateway.variables.a = 1",
        "`gateway.variables.a` must be a string such as \"gold\"",
    );
    added("apis.a.variables.\"a b\" = \"\"", "`a b` cannot be a name");
    let many = |from: usize, to: usize| {
        let one = |index| format!("v{index} = \"\"");
        format!(
            "{{ {} }}",
            (from..to).map(one).collect::<Vec<_>>().join(", ")
        )
    };
    let long = "x".repeat(8 << 10);
    added(
        &format!("gateway.variables.a = \"{long}\""),
        "`gateway.variables` makes more than 64 variables or 8192 bytes of them",
    );
    // Those inherited count too.
    let text = format!(
        "gateway.variables = {}\napis.a.variables = {}\n{LEAST}",
        many(0, 60),
        many(50, 64)
    );
    assert!(read(&text).is_ok());
    let text = format!(
        "gateway.variables = {}\napis.a.variables = {}\n{LEAST}",
        many(0, 60),
        many(60, 65)
    );
    refused(&text, &["`apis.a.variables` makes more than 64 variables"]);
}

#[test]
fn bounds() {
    let long = format!("chain = [{}]\nupstream =", "\"p\",".repeat(33));
    replaced(
        "upstream =",
        &long,
        "`routes.r.chain` has more than 32 policies",
    );
    let text = |gateway, api, route, reset| {
        let chain = |count| format!("[{}]", "\"p\",".repeat(count));
        let (gateway, api, route) = (chain(gateway), chain(api), chain(route));
        let own = format!("api = \"a\"\nchain = {route}\nchain-reset = {reset}\nupstream =");
        let least = LEAST.replace("upstream =", &own);
        format!("gateway.chain = {gateway}\napis.a.chain = {api}\n{least}")
    };
    let config = read(&text(10, 10, 12, false)).unwrap_or_else(|problems| panic!("{problems}"));
    let entries = entries(&config, "r");
    assert_eq!(entries.len(), 32);
    assert_eq!(entries[9], "gateway:p#10");
    assert_eq!(entries[10], "api a:p");
    let unique: std::collections::BTreeSet<_> = entries.iter().collect();
    assert_eq!(unique.len(), 32);
    assert!(read(&text(30, 30, 32, true)).is_ok());
    let wanted =
        "the chain of `routes.r` has 33 policies with those that it inherits, more than 32";
    refused(&text(10, 10, 13, false), &[wanted]);
    refused(
        &text(33, 0, 32, false),
        &["`gateway.chain` has more than 32 policies"],
    );
}
