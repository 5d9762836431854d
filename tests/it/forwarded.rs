//! What is believed of who asks and for what: of strangers nothing, of trusted proxies what they say in one
//! way; and that everything in the gateway and behind it is told the same.

mod believed;
mod shadows;
mod strangers;

use tollgate_tests::{Gateway, Origin, Response};

use crate::scene::Scene;

/// A scene with a listener `inner` whose peers, all of which are local, are trusted.
fn trusting(origin: &Origin) -> Scene {
    trusting_at(&origin.url())
}

fn trusting_at(upstream: &str) -> Scene {
    let limits = "limits = { cpu = \"5s\", wall = \"20s\" }";
    let plugins = [
        "headers",
        "http-cache",
        "ip-allow",
        "rate-limit",
        "ext-auth",
        "rewrite",
    ];
    let patient = plugins.map(|name| match name {
        "ext-auth" => format!("[plugins.{name}]\n{limits}\ngrant.fetch = [\"origin\"]"),
        _ => format!("[plugins.{name}]\n{limits}"),
    });
    Scene::at(upstream)
        .with("[listeners.inner]\naddress = \"127.0.0.1:0\"\ntrusted-proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]")
        .with(&patient.join("\n"))
}

/// A `GET` with these lines.
fn get(path: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nhost: api.example\r\n{lines}\r\n")
}

/// Of the echoed fields those with one of these beginnings, in the order of their names.
fn told(answer: &Response, beginnings: &[&str]) -> Vec<String> {
    let json = answer.json();
    let mut told: Vec<String> = json["headers"]
        .as_array()
        .expect("the echo has headers")
        .iter()
        .map(|line| {
            let text = |at: usize| line[at].as_str().expect("text").to_owned();
            format!("{}: {}", text(0).to_ascii_lowercase(), text(1))
        })
        .filter(|line| beginnings.iter().any(|begin| line.starts_with(begin)))
        .collect();
    told.sort();
    told
}

fn status(gateway: &Gateway, path: &str, lines: &[&str]) -> u16 {
    gateway.request_to("inner", get(path, lines)).status
}
