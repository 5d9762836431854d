//! Answers that come before the upload has ended: servers refuse what is too large, and close.

use tollgate_tests::{Gateway, Origin, Response, Step, ok};

use super::{PATIENT, gateway, quoted};

/// Larger than what the sockets on the way hold together.
const LARGE: usize = 10_000_000;

/// The head of an upload in each framing, and what is written of its body.
fn uploads() -> [(&'static str, Vec<u8>); 2] {
    let chunk = [
        b"100000\r\n".to_vec(),
        vec![b'x'; 1 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    [
        ("content-length: 10000000", vec![b'x'; LARGE]),
        (
            "transfer-encoding: chunked",
            [chunk.repeat(9), b"0\r\n\r\n".to_vec()].concat(),
        ),
    ]
}

/// Sends an upload to its end, and reads only then, as many clients do.
fn upload(gateway: &Gateway, fields: &str, body: &[u8]) -> Response {
    let mut client = gateway.client();
    client.send(format!("POST /p HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n"));
    client.send_more(body);
    client.read()
}

/// The server answers, and closes with most of the upload unread. The write that fails must not hide the
/// answer that is there to be read.
#[test]
fn a_refusal_wins_over_the_write_that_fails() {
    let early = b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 5\r\n\r\nlarge";
    let origin = Origin::early(move |_| vec![Step::Send(early.to_vec()), Step::Abandon]);
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for (fields, body) in uploads() {
        for round in 0..20 {
            let answer = upload(&gateway, fields, &body);
            let text = answer.text();
            assert_eq!((answer.status, &*text), (413, "large"), "{fields} {round}");
        }
    }
    let records = gateway.records();
    let blamed = records
        .iter()
        .find(|record| record["failure"]["blame"] == "upstream");
    assert_eq!(blamed, None);
}

/// A server that says nothing of it, and keeps the connection open for the rest, may be asked again: but not
/// over a connection on which the upload has not ended.
#[test]
fn a_connection_with_half_an_upload_is_not_used_again() {
    let origin = Origin::early(|request| match request.method.as_str() {
        "POST" => vec![Step::Send(ok("text/plain", "early")), Step::ReadBody],
        _ => vec![Step::Send(ok("text/plain", "mine"))],
    });
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    let mut client = gateway.client();
    client.send("POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab");
    assert_eq!(client.read().text(), "early");
    assert_eq!(gateway.get("/next").text(), "mine");
    assert_eq!(origin.request(1).connection, 1);
}

#[test]
fn a_client_that_waits_for_100_gets_the_refusal() {
    let early = b"HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nlarge";
    let origin = Origin::early(move |_| vec![Step::Send(early.to_vec()), Step::Abandon]);
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for (fields, body) in uploads() {
        let fields = format!("{fields}\r\nexpect: 100-continue");
        let answer = upload(&gateway, &fields, &body);
        assert_eq!((answer.status, &*answer.text()), (413, "large"), "{fields}");
    }
}

/// Without an answer it is the upstream's failure, as ever.
#[test]
fn a_server_that_closes_without_an_answer_is_told() {
    let origin = Origin::early(|_| vec![Step::Abandon]);
    let gateway = gateway(&[quoted(origin.url())], PATIENT);
    for (fields, body) in uploads() {
        assert_eq!(upload(&gateway, fields, &body).status, 502, "{fields}");
    }
    assert_eq!(origin.requests(), 2);
    let record = gateway.record(|record| record["path"] == "/p");
    assert_eq!(record["failure"]["blame"], "upstream", "{record}");
}
