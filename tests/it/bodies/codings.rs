//! Content codings: undone for the plugin, kept for the peer where nothing was replaced.

use tollgate_tests::{Gateway, Origin, Step, echo};

use super::coded::{stored, zeros};
use super::memory::{peak, settled};
use super::{
    GRANT, answer, assert_body, assert_failed, assert_request_length, assert_response_length,
    gateway, in_chunks, noise, sized, told_in, told_out,
};

const TEXT: &[u8] = b"some text, some more text";

/// Every coding that is undone, with `TEXT` in it.
fn coded() -> Vec<(&'static str, Vec<u8>)> {
    let text = stored(TEXT);
    let two_members = [stored(&TEXT[..5]).gzip(), stored(&TEXT[5..]).gzip()].concat();
    // Compressed, and with a file's name in its head, as gzip writes it.
    let real =
        b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03a.txt\x00\x2b\xce\xcf\x4d\x55\x28\x49\xad\x28\
                 \xd1\x51\x28\x06\x31\x73\xf3\x8b\x20\x7c\x00";
    let check = text.gzip();
    let real = [&real[..], &check[check.len() - 8..]].concat();
    vec![
        ("gzip", text.gzip()),
        ("x-gzip", text.gzip()),
        ("GZip", two_members),
        ("gzip", real),
        ("deflate", text.zlib()),
        ("deflate", text.bare()),
        ("deflate, gzip", stored(&text.zlib()).gzip()),
        ("gzip,deflate", stored(&text.gzip()).zlib()),
        ("identity", TEXT.to_vec()),
    ]
}

fn read_as_text(told: &[String]) -> bool {
    told.first()
        .is_some_and(|told| *told == format!("{}:some text, some more text", TEXT.len()))
}

