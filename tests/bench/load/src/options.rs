//! What is asked for on the command line.

use std::net::SocketAddr;
use std::time::Duration;

pub struct Options {
    pub address: SocketAddr,
    pub requests: usize,
    pub connections: usize,
    /// From one request to the next, all connections together.
    pub interval: Option<Duration>,
    pub length: Option<u64>,
    pub hold: bool,
    /// Whole heads, one for each path.
    heads: Vec<Vec<u8>>,
}

impl Options {
    /// # Errors
    /// If an argument is none, or a required one is missing.
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let (mut address, mut requests, mut connections) = (None, None, 1_usize);
        let (mut path, mut paths, mut headers) = ("/".to_owned(), 1_usize, String::new());
        let (mut interval, mut length, mut hold) = (None, None, false);
        for argument in arguments {
            let (key, value) = argument
                .split_once('=')
                .ok_or_else(|| format!("`{argument}` is not key=value"))?;
            match key {
                "address" => address = Some(parsed::<SocketAddr>(key, value)?),
                "path" => value.clone_into(&mut path),
                "paths" => paths = parsed(key, value)?,
                "header" => headers += &format!("{value}\r\n"),
                "requests" => requests = Some(parsed(key, value)?),
                "connections" => connections = parsed(key, value)?,
                "length" => length = Some(parsed(key, value)?),
                "hold" => hold = parsed(key, value)?,
                "rate" => {
                    let rate: f64 = parsed(key, value)?;
                    let each = Duration::try_from_secs_f64(1.0 / rate);
                    interval = Some(each.map_err(|_| format!("`{rate}` is not a rate"))?);
                }
                _ => return Err(format!("`{key}` is not known")),
            }
        }
        let address = address.ok_or("`address` is missing")?;
        if connections == 0 || paths == 0 {
            return Err("`connections` and `paths` must be at least 1".to_owned());
        }
        let head = |number: usize| {
            let path = path.replace("{}", &number.to_string());
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n").into_bytes()
        };
        Ok(Options {
            address,
            requests: match requests {
                Some(requests) => requests,
                None if hold => connections,
                None => return Err("`requests` is missing".to_owned()),
            },
            connections,
            interval,
            length,
            hold,
            heads: (0..paths).map(head).collect(),
        })
    }

    /// The head of the request of this number: the paths take turns.
    pub fn request(&self, number: usize) -> &[u8] {
        &self.heads[number % self.heads.len()]
    }
}

fn parsed<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("`{value}` cannot be `{key}`"))
}
