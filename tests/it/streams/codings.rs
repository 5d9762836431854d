//! Bodies that come with a content encoding.

use tollgate_tests::{Gate, Origin, Step};

use super::{Reader, chunk, gateway, get, head, post};
use crate::bodies::coded::{stored, zeros};

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = head(&[("content-encoding", coding)]);
    answer.extend(chunk(body));
    answer.extend(b"0\r\n\r\n");
    answer
}

#[test]
fn gzip_and_deflate_are_undone_both_ways() {
    let body = b"all the same, ".repeat(20_000);
    let deflated = stored(&body);
    for (coding, coded_body) in [
        ("gzip", deflated.gzip()),
        ("deflate", deflated.zlib()),
        ("deflate", deflated.bare()),
    ] {
        let answer = coded(coding, &coded_body);
        let origin = Origin::raw(move |_| vec![Step::Send(answer.clone())]);
        let gateway = gateway(&origin);
        let headers = [
            ("x-one-in", "shout"),
            ("x-one-out", "shout"),
            ("content-encoding", coding),
        ];
        let pieces: Vec<&[u8]> = coded_body.chunks(1_001).collect();
        let response = gateway.request(post("/one", &headers, &pieces));
        assert_eq!(response.status, 200);
        assert!(response.body == body.to_ascii_uppercase(), "{coding}");
        assert_eq!(response.header("content-encoding"), None);
        let received = origin.request(0);
        assert!(received.body == body.to_ascii_uppercase(), "{coding}");
        assert_eq!(received.header("content-encoding"), None);
    }
}

/// What is flushed is there before the next is sent.
#[test]
fn a_compressed_event_is_not_held_back() {
    let block = |text: &[u8]| {
        let length = u16::try_from(text.len()).expect("a short one");
        // Stored, and not the last.
        [
            &[0][..],
            &length.to_le_bytes(),
            &(!length).to_le_bytes(),
            text,
        ]
        .concat()
    };
    let begin = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let first = [&begin[..], &block(b"data: 1\n\n")].concat();
    let second = block(b"data: 2\n\n");
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::raw(move |_| {
        vec![
            Step::Send(head(&[("content-encoding", "gzip")])),
            Step::Send(chunk(&first)),
            Step::WaitFor(opened.clone()),
            Step::Send(chunk(&second)),
            Step::WaitFor(Gate::new()),
        ]
    });
    let gateway = gateway(&origin);
    let (mut reader, _) = Reader::ask(&gateway, &get("/one", &[("x-one-out", "shout")]));
    assert_eq!(reader.until(b"\n\n"), b"DATA: 1\n\n");
    gate.open();
    assert_eq!(reader.until(b"\n\n"), b"DATA: 2\n\n");
}

/// Many times as large as it comes, it is handed over in pieces as any other.
#[test]
fn a_body_that_swells_is_never_here_whole() {
    const SIZE: usize = 16 << 20;
    let bomb = zeros(SIZE).gzip();
    assert!(bomb.len() < SIZE / 100);
    let answer = coded("gzip", &bomb);
    let origin = Origin::raw(move |_| vec![Step::Send(answer.clone())]);
    let gateway = gateway(&origin);
    let response = gateway.request(get("/one", &[("x-one-out", "shout")]));
    assert!(response.complete);
    assert_eq!(response.body.len(), SIZE);
    let text = gateway
        .request(get("/one", &[("x-one-out", "lengths")]))
        .text();
    let mut lengths = text.trim_end_matches('!').split(',');
    let fits = |length: &str| {
        length
            .parse::<usize>()
            .is_ok_and(|length| length <= 16 << 10)
    };
    assert!(lengths.all(fits), "{text}");
}

