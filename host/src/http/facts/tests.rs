//! Each getter against requests that differ in one thing.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;
use crate::http::body::{Content, RequestBody};
use crate::http::target::Target;

/// A GET of this target with these header lines.
pub fn exchange(target: &str, lines: &[(&'static str, &str)]) -> Exchange {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    Exchange {
        id: "id".into(),
        scheme: "http",
        client: Some(IpAddr::from([192, 0, 2, 1])),
        route: Arc::from("route"),
        variables: Arc::default(),
        parameters: Vec::new(),
        preflight: None,
        request: RequestHead {
            method: Method::GET,
            target: Target::of_request(&target.parse().unwrap()).unwrap(),
            headers,
            asked: None,
        },
        passes: 1,
        written: Vec::new(),
        request_body: RequestBody::whole(Bytes::new()),
        response: None,
        response_body: Content::default(),
        caller: None,
        attributes: Attributes::default(),
    }
}

fn value(exchange: &Exchange, fact: &Fact) -> Vec<u8> {
    let mut bytes = Vec::new();
    Facts::of(exchange).feed(fact, "own", |piece| bytes.extend_from_slice(piece));
    bytes
}

/// Every fact, once.
fn all() -> Vec<Fact> {
    let name = || "n".to_owned();
    vec![
        Fact::Method,
        Fact::Scheme,
        Fact::Authority,
        Fact::Path,
        Fact::Query,
        Fact::QueryParameter(name()),
        Fact::PathParameter(name()),
        Fact::Header(name()),
        Fact::HeaderValues(name()),
        Fact::HeaderNames,
        Fact::Headers,
        Fact::ClientAddress,
        Fact::ClientCertificate,
        Fact::RouteName,
        Fact::Variable(name()),
        Fact::Principal,
        Fact::UsageKey,
        Fact::Claim(name()),
        Fact::Attribute {
            plugin: "p".to_owned(),
            name: name(),
        },
        Fact::OwnAttribute(name()),
    ]
}

/// The facts of [`all`] that differ between two requests.
fn differing(one: &Exchange, other: &Exchange) -> Vec<Fact> {
    let differs = |fact: &Fact| value(one, fact) != value(other, fact);
    all().into_iter().filter(differs).collect()
}

#[test]
fn every_change_is_seen_by_its_facts_alone() {
    let name = || "n".to_owned();
    let check = |change: &dyn Fn(&mut Exchange), facts: &[Fact]| {
        let mut changed = exchange("/a?n=1", &[("host", "h"), ("n", "1")]);
        change(&mut changed);
        let plain = exchange("/a?n=1", &[("host", "h"), ("n", "1")]);
        assert_eq!(differing(&plain, &changed), facts);
    };
    check(&|_| {}, &[]);
    check(&|e| e.id = "other".into(), &[]);
    check(&|e| e.request.method = http::Method::PUT, &[Fact::Method]);
    check(&|e| e.scheme = "https", &[Fact::Scheme]);
    check(
        &|e| e.client = "2001:db8::1".parse().ok(),
        &[Fact::ClientAddress],
    );
    check(&|e| e.route = Arc::from("r"), &[Fact::RouteName]);
    check(
        &|e| e.request.target = Target::new("/b", Some("n=1")).unwrap(),
        &[Fact::Path],
    );
    check(
        &|e| e.request.target = Target::new("/a", Some("n=1&m")).unwrap(),
        &[Fact::Query],
    );
    check(
        &|e| e.request.target = Target::new("/a", Some("n=2")).unwrap(),
        &[Fact::Query, Fact::QueryParameter(name())],
    );
    check(
        &|e| e.parameters.push(("n".into(), "1".into())),
        &[Fact::PathParameter(name())],
    );
    check(
        &|e| e.variables = Arc::new(BTreeMap::from([(name(), String::new())])),
        &[Fact::Variable(name())],
    );
    check(
        &|e| {
            let grant = e.caller.get_or_insert_default();
            grant.usage_key = Some(String::new());
            grant.claims.push((name(), "1".into()));
        },
        &[Fact::Principal, Fact::UsageKey, Fact::Claim(name())],
    );
    check(
        &|e| {
            let (plugin, policy) = (Arc::from("p"), Arc::from("own"));
            e.attributes.set(&plugin, &policy, "n", "").unwrap();
        },
        &[
            Fact::Attribute {
                plugin: "p".into(),
                name: name(),
            },
            Fact::OwnAttribute(name()),
        ],
    );
    check(
        &|e| {
            e.request.headers.append("n", "2".parse().unwrap());
        },
        &[Fact::HeaderValues(name()), Fact::Headers],
    );
    check(
        &|e| {
            e.request.headers.insert("m", "".parse().unwrap());
        },
        &[Fact::HeaderNames, Fact::Headers],
    );
    check(
        &|e| {
            e.request.headers.insert("host", "g".parse().unwrap());
        },
        &[Fact::Authority, Fact::Headers],
    );
    check(&|e| e.request.asked = "g".parse().ok(), &[Fact::Authority]);
    check(&|e| e.client = None, &[Fact::ClientAddress]);
}

#[test]
fn values_are_told_apart_where_their_bytes_run_together() {
    let lines: [&[(&str, &str)]; 6] = [
        &[],
        &[("n", "")],
        &[("n", ""), ("n", "")],
        &[("n", "ab"), ("n", "c")],
        &[("n", "a"), ("n", "bc")],
        &[("n", "abc")],
    ];
    let values = lines.map(|lines| {
        let exchange = exchange("/", lines);
        value(&exchange, &Fact::HeaderValues("n".into()))
    });
    for (index, value) in values.iter().enumerate() {
        let same = values.iter().filter(|other| *other == value).count();
        assert_eq!(same, 1, "{index}");
        // None is a prefix of another, so that what follows it cannot be mistaken.
        let begun = values.iter().filter(|other| other.starts_with(value));
        assert_eq!(begun.count(), 1, "{index}");
    }
}

#[test]
fn answers_are_as_the_contract_has_them() {
    let exchange = exchange(
        "/a%20b?q=1+2&q=3&e",
        &[("x", "1"), ("host", "h:1"), ("x", "2")],
    );
    let facts = Facts::of(&exchange);
    assert_eq!(facts.path(), "/a%20b");
    assert_eq!(facts.query(), Some("q=1+2&q=3&e"));
    assert_eq!(facts.query_parameter("q").as_deref(), Some("1 2"));
    assert_eq!(facts.query_parameter("e").as_deref(), Some(""));
    assert_eq!(facts.query_parameter("f"), None);
    assert_eq!(facts.header("X"), Some(&b"1"[..]));
    assert_eq!(facts.header("no name"), None);
    assert!(facts.header_values("x").eq([&b"1"[..], b"2"]));
    assert_eq!(facts.header_names().count(), 2);
    assert_eq!(facts.headers().count(), 3);
    assert_eq!(facts.authority(), "h:1");
    assert_eq!(facts.client_address(), "192.0.2.1");
    assert_eq!(facts.principal(), None);
}
