use super::*;

const TRUSTED: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];

fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("api.example"));
    for (name, value) in lines {
        let name = HeaderName::try_from(*name).unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

/// What is settled for a request with these lines from this peer, and its fields afterwards.
fn settled(peer: &str, lines: &[(&str, &[u8])]) -> (Settled, HeaderMap) {
    let mut headers = headers(lines);
    let trusted = TRUSTED.map(|net| net.parse().unwrap());
    let settled = settle(&mut headers, &Peer::plain(peer.parse().unwrap()), &trusted);
    (settled, headers)
}

/// Every field but `host`, in the order of their names.
fn told(headers: &HeaderMap) -> Vec<String> {
    let mut told: Vec<String> = headers
        .iter()
        .filter(|(name, _)| *name != HOST)
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    told.sort();
    told
}

/// The client, and the list that the upstream gets, for these lines of `X-Forwarded-For`.
fn listed(peer: &str, lists: &[&[u8]]) -> (Option<IpAddr>, String) {
    let lines: Vec<(&str, &[u8])> = lists
        .iter()
        .map(|list| ("x-forwarded-for", *list))
        .collect();
    let (settled, headers) = settled(peer, &lines);
    assert_eq!(headers.get_all(FOR).iter().count(), 1);
    let list = String::from_utf8_lossy(headers[FOR].as_bytes());
    (settled.client, list.into_owned())
}

#[test]
fn an_untrusted_peer_cannot_say_who_it_is() {
    let (client, list) = listed("192.0.2.7", &[b"203.0.113.1"]);
    assert_eq!(client, "192.0.2.7".parse().ok());
    assert_eq!(list, "192.0.2.7");
}

#[test]
fn a_trusted_chain_is_walked_from_its_end() {
    let lists: [&[u8]; 2] = [b"198.51.100.9, 203.0.113.1", b"10.9.9.9"];
    let (client, list) = listed("10.0.0.1", &lists);
    assert_eq!(client, "203.0.113.1".parse().ok());
    assert_eq!(list, "198.51.100.9, 203.0.113.1, 10.9.9.9, 10.0.0.1");
    // If all are trusted, the first of them is the client.
    assert_eq!(
        listed("10.0.0.1", &[b"10.1.1.1, 10.2.2.2"]).0,
        "10.1.1.1".parse().ok()
    );
    assert_eq!(listed("10.0.0.1", &[]).0, "10.0.0.1".parse().ok());
    assert_eq!(
        listed("10.0.0.1", &[b""]),
        ("10.0.0.1".parse().ok(), "10.0.0.1".into())
    );
}

#[test]
fn addresses_are_read_as_balancers_write_them() {
    for (node, client) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9:_hidden", "203.0.113.9"),
        ("\"203.0.113.9:4711\"", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:DB8:0::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("\"[2001:db8::9]:4711\"", "2001:db8::9"),
        ("203.0.113.9,", "203.0.113.9"),
        ("203.0.113.9, ,\t, ", "203.0.113.9"),
        (",, \t203.0.113.9\t", "203.0.113.9"),
        (
            "198.51.100.1,203.0.113.9:1,10.0.0.2:2, [fd00::1]:3",
            "203.0.113.9",
        ),
        ("unknown, 203.0.113.9", "203.0.113.9"),
    ] {
        let (found, _) = listed("10.0.0.1", &[node.as_bytes()]);
        assert_eq!(found, client.parse().ok(), "{node}");
        // The same over lines.
        let lines: Vec<&[u8]> = node.as_bytes().split(|byte| *byte == b',').collect();
        assert_eq!(listed("10.0.0.1", &lines).0, found, "{node}");
    }
}

#[test]
fn what_is_no_address_is_nobody_and_not_the_proxy() {
    for node in [
        &b"unknown"[..],
        b"_hidden",
        b"203.0.113.1, unknown",
        b"203.0.113.1, _SEVKISEK, 10.0.0.2",
        b"203.0.113.9:",
        b"203.0.113.9:port",
        b"203.0.113.9:123456",
        b"203.0.113.9:1:2",
        b"203.0.113.9 4711",
        b"203.0.113.09",
        b"203.0.113",
        b"3405803785",
        b"0xcb007109",
        b"203.0.113.0/24",
        b"[203.0.113.9]:1",
        b"[2001:db8::9",
        b"[2001:db8::9]4711",
        b"[2001:db8::9]:",
        b"[]:1",
        b"fe80::1%eth0",
        b"localhost",
        b"http://203.0.113.9",
        b"\"203.0.113.9",
        b"\"",
        b"1.1.1.1\xff",
        b"203.0.113.9;10.0.0.2",
    ] {
        let (found, list) = listed("10.0.0.1", &[node]);
        let node = String::from_utf8_lossy(node);
        assert_eq!(found, None, "{node}");
        assert_eq!(list, format!("{node}, 10.0.0.1"));
    }
}

#[test]
fn bytes_beyond_ascii_do_not_hide_the_rest_of_their_line() {
    let (client, _) = listed("10.0.0.1", &[b"1.1.1.1\xff, 203.0.113.9"]);
    assert_eq!(client, "203.0.113.9".parse().ok());
}

#[test]
fn nothing_of_a_proxy_is_believed_of_a_stranger() {
    let lines: Vec<(&str, &[u8])> = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-ssl",
        "x-forwarded-user",
        "x-forwarded-never-heard-of",
        "x_forwarded_for",
        "x.forwarded.host",
        "x-real-ip",
        "x_real_ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-original-url",
        "x-rewrite-url",
        "client-cert",
        "front-end-https",
    ]
    .into_iter()
    .map(|name| (name, &b"evil"[..]))
    .chain([("accept", &b"*/*"[..]), ("x-mine", b"1")])
    .collect();
    let (settled, headers) = settled("192.0.2.7", &lines);
    let expected = [
        "accept: */*",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: api.example",
        "x-forwarded-proto: http",
        "x-mine: 1",
    ];
    assert_eq!(told(&headers), expected);
    assert_eq!((settled.scheme, settled.asked), ("http", None));
}

