//! Tries to get from WASI what no plugin shall have. For `wasm32-wasip2`, whose output is a component
//! that imports `wasi:*`.
//!
//! What each attempt gave is told in a header `x-wasi-<attempt>`, in `authorize` in a claim of that
//! name. A host may also answer an attempt with a trap, so the configuration chooses which are made.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{
    Authorizer, Decision, EditableRequest, EditableResponse, Outcome, Plugin, Request,
    RequestTransformer, ResponseTransformer, Result, export,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `authorize` panics.
    #[serde(default)]
    panic: bool,
    /// What every hook attempts; everything if absent.
    #[serde(default = "Attempt::all")]
    attempts: Vec<Attempt>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    /// Writes to standard output and standard error.
    Print,
    /// The number of arguments.
    Arguments,
    /// The number of environment variables.
    Variables,
    /// Reads `/etc/passwd`.
    File,
    /// Connects to 127.0.0.1, port 9.
    Socket,
    /// Whether the system's clock is past 2020.
    Time,
    /// A hash by a new `HashMap`'s hasher: it depends on nothing but the seed.
    Random,
}

impl Attempt {
    fn all() -> Vec<Attempt> {
        use Attempt::{Arguments, File, Print, Random, Socket, Time, Variables};
        vec![Print, Arguments, Variables, File, Socket, Time, Random]
    }

    fn name(self) -> &'static str {
        match self {
            Attempt::Print => "x-wasi-print",
            Attempt::Arguments => "x-wasi-arguments",
            Attempt::Variables => "x-wasi-variables",
            Attempt::File => "x-wasi-file",
            Attempt::Socket => "x-wasi-socket",
            Attempt::Time => "x-wasi-time",
            Attempt::Random => "x-wasi-random",
        }
    }

    /// What it gave: a number, `granted` with what was got, or `refused` with the error.
    fn make(self, hook: &str) -> String {
        match self {
            // Not `println!`, which panics if it cannot write.
            Attempt::Print => outcome(
                writeln!(std::io::stdout(), "stdout of {hook}")
                    .and_then(|()| writeln!(std::io::stderr(), "stderr of {hook}")),
            ),
            Attempt::Arguments => std::env::args_os().count().to_string(),
            Attempt::Variables => std::env::vars_os().count().to_string(),
            Attempt::File => outcome(std::fs::read("/etc/passwd").map(|bytes| bytes.len())),
            Attempt::Socket => {
                let address = SocketAddr::from(([127, 0, 0, 1], 9));
                outcome(TcpStream::connect(address).map(|_| ()))
            }
            Attempt::Time => {
                let fifty_years = Duration::from_secs(50 * 365 * 86_400);
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                outcome(now.map(|now| now > fifty_years))
            }
            Attempt::Random => {
                let map = HashMap::<u8, u8>::new();
                format!("granted {:016x}", map.hasher().hash_one(0))
            }
        }
    }
}

fn outcome<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("granted {value:?}"),
        Err(error) => format!("refused {error}"),
    }
}

pub struct Wasip2 {
    panic: bool,
    attempts: Vec<Attempt>,
}

impl Plugin for Wasip2 {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        Ok(Wasip2 {
            panic: config.panic,
            attempts: config.attempts,
        })
    }
}

impl Wasip2 {
    fn results(&self, hook: &str) -> impl Iterator<Item = (&'static str, String)> {
        let attempts = self.attempts.iter();
        attempts.map(move |attempt| (attempt.name(), attempt.make(hook)))
    }
}

impl Authorizer for Wasip2 {
    fn authorize(&self, _: &Request) -> Result<Decision> {
        assert!(!self.panic, "boom from wasip2");
        let mut decision = Decision::allow("wasip2");
        for (name, result) in self.results("authorize") {
            decision = decision.claim(name, result);
        }
        Ok(decision)
    }
}

impl RequestTransformer for Wasip2 {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        for (name, result) in self.results("transform-request") {
            request.set_header(name, result)?;
        }
        Ok(Outcome::Next)
    }
}

impl ResponseTransformer for Wasip2 {
    fn transform_response(
        &self,
        _: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        for (name, result) in self.results("transform-response") {
            response.set_header(name, result)?;
        }
        Ok(Outcome::Next)
    }
}

export!(Wasip2: Authorizer, RequestTransformer, ResponseTransformer);