#[test]
fn what_cannot_be_undone_is_refused() {
    for (coding, body) in [
        ("br", b"what".to_vec()),
        ("gzip, deflate", b"what".to_vec()),
    ] {
        let answer = coded(coding, &body);
        let origin = Origin::raw(move |_| vec![Step::Send(answer.clone())]);
        let gateway = gateway(&origin);
        let response = gateway.request(get("/one", &[("x-one-out", "shout")]));
        assert_eq!(response.status, 502, "{coding}");
        // It goes on as it is where the operator has it so, and where the plugin does not want it.
        let response = gateway.request(get("/open", &[("x-one-out", "shout")]));
        assert_eq!((response.status, &response.body[..]), (200, &b"what"[..]));
        let response = gateway.request(get("/one", &[]));
        assert_eq!((response.status, &response.body[..]), (200, &b"what"[..]));

        let headers = [("x-one-in", "shout"), ("content-encoding", coding)];
        for path in ["/one", "/open"] {
            let response = gateway.request(post(path, &headers, &[b"what"]));
            assert_eq!(response.status, 400, "{path} {coding}");
        }
    }
}

/// Before the head of an answer went on, whatever the first bytes tell of it.
#[test]
fn what_breaks_at_its_beginning_is_refused() {
    let text = b"all the same, ";
    let mut checksum = stored(text).gzip();
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    let cut = stored(text).gzip()[..12].to_vec();
    let garbage = [&stored(b"").gzip()[..10], &[0xff; 40]].concat();
    let fixed = [
        &stored(b"").gzip()[..10],
        &b"KLJ no such thing, and so on"[..],
    ]
    .concat();
    for (coding, body) in [
        ("gzip", b"no gzip".to_vec()),
        ("gzip", b"n".to_vec()),
        ("gzip", stored(text).zlib()),
        ("gzip", checksum.clone()),
        ("gzip", cut),
        ("gzip", garbage),
        ("gzip", fixed.clone()),
        ("deflate", b"no deflate".to_vec()),
        ("deflate", b"x".to_vec()),
        ("deflate", stored(text).gzip()),
        ("deflate", stored(text).bare()[..3].to_vec()),
    ] {
        // What is broken behind the first byte that comes out is seen if it came with it.
        let late = [&checksum, &fixed].contains(&&body);
        for size in if late {
            vec![body.len()]
        } else {
            vec![1, body.len()]
        } {
            let mut answer = head(&[("content-encoding", coding)]);
            body.chunks(size)
                .for_each(|piece| answer.extend(chunk(piece)));
            answer.extend(b"0\r\n\r\n");
            let origin = Origin::raw(move |_| vec![Step::Send(answer.clone())]);
            let gateway = gateway(&origin);
            let response = gateway.request(get("/one", &[("x-one-out", "shout")]));
            assert_eq!(response.status, 502, "{coding} {body:?} by {size}");
            let record = gateway.record(|record| record["path"] == "/one");
            assert_eq!(record["failure"]["blame"], "upstream", "{record}");
            let headers = [("x-one-in", "shout"), ("content-encoding", coding)];
            let response = gateway.request(post("/open", &headers, &[&body]));
            assert_eq!(response.status, 400, "{coding} {body:?}");
        }
    }
}

#[test]
fn a_broken_encoding_breaks_the_body_off() {
    let mut broken = stored(&b"all the same, ".repeat(20_000)).gzip();
    let checksum = broken.len() - 8;
    broken[checksum] ^= 1;
    let answer = coded("gzip", &broken);
    let origin = Origin::raw(move |_| vec![Step::Send(answer.clone())]);
    let gateway = gateway(&origin);
    let response = gateway.request(get("/one", &[("x-one-out", "shout")]));
    assert!(!response.complete);
    let record = gateway.record(|record| record["path"] == "/one");
    assert_eq!(record["failure"]["blame"], "upstream", "{record}");

    let headers = [("x-one-in", "shout"), ("content-encoding", "gzip")];
    let response = gateway.request(post("/open", &headers, &[&broken]));
    assert_eq!(response.status, 400);
    let record = gateway.record(|record| record["path"] == "/open");
    assert_eq!(record["failure"]["blame"], "client", "{record}");
}
