//! Random requests, many at once, against a model of what each must be told.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;

use tollgate_tests::{Client, Folder, Gateway, Origin, Response};

use super::{INSTANCES, calls, remembered, scene};

/// SplitMix64 (Steele, Lea and Flood): the same requests in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.next() % all.len() as u64) as usize]
    }
}

/// By its first answer the plugin asks further: each kind is another list of getters.
const AUTHORIZE: &str = r#"{ reads = ["header:x-kind"], verdict = "header:x-verdict", remember-ms = 3_600_000, notes = { path = "header:x-kind" }, branches = { path = ["path"], user = ["header:x-user"], both = ["path", "header:x-user"], values = ["header-values:x-user", "query-parameter:q"], query = ["query", "path"], route = ["route-name", "path-parameter:id", "variable:v"], clock = ["clock", "path"], id = ["id"] } }"#;

const KINDS: [&str; 9] = [
    "path", "user", "both", "values", "query", "route", "clock", "id", "other",
];
/// Pairs that a careless key would take for one.
const PATHS: [&str; 10] = [
    "/a", "/b", "/ab", "/a/", "/a%2Fb", "/a/b", "/%61", "/r/a", "/r/b", "/s/a",
];
const QUERIES: [&str; 6] = ["", "?", "?q=1", "?q=%31", "?q=2&q=1", "?x=1"];
const USERS: [&[&str]; 7] = [
    &[],
    &[""],
    &["a"],
    &["b"],
    &["a", "b"],
    &["b", "a"],
    &["ab"],
];
const VERDICTS: [&str; 10] = [
    "allow", "allow", "allow", "allow", "allow", "allow", "deny", "deny", "", "fault",
];

struct Ask {
    kind: &'static str,
    path: &'static str,
    query: &'static str,
    users: &'static [&'static str],
    verdict: &'static str,
}

impl Ask {
    fn random(random: &mut Random) -> Ask {
        Ask {
            kind: random.of(&KINDS),
            path: random.of(&PATHS),
            query: random.of(&QUERIES),
            users: random.of(&USERS),
            verdict: random.of(&VERDICTS),
        }
    }

    fn head(&self) -> String {
        let mut head = format!(
            "GET {}{} HTTP/1.1\r\nhost: a\r\nx-kind: {}\r\n",
            self.path, self.query, self.kind
        );
        for user in self.users {
            let _ = write!(head, "x-user: {user}\r\n");
        }
        if !self.verdict.is_empty() {
            let _ = write!(head, "x-verdict: {}\r\n", self.verdict);
        }
        head + "\r\n"
    }

    /// What the plugin reads, up to what is different each time.
    fn said(&self) -> String {
        let show = |name: &str, value: Option<&str>| match value {
            Some(value) => format!(";{name}={value}"),
            None => format!(";{name}!"),
        };
        let path = show("path", Some(self.path));
        let user = show("header:x-user", self.users.first().copied());
        let rest = match self.kind {
            "path" => path,
            "user" => user,
            "both" => path + &user,
            "values" => {
                let first = match self.query {
                    "?q=1" | "?q=%31" => Some("1"),
                    "?q=2&q=1" => Some("2"),
                    _ => None,
                };
                show("header-values:x-user", Some(&self.users.join("|")))
                    + &show("query-parameter:q", first)
            }
            "query" => show("query", self.query.strip_prefix('?')) + &path,
            "route" => {
                let (route, id) = match self.path.rsplit_once('/') {
                    Some(("/r", id)) => ("r", Some(id)),
                    Some(("/s", id)) => ("s", Some(id)),
                    _ => ("all", None),
                };
                show("route-name", Some(route))
                    + &show("path-parameter:id", id)
                    + &show("variable:v", id.map(|_| route))
            }
            "clock" => ";clock=".to_owned(),
            "id" => ";id=".to_owned(),
            _ => String::new(),
        };
        format!("header:x-kind={}{rest}", self.kind)
    }

    fn is_remembered(&self) -> bool {
        !matches!(self.kind, "clock" | "id") && self.verdict != "fault"
    }

    #[track_caller]
    fn check(&self, response: &Response) {
        let said = match self.verdict {
            "fault" => {
                assert_eq!(response.status, 500);
                return;
            }
            "deny" => {
                assert_eq!(response.status, 403, "{}", self.head());
                response.text()
            }
            _ => super::principal(response),
        };
        match self.kind {
            "clock" => {
                assert!(said.starts_with(&self.said()), "{said}");
                assert!(said.ends_with(&format!(";path={}", self.path)), "{said}");
            }
            "id" => {
                let id = response.header("x-request-id").unwrap_or_default();
                assert_eq!(said, self.said() + &id);
            }
            _ => assert_eq!(said, self.said(), "{}", self.head()),
        }
        if self.verdict != "deny" {
            assert_eq!(response.echoed("x-note"), [self.kind.as_bytes()]);
        }
    }
}

#[test]
fn no_decision_is_used_for_a_request_that_it_was_not_made_for() {
    const THREADS: u64 = 24;
    const REQUESTS: u64 = 150;
    let (folder, origin) = (Folder::new(), Origin::echo());
    for (seed, instances) in INSTANCES.iter().enumerate() {
        let chain = ["auth", "tell", "note"];
        let routes = ["r", "s"].map(|name| {
            format!(
                "[routes.{name}]\nmatch = \"/{name}/{{id}}\"\nvariables = {{ v = \"{name}\" }}\n\
                 chain = {chain:?}\nupstream = \"origin\""
            )
        });
        let toml = scene(&folder, &origin, AUTHORIZE, instances)
            .policy(
                "note",
                "trace",
                "config.tell.x-note = \"attribute:auth/path\"",
            )
            .with(&routes.join("\n"))
            .route("all", "/{rest+}", &chain)
            .toml();
        let gateway = Gateway::start(&toml);
        let seen = Mutex::new((BTreeSet::new(), 0));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (gateway, seen) = (&gateway, &seen);
                scope.spawn(move || {
                    let mut random = Random((seed as u64) << 32 | thread);
                    let mut client = gateway.client();
                    for _ in 0..REQUESTS {
                        let ask = Ask::random(&mut random);
                        asked(&mut client, &ask);
                        let mut seen = seen.lock().expect("no thread has failed");
                        if ask.is_remembered() {
                            seen.0.insert((ask.said(), ask.verdict));
                        } else {
                            seen.1 += 1;
                        }
                    }
                });
            }
        });
        let (distinct, fresh) = seen.into_inner().expect("no thread has failed");
        let (calls, remembered) = (calls(&gateway), remembered(&gateway));
        assert_eq!(calls + remembered, THREADS * REQUESTS);
        // Each is asked about at least once; a few more are while lists are still being learned.
        let least = distinct.len() as u64 + fresh;
        assert!(calls >= least, "{calls} of {least}");
        assert!(
            calls < least + least / 4,
            "{calls} of {least}: hardly any is remembered"
        );
    }
}

#[track_caller]
fn asked(client: &mut Client, ask: &Ask) {
    client.send(ask.head());
    ask.check(&client.read());
}
