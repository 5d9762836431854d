//! What is made of documents.

use super::*;

#[test]
fn what_is_not_touched_stays_as_it_was_written() {
    let body = r#"{ "z": 1.0, "a": 12345678901234567890.1234567890, "e": 1E400, "s": "\u00e4\ud800\/",
        "o": {"y" : [ 1 , 2 ], "x": null}, "gone": 1, "i": -0 }"#;
    let expected = r#"{"z":1.0,"a":12345678901234567890.1234567890,"e":1E400,"s":"\u00e4\ud800\/","o":{"y" : [ 1 , 2 ], "x": null},"i":-0}"#;
    assert_eq!(edited(json!({ "remove": ["gone"] }), body), expected);
    // Not even white space, where nothing is changed.
    for changes in [
        json!({ "remove": ["other", "a.b", "o.z", "o.y[7]", "o.y[*].z", "z[0]"] }),
        json!({ "rename": { "other": "a", "o.z": "x", "o.y[*].z": "x" } }),
        json!({ "add": { "z": 2, "o.x": 2, "o.y": 1 } }),
        json!({ "keep": ["*"] }),
        json!({ "keep": ["z", "a", "e", "s", "o", "gone", "i"] }),
        json!({ "set": { "o.y[5]": 1, "o.x[*].z": 1, "none[*].z": 1, "o.absent.none[*]": 1 } }),
    ] {
        if changes.get("set").is_none() {
            assert_eq!(edited(changes, body), body);
        }
    }
    let body = r#"{"o": {"y" : [ 1 ]}}"#;
    let set = json!({ "set": { "o.y[5]": 1, "none[*].z": 1, "o.none.z[*]": 1 } });
    assert_eq!(edited(set, body), body);
}