#[test]
fn of_a_trusted_proxy_all_names_of_the_client_say_the_same() {
    let lines: [(&str, &[u8]); 7] = [
        ("x-forwarded-for", b"203.0.113.9:4711"),
        ("x-real-ip", b"6.6.6.6"),
        ("x_real_ip", b"6.6.6.6"),
        ("true-client-ip", b"6.6.6.6"),
        ("x_forwarded_for", b"6.6.6.6"),
        ("forwarded", b"for=6.6.6.6;proto=https"),
        ("x-forwarded-prefix", b"/shop"),
    ];
    let (_, headers) = settled("10.0.0.1", &lines);
    let expected = [
        "true-client-ip: 203.0.113.9",
        "x-forwarded-for: 203.0.113.9:4711, 10.0.0.1",
        "x-forwarded-host: api.example",
        "x-forwarded-prefix: /shop",
        "x-forwarded-proto: http",
        "x-real-ip: 203.0.113.9",
    ];
    assert_eq!(told(&headers), expected);
    let lines: [(&str, &[u8]); 2] = [("x-forwarded-for", b"unknown"), ("x-real-ip", b"6.6.6.6")];
    let (_, headers) = settled("10.0.0.1", &lines);
    assert_eq!(headers.get("x-real-ip"), None);
}

/// The scheme and the host that are settled from these lines of a trusted proxy.
fn asked(lines: &[(&str, &str)]) -> String {
    let lines: Vec<(&str, &[u8])> = lines
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let (settled, headers) = settled("10.0.0.1", &lines);
    assert_eq!(headers[PROTO], settled.scheme);
    let host = settled.asked.as_ref().unwrap_or(&headers[HOST]);
    assert_eq!(headers[ASKED_HOST], host);
    assert_eq!(headers[HOST], "api.example", "it is what routes go by");
    format!("{}://{}", settled.scheme, host.to_str().unwrap())
}

#[test]
fn scheme_and_host_are_believed_where_they_say_one_thing() {
    let proto = |value| ("x-forwarded-proto", value);
    let host = |value| ("x-forwarded-host", value);
    let port = |value| ("x-forwarded-port", value);
    for (lines, expected) in [
        (&[][..], "http://api.example"),
        (&[proto("https")], "https://api.example"),
        (&[proto("HTTPS")], "https://api.example"),
        (&[proto("wss")], "https://api.example"),
        (&[proto("http")], "http://api.example"),
        (&[proto("javascript")], "http://api.example"),
        (&[proto("https, http")], "http://api.example"),
        (&[proto("https"), proto("https")], "http://api.example"),
        (&[proto("")], "http://api.example"),
        (&[host("www.example")], "http://www.example"),
        (&[host("www.example:81")], "http://www.example:81"),
        (&[host("[2001:db8::1]")], "http://[2001:db8::1]"),
        (&[host("a.example, b.example")], "http://api.example"),
        (
            &[host("a.example"), host("b.example")],
            "http://api.example",
        ),
        (&[host("a.example/evil")], "http://api.example"),
        (&[host("u@a.example")], "http://api.example"),
        (&[host("a b")], "http://api.example"),
        (&[host("")], "http://api.example"),
        (&[port("8443")], "http://api.example:8443"),
        (
            &[host("www.example:81"), port("82")],
            "http://www.example:81",
        ),
        (
            &[host("[2001:db8::1]"), port("82")],
            "http://[2001:db8::1]:82",
        ),
        (&[proto("https"), port("443")], "https://api.example"),
        (&[proto("https"), port("80")], "https://api.example"),
        (&[port("evil")], "http://api.example"),
        (&[port("0")], "http://api.example"),
        (&[port("70000")], "http://api.example"),
        (&[port("81"), port("82")], "http://api.example"),
    ] {
        assert_eq!(asked(lines), expected, "{lines:?}");
    }
}

#[test]
fn the_port_that_is_told_is_that_of_the_host() {
    for (lines, expected) in [
        (&[("x-forwarded-port", &b"81"[..])][..], "81"),
        (&[("x-forwarded-port", b"evil")], "80"),
        (
            &[("x-forwarded-port", b"80"), ("x-forwarded-proto", b"https")],
            "443",
        ),
        (
            &[("x-forwarded-port", b"82"), ("x-forwarded-host", b"a:81")],
            "81",
        ),
    ] {
        let (_, headers) = settled("10.0.0.1", lines);
        assert_eq!(headers[PORT], expected);
    }
}
