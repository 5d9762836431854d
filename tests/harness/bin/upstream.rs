//! The upstream of the demo: a few pets, and an echo of whatever else is asked.
//!
//!     upstream 127.0.0.1:9001

use std::process::ExitCode;

use serde_json::{Value, json};
use tollgate_tests::{Origin, Request, Step, echo};

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: upstream ADDRESS");
        return ExitCode::FAILURE;
    };
    let origin = Origin::forgetful(&address, |request| vec![Step::Send(answer(request))]);
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
