//! Requests that come at once, about the same.

use std::net::Shutdown;
use std::sync::Barrier;

use tollgate_tests::{Folder, Gateway, Origin};

use super::{calls, remembered, scene};

const CLIENTS: usize = 200;

/// Work that takes some milliseconds, so that the others come while the first is being decided.
const AUTHORIZE: &str = "{ reads = [\"path\"], verdict = \"header:x-verdict\", work = 3_000_000";

/// Sends as many identical requests at once, each on a connection of its own, and expects this
/// status of each.
fn crowd(gateway: &Gateway, verdict: &str, status: u16) {
    let start = Barrier::new(CLIENTS);
    let head = format!("GET /a HTTP/1.1\r\nhost: a\r\nx-verdict: {verdict}\r\n");
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = gateway.client();
                client.send(&head);
                start.wait();
                client.send_more("\r\n");
                let response = client.read();
                assert_eq!(response.status, status, "{response:?}");
            });
        }
    });
}

#[test]
fn identical_requests_are_decided_by_one_call() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for (verdict, status) in [("allow", 200), ("deny", 403)] {
        let authorize = format!("{AUTHORIZE}, remember-ms = 3_600_000 }}");
        let toml = scene(&folder, &origin, &authorize, "").toml();
        let gateway = Gateway::start(&toml);
        crowd(&gateway, verdict, status);
        assert_eq!(calls(&gateway), 1, "{verdict}");
        assert_eq!(remembered(&gateway), CLIENTS as u64 - 1);
    }
}

/// Who waits for an answer that is then not to be remembered asks for itself.
#[test]
fn nobody_is_left_waiting_for_what_is_not_remembered() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    for (verdict, status, more) in [
        ("fault", 500, ", remember-ms = 3_600_000"),
        ("allow", 200, ""),
        ("deny", 403, ""),
    ] {
        let authorize = format!("{AUTHORIZE}{more} }}");
        // A crowd that is not spared the call needs places for it: what is missing is answered 503.
        let toml = scene(&folder, &origin, &authorize, "").toml();
        let toml = toml.replace("3_000_000", "30_000");
        let gateway = Gateway::start(&toml);
        crowd(&gateway, verdict, status);
        assert_eq!(calls(&gateway), CLIENTS as u64, "{verdict}");
        assert_eq!(remembered(&gateway), 0);
    }
}

/// Who is asking may go away; one of those that wait then asks in its place.
#[test]
fn who_goes_away_while_asking_takes_nobody_along() {
    let (folder, origin) = (Folder::new(), Origin::echo());
    let authorize = format!("{AUTHORIZE}, remember-ms = 3_600_000 }}").replace("3_000", "30_000");
    let toml = scene(&folder, &origin, &authorize, "").toml();
    let gateway = Gateway::start(&toml);
    let request = "GET /a HTTP/1.1\r\nhost: a\r\nx-verdict: allow\r\n\r\n";
    for _ in 0..5 {
        let mut gone = gateway.client();
        let mut clients: Vec<_> = (0..20).map(|_| gateway.client()).collect();
        gone.send(request);
        clients.iter_mut().for_each(|client| client.send(request));
        let _ = gone.stream().shutdown(Shutdown::Both);
        for client in &mut clients {
            let response = client.read();
            assert_eq!(response.status, 200);
            assert_eq!(super::principal(&response), "path=/a");
        }
    }
}