#[test]
fn removing() {
    let body =
        r#"{"a":{"b":1,"c.d":2,"e~/f":3},"items":[{"id":1,"s":1},{"id":2},3,[{"s":4}]],"0":5}"#;
    for (paths, expected) in [
        (
            json!(["a"]),
            r#"{"items":[{"id":1,"s":1},{"id":2},3,[{"s":4}]],"0":5}"#,
        ),
        (json!(["a.b", "items"]), r#"{"a":{"c.d":2,"e~/f":3},"0":5}"#),
        (
            json!(["a[\"c.d\"]", "items"]),
            r#"{"a":{"b":1,"e~/f":3},"0":5}"#,
        ),
        (
            json!(["/a/c.d", "/a/e~0~1f", "/items"]),
            r#"{"a":{"b":1},"0":5}"#,
        ),
        (json!(["a.*", "items"]), r#"{"a":{},"0":5}"#),
        (
            json!(["a", "items[*].s"]),
            r#"{"items":[{"id":1},{"id":2},3,[{"s":4}]],"0":5}"#,
        ),
        (
            json!(["a", "items[*][*].s"]),
            r#"{"items":[{"id":1,"s":1},{"id":2},3,[{}]],"0":5}"#,
        ),
        (
            json!(["a", "items[0]"]),
            r#"{"items":[{"id":2},3,[{"s":4}]],"0":5}"#,
        ),
        (json!(["a", "items[*]"]), r#"{"items":[],"0":5}"#),
        (
            json!(["a", "/items/0", "/0"]),
            r#"{"items":[{"id":2},3,[{"s":4}]]}"#,
        ),
        (
            json!(["a", "items.*"]),
            r#"{"items":[{"id":1,"s":1},{"id":2},3,[{"s":4}]],"0":5}"#,
        ),
        (json!(["a", "items", "*[0]"]), r#"{"0":5}"#),
        (json!(["*"]), "{}"),
    ] {
        assert_eq!(
            edited(json!({ "remove": paths }), body),
            expected,
            "{paths}"
        );
    }
    let changes = json!({ "remove": ["[*].s", "[0].t"] });
    assert_eq!(
        edited(changes, r#"[{"s":1,"t":1},{"s":2,"t":2}]"#),
        r#"[{},{"t":2}]"#
    );
    // A name that is there twice, or is written with an escape, is the same name.
    let twice = r#"{"s":1,"a":2,"\u0073":3,"s":4}"#;
    assert_eq!(edited(json!({ "remove": ["s"] }), twice), r#"{"a":2}"#);
}

#[test]
fn keeping() {
    let body = r#"{"id":1,"secret":2,"user":{"name":"a","mail":"b"},"items":[{"sku":1,"cost":2},{"cost":3},4]}"#;
    for (paths, expected) in [
        (json!(["id"]), r#"{"id":1}"#),
        (json!(["id", "none"]), r#"{"id":1}"#),
        (json!(["none"]), "{}"),
        (
            json!(["user.name", "id"]),
            r#"{"id":1,"user":{"name":"a"}}"#,
        ),
        (
            json!(["user", "user.name"]),
            r#"{"user":{"name":"a","mail":"b"}}"#,
        ),
        (
            json!(["user.name", "/user"]),
            r#"{"user":{"name":"a","mail":"b"}}"#,
        ),
        (json!(["*.name"]), r#"{"user":{"name":"a"}}"#),
        (
            json!(["*.name", "user.mail"]),
            r#"{"user":{"name":"a","mail":"b"}}"#,
        ),
        (json!(["items[*].sku"]), r#"{"items":[{"sku":1},{}]}"#),
        (
            json!(["items[1]", "items[0].sku"]),
            r#"{"items":[{"sku":1},{"cost":3}]}"#,
        ),
        (json!(["/items/2"]), r#"{"items":[4]}"#),
        // Of another kind than the path speaks of.
        (json!(["id.x", "user[*]", "items.sku"]), "{}"),
        (json!(["[*]"]), "null"),
    ] {
        assert_eq!(edited(json!({ "keep": paths }), body), expected, "{paths}");
    }
    let keep = || json!({ "keep": ["id"] });
    assert_eq!(edited(keep(), "[1,2]"), "null");
    assert_eq!(edited(keep(), "\"secret\""), "null");
    assert_eq!(
        edited(keep(), r#"{"id":1,"id":2,"x":3}"#),
        r#"{"id":1,"id":2}"#
    );
}

#[test]
fn renaming() {
    for (names, body, expected) in [
        (
            json!({ "a": "b" }),
            r#"{"x":1,"a":2,"y":3}"#,
            r#"{"x":1,"b":2,"y":3}"#,
        ),
        (json!({ "a": "b" }), r#"{"b":1,"a":2}"#, r#"{"b":2}"#),
        (json!({ "a": "b" }), r#"{"b":1}"#, r#"{"b":1}"#),
        (
            json!({ "a": "b", "b": "a" }),
            r#"{"a":1,"b":2}"#,
            r#"{"b":1,"a":2}"#,
        ),
        (
            json!({ "a": "b", "b": "c" }),
            r#"{"a":1,"b":2,"c":3}"#,
            r#"{"b":1,"c":2}"#,
        ),
        (json!({ "a": "b" }), r#"{"a":1,"a":2}"#, r#"{"b":1,"b":2}"#),
        (json!({ "/a": "x.y\"" }), r#"{"a":1}"#, r#"{"x.y\"":1}"#),
        (
            json!({ "list[*].a.b": "c" }),
            r#"{"list":[{"a":{"b":1}},{"a":[]},2]}"#,
            r#"{"list":[{"a":{"c":1}},{"a":[]},2]}"#,
        ),
    ] {
        assert_eq!(
            edited(json!({ "rename": names }), body),
            expected,
            "{names}"
        );
    }
}

#[test]
fn setting_and_adding() {
    for (set, body, expected) in [
        (json!({ "a": 1 }), "{}", r#"{"a":1}"#),
        (json!({ "a": 1 }), "null", r#"{"a":1}"#),
        (
            json!({ "a": [true, null, "x"] }),
            r#"{"b":2}"#,
            r#"{"b":2,"a":[true,null,"x"]}"#,
        ),
        (
            json!({ "a": 1 }),
            r#"{"a":{"x":1},"b":2}"#,
            r#"{"a":1,"b":2}"#,
        ),
        // Two readers might see two values.
        (
            json!({ "a": 1 }),
            r#"{"a":2,"b":3,"\u0061":4}"#,
            r#"{"a":1,"b":3}"#,
        ),
        (json!({ "a.b.c": 1 }), "{}", r#"{"a":{"b":{"c":1}}}"#),
        (
            json!({ "a.b.c": 1 }),
            r#"{"a":null}"#,
            r#"{"a":{"b":{"c":1}}}"#,
        ),
        (
            json!({ "a.b": 1, "a.c": 2 }),
            r#"{"a":{"x":0}}"#,
            r#"{"a":{"x":0,"b":1,"c":2}}"#,
        ),
        (
            json!({ "/a/0/x": 1 }),
            r#"{"a":[{},{}]}"#,
            r#"{"a":[{"x":1},{}]}"#,
        ),
        (json!({ "/a/0/x": 1 }), "{}", r#"{"a":{"0":{"x":1}}}"#),
        (
            json!({ "a[*].x": 1 }),
            r#"{"a":[{},{"x":0}]}"#,
            r#"{"a":[{"x":1},{"x":1}]}"#,
        ),
        (json!({ "a[*]": 1 }), r#"{"a":[{},2]}"#, r#"{"a":[1,1]}"#),
        (
            json!({ "a.*": 1 }),
            r#"{"a":{"x":{},"y":2}}"#,
            r#"{"a":{"x":1,"y":1}}"#,
        ),
        (json!({ "a[1]": 1 }), r#"{"a":[0,0]}"#, r#"{"a":[0,1]}"#),
        (json!({ "[0].a": 1 }), "[{}]", r#"[{"a":1}]"#),
    ] {
        assert_eq!(edited(json!({ "set": set }), body), expected, "{set}");
    }
    for (add, body, expected) in [
        (json!({ "a": 1 }), "{}", r#"{"a":1}"#),
        (json!({ "a": 1 }), r#"{"a":null}"#, r#"{"a":null}"#),
        (json!({ "a.b": 1 }), r#"{"a":{}}"#, r#"{"a":{"b":1}}"#),
        (json!({ "a.b": 1 }), r#"{"a":7}"#, r#"{"a":7}"#),
        (
            json!({ "a[*].x": 1 }),
            r#"{"a":[{},{"x":0},3]}"#,
            r#"{"a":[{"x":1},{"x":0},3]}"#,
        ),
        (json!({ "a[0]": 1 }), r#"{"a":[2]}"#, r#"{"a":[2]}"#),
    ] {
        assert_eq!(edited(json!({ "add": add }), body), expected, "{add}");
    }
}

/// It is no part of the document (RFC 8259, section 8.1), and whoever reads it is used to it.
#[test]
fn a_byte_order_mark_is_kept() {
    let remove = || json!({ "remove": ["secret"] });
    let body = "\u{feff}{\"a\":1,\"secret\":2}";
    assert_eq!(edited(remove(), body), "\u{feff}{\"a\":1}");
    let unchanged = "\u{feff}{ \"a\" : 1 }";
    assert_eq!(edited(remove(), unchanged), unchanged);
}

#[test]
fn the_order_is_keep_remove_rename_add_set() {
    let changes = json!({
        "set": { "b": "set" },
        "add": { "c": "added", "d": "added", "old": "added" },
        "rename": { "old": "c" },
        "remove": ["a.y"],
        "keep": ["a", "b", "old"],
    });
    let body = r#"{"a":{"x":1,"y":2},"b":3,"old":4,"other":5}"#;
    let expected = r#"{"a":{"x":1},"b":"set","c":4,"d":"added","old":"added"}"#;
    assert_eq!(edited(changes, body), expected);
}

/// What `set = { out = TEMPLATE }` makes.
fn rendered(template: Value) -> Option<String> {
    let request = post("{}")
        .header("x-in", "a \"b\"")
        .header("x-bytes", b"\xff")
        .path_parameter("id", "7")
        .variable("zone", "eu")
        .principal("alice")
        .usage_key("acme")
        .claim("tier", "gold")
        .claim("roles", json!(["a", { "b": 1 }]))
        .claim("seats", 7)
        .claim("nothing", Value::Null);
    let body = sent(json!({ "set": { "out": template } }), request).unwrap();
    let inner = body.strip_prefix("{\"out\":")?;
    inner.strip_suffix('}').map(str::to_owned)
}

#[test]
fn values_are_made_of_what_is_known() {
    for (template, expected) in [
        (json!("{principal}"), r#""alice""#),
        (json!("{usage-key}"), r#""acme""#),
        (json!("{path.id}"), r#""7""#),
        (json!("{query.page}"), r#""2""#),
        (json!("{header.X-In}"), r#""a \"b\"""#),
        (json!("{header.x-bytes}"), "\"\u{fffd}\""),
        (json!("{variable.zone}"), r#""eu""#),
        (json!("{claim.tier}"), r#""gold""#),
        (json!("{claim.roles}"), r#"["a",{"b":1}]"#),
        (json!("{claim.seats}"), "7"),
        (
            json!("{method} {route} {host}"),
            r#""POST test-route api.example""#,
        ),
        (
            json!("{client-address} {request-id}"),
            r#""192.0.2.1 test-request""#,
        ),
        (
            json!("seats: {claim.seats}, {claim.roles}"),
            r#""seats: 7, [\"a\",{\"b\":1}]""#,
        ),
        (json!("{{principal}}"), r#""{principal}""#),
        (json!("{{{principal}}}"), r#""{alice}""#),
        (json!(""), r#""""#),
        (
            json!({ "{x": ["{principal}", 1], "y": { "z": "{claim.seats}" } }),
            r#"{"y":{"z":7},"{x":["alice",1]}"#,
        ),
        (json!(1.5), "1.5"),
    ] {
        assert_eq!(
            rendered(template.clone()).as_deref(),
            Some(expected),
            "{template}"
        );
    }
    for absent in [
        "path.x",
        "query.x",
        "header.x",
        "variable.x",
        "claim.x",
        "claim.nothing",
    ] {
        let template = format!("{{{absent}}}");
        assert_eq!(rendered(json!(template)), None, "{absent}");
        assert_eq!(rendered(json!([{ "a": format!("x{template}") }])), None);
    }
}

#[test]
fn a_client_cannot_send_what_is_set() {
    let body = r#"{"tenant":"admin","x":1}"#;
    let set = json!({ "set": { "tenant": "{claim.org}" } });
    assert_eq!(edited(set, body), r#"{"x":1}"#);
    let add = json!({ "add": { "tenant": "{claim.org}" } });
    assert_eq!(edited(add, body), body);
}

#[test]
fn deep_and_large_documents() {
    let depth = 200_000;
    let deep = format!(
        r#"{{"a":{}{},"b":1}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    let expected = deep.replace(r#","b":1"#, "");
    assert_eq!(edited(json!({ "remove": ["b"] }), &deep), expected);
    let elements: Vec<String> = (0..20_000)
        .map(|id| format!(r#"{{"id":{id},"s":1}}"#))
        .collect();
    let many = format!("[{}]", elements.join(","));
    let expected = many.replace(r#","s":1"#, "");
    assert_eq!(edited(json!({ "remove": ["[*].s"] }), &many), expected);
}
