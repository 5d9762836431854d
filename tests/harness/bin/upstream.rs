//! The upstream of the demo: a few pets, and an echo of whatever else is asked.
//!
//!     upstream 127.0.0.1:9001
//!
//! 0 is said after `--help`; 2 of arguments that are none, and where it cannot listen.

use std::net::TcpListener;
use std::process::ExitCode;

use serde_json::{Value, json};
use tollgate_tests::{Origin, Request, Step, echo};

const USAGE: &str = "\
An HTTP/1.1 server to try a gateway with: a few pets under /pets, and under every other path an echo, as JSON, of
the request that it got.

usage: upstream ADDRESS

ADDRESS is a host and a port, such as 127.0.0.1:9001. Port 0 is any free one; the first line of output names
it. It serves until it is killed.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wrong = |why: &str| {
        eprintln!("{why}\n\n{USAGE}");
        ExitCode::from(2)
    };
    let address = match arguments.as_slice() {
        [help] if help == "--help" || help == "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [address] => address,
        [] => return wrong("an address is missing"),
        _ => return wrong("there is one argument, the address"),
    };
    // Tried first: a test's origin may panic, and this is a program.
    if let Err(error) = TcpListener::bind(address) {
        return wrong(&format!("cannot listen on `{address}`: {error}"));
    }
    let origin = Origin::forgetful(address, |request| vec![Step::Send(answer(request))]);
    println!("upstream listening on {}", origin.address());
    loop {
        std::thread::park();
    }
}

fn answer(request: &Request) -> Vec<u8> {
    let path = request.target.split('?').next().unwrap_or_default();
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    let pets = path
        .strip_prefix("/pets")
        .filter(|rest| reads && (rest.is_empty() || rest.starts_with('/')));
    match pets {
        None => echo(request),
        Some("" | "/") => document(request, "200 OK", &Value::Array(all())),
        Some(id) => {
            let id = id.trim_start_matches('/');
            match all()
                .into_iter()
                .find(|pet| pet["id"].as_u64() == id.parse().ok())
            {
                Some(pet) => document(request, "200 OK", &pet),
                None => document(request, "404 Not Found", &json!({ "error": "no such pet" })),
            }
        }
    }
}

fn all() -> Vec<Value> {
    vec![
        json!({ "id": 1, "name": "Rex", "kind": "dog" }),
        json!({ "id": 2, "name": "Tom", "kind": "cat" }),
        json!({ "id": 7, "name": "Polly", "kind": "parrot" }),
    ]
}

fn document(request: &Request, status: &str, body: &Value) -> Vec<u8> {
    let body = format!("{body}\n");
    let shown = if request.method == "HEAD" { "" } else { &body };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nserver: pets\r\n\
         content-length: {}\r\n\r\n{shown}",
        body.len()
    )
    .into_bytes()
}