#[test]
fn a_coded_request_is_decoded_for_the_plugin() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for (coding, body) in coded() {
        for chunked in [false, true] {
            let what = format!("{coding}, chunked: {chunked}");
            let number = origin.requests();
            let headers = |script| [("content-encoding", coding), ("x-one-in", script)];
            let raw = |headers: &[(&str, &str)]| {
                if chunked {
                    in_chunks("POST /one", headers, &body, 7)
                } else {
                    sized("POST /one", headers, &body)
                }
            };
            client.send(raw(&headers(r#"["read"]"#)));
            assert_eq!(client.read().status, 200, "{what}");
            client.send(raw(&headers(r#"["read", "shout"]"#)));
            assert_eq!(client.read().status, 200, "{what}");

            let only_read = origin.request(number);
            assert!(read_as_text(&told_in(&only_read)), "{what}: {only_read:?}");
            assert_eq!(
                only_read.header("content-encoding").as_deref(),
                Some(coding)
            );
            assert_body(&only_read.body, &body, &what);

            let replaced = origin.request(number + 1);
            assert!(read_as_text(&told_in(&replaced)), "{what}: {replaced:?}");
            assert_eq!(replaced.header("content-encoding"), None, "{what}");
            assert_eq!(replaced.body, TEXT.to_ascii_uppercase(), "{what}");
            assert_request_length(&replaced);
        }
    }
}

#[test]
fn a_coded_response_is_decoded_for_the_plugin() {
    for (coding, body) in coded() {
        let bytes = answer("200 OK", &[("content-encoding", coding)], &body);
        let origin = Origin::fixed(bytes);
        let gateway = gateway(&origin);
        let mut client = gateway.client();

        client.send(sized("GET /one", &[("x-one-out", r#"["read"]"#)], b""));
        let only_read = client.read();
        assert!(
            read_as_text(&told_out(&only_read)),
            "{coding}: {only_read:?}"
        );
        assert_eq!(only_read.headers("content-encoding"), [coding]);
        assert_body(&only_read.body, &body, coding);

        client.send(sized(
            "GET /one",
            &[("x-one-out", r#"["read", "shout"]"#)],
            b"",
        ));
        let replaced = client.read();
        assert!(read_as_text(&told_out(&replaced)), "{coding}: {replaced:?}");
        assert_eq!(replaced.header("content-encoding"), None, "{coding}");
        assert_eq!(replaced.body, TEXT.to_ascii_uppercase(), "{coding}");
        assert_response_length(&replaced);
    }
}

/// A coding, what is not of it, and what a plugin is told of it.
fn broken() -> Vec<(String, Vec<u8>, &'static str)> {
    let gzip = stored(TEXT).gzip();
    let zlib = stored(TEXT).zlib();
    let mut wrong_check = gzip.clone();
    let at = wrong_check.len() - 8;
    wrong_check[at] ^= 1;
    let mut wrong_adler = zlib.clone();
    let at = zlib.len() - 1;
    wrong_adler[at] ^= 1;
    let is_broken = "failed its content-encoding is broken";
    let unknown = "failed its content-encoding `br` is not gzip or deflate";
    vec![
        (
            "gzip".to_owned(),
            gzip[..gzip.len() - 1].to_vec(),
            is_broken,
        ),
        ("gzip".to_owned(), gzip[..12].to_vec(), is_broken),
        ("gzip".to_owned(), wrong_check, is_broken),
        ("gzip".to_owned(), TEXT.to_vec(), is_broken),
        ("gzip".to_owned(), zlib.clone(), is_broken),
        (
            "deflate".to_owned(),
            zlib[..zlib.len() - 5].to_vec(),
            is_broken,
        ),
        ("deflate".to_owned(), wrong_adler, is_broken),
        ("gzip, gzip".to_owned(), gzip, is_broken),
        ("br".to_owned(), TEXT.to_vec(), unknown),
        ("br, gzip".to_owned(), stored(TEXT).gzip(), unknown),
    ]
}

#[test]
fn a_broken_coding_of_a_request_is_the_clients() {
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    for (number, (coding, body, why)) in broken().into_iter().enumerate() {
        let coding = coding.as_str();
        let headers = |script| [("content-encoding", coding), ("x-one-in", script)];
        // The plugin may go on without.
        client.send(sized("POST /one", &headers(r#"["read"]"#), &body));
        assert_eq!(client.read().status, 200, "{coding}");
        let request = origin.request(number);
        let told = told_in(&request);
        assert!(told[0].starts_with(why), "{coding}: {told:?}");
        assert_eq!(request.header("content-encoding").as_deref(), Some(coding));
        assert_body(&request.body, &body, coding);
        // Or say that it cannot.
        for path in ["one", "open"] {
            let first = format!("POST /{path}");
            let response = gateway.request(sized(&first, &headers(r#"["must-read"]"#), &body));
            assert!(
                (400..500).contains(&response.status),
                "{path} {coding}: {response:?}"
            );
        }
    }
    assert_eq!(origin.requests(), broken().len());
    for path in ["/one", "/open"] {
        let record = gateway.record(|record| record["path"] == path && record["status"] != 200);
        assert_eq!(record["failure"]["blame"], "client", "{record}");
    }
}

#[test]
fn a_broken_coding_of_a_response_is_told_to_the_plugin() {
    for (coding, body, why) in broken() {
        let bytes = answer("200 OK", &[("content-encoding", &coding)], &body);
        let origin = Origin::fixed(bytes);
        let gateway = gateway(&origin);
        let mut client = gateway.client();
        let mut ask = |path: &str, script: &str| {
            client.send(sized(&format!("GET {path}"), &[("x-one-out", script)], b""));
            client.read()
        };
        let tolerated = ask("/one", r#"["read"]"#);
        let told = told_out(&tolerated);
        assert!(told[0].starts_with(why), "{coding}: {told:?}");
        let open = ask("/open", r#"["must-read"]"#);
        for response in [tolerated, open] {
            assert_eq!(response.headers("content-encoding"), [coding.as_str()]);
            assert_body(&response.body, &body, &coding);
        }
        assert_eq!(ask("/one", r#"["must-read"]"#).status, 500, "{coding}");
    }
}

#[test]
fn what_unfolds_beyond_the_grant_is_too_large() {
    let many = zeros(60 << 20);
    let bomb = stored(&many.gzip()).gzip();
    let twice = zeros(GRANT + 1).gzip();
    let fits = zeros(GRANT).gzip();
    let origin = Origin::raw(move |request| {
        if request.header("x-one-out").is_none() {
            return vec![Step::Send(echo(request))];
        }
        let body = request.body.clone();
        let coding = request.header("content-encoding").unwrap_or_default();
        let headers = [("content-encoding", coding.as_str())];
        vec![Step::Send(answer("200 OK", &headers, &body))]
    });
    // The folded bomb must fit, so that it is its unfolding that does not.
    let scene = super::scene(&origin, "");
    let wide = scene.toml().replace("\"64KiB\"", "\"1MiB\"");
    let (narrow, wide) = (gateway(&origin), Gateway::start(&wide));
    for (gateway, coding, body, told) in [
        (&narrow, "gzip", &fits, format!("{GRANT}:")),
        (&narrow, "gzip", &twice, format!("too-large {GRANT}")),
        (
            &narrow,
            "deflate",
            &zeros(GRANT + 1).zlib(),
            format!("too-large {GRANT}"),
        ),
        (&wide, "gzip, gzip", &bomb, format!("too-large {}", 1 << 20)),
        (
            &wide,
            "gzip",
            &many.gzip(),
            format!("too-large {}", 1 << 20),
        ),
    ] {
        let before = settled(gateway);
        peak(gateway);
        let number = origin.requests();
        let coded = ("content-encoding", coding);
        let tolerated = [coded, ("x-one-in", r#"["read"]"#)];
        assert_eq!(
            gateway.request(sized("POST /one", &tolerated, body)).status,
            200
        );
        let request = origin.request(number);
        let said = told_in(&request);
        assert!(said[0].starts_with(&told), "{said:?} in place of {told}");
        assert_body(&request.body, body, "the request at the origin");
        if told.starts_with("too-large") {
            for path in ["/one", "/open"] {
                let must = [coded, ("x-one-in", r#"["must-read"]"#)];
                let response = gateway.request(sized(&format!("POST {path}"), &must, body));
                assert_eq!(response.status, 413, "{path}: {response:?}");
                assert_failed(gateway, path, 413, "client", "body-too-large");
            }
        }
        let out = [coded, ("x-one-out", r#"["read"]"#)];
        let response = gateway.request(sized("POST /one", &out, body));
        let said = told_out(&response);
        assert!(said[0].starts_with(&told), "{said:?} in place of {told}");
        assert_eq!(response.headers("content-encoding"), [coding]);
        assert_body(&response.body, body, "the response");
        let grown = peak(gateway).saturating_sub(before);
        assert!(grown < 64 << 20, "{grown} bytes more for {}", body.len());
    }
}

/// Each coding costs a pass over the body, and a head has room for thousands of them.
#[test]
fn codings_are_not_undone_without_end() {
    const TIMES: usize = 1000;
    let mut body = noise(1000);
    for _ in 0..TIMES {
        body = stored(&body).gzip();
    }
    let coding = vec!["gzip"; TIMES].join(",");
    let origin = Origin::echo();
    let gateway = gateway(&origin);
    let headers = [
        ("content-encoding", coding.as_str()),
        ("x-one-in", r#"["read"]"#),
    ];
    let response = gateway.request(sized("POST /one", &headers, &body));
    assert_eq!(response.status, 200, "{response:?}");
    let told = told_in(&origin.request(0));
    assert!(told[0].starts_with("failed "), "{told:?}");
}
