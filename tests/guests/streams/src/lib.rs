//! Lets bodies go through as the request says: the header `x-<name>-in` has what becomes of its own body,
//! `x-<name>-out` of the response's, as a word and perhaps a number; `name` is the configuration's. Without
//! the header the body goes past.

use std::cell::Cell;
use std::hint::black_box;

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{
    BodyStream, Plugin, Request, RequestStream, Response, ResponseStream, Result, export, log,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    name: String,
}

pub struct Streams {
    name: String,
}

thread_local! {
    /// Bytes that went through this instance.
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

struct Body {
    word: String,
    number: usize,
    /// Pieces so far.
    pieces: usize,
    held: Vec<u8>,
}

impl Streams {
    fn open(&self, request: &Request, side: &str) -> Result<Option<Box<dyn BodyStream + '_>>> {
        let Some(text) = request.header_text(&format!("x-{}-{side}", self.name)) else {
            return Ok(None);
        };
        let (word, number) = text.split_once(' ').unwrap_or((&text, "0"));
        match word {
            "open-error" => return Err("told to fail".into()),
            "open-trap" => panic!("told to trap"),
            _ => {}
        }
        Ok(Some(Box::new(Body {
            word: word.to_owned(),
            number: number.parse()?,
            pieces: 0,
            held: Vec::new(),
        })))
    }
}

impl BodyStream for Body {
    fn chunk(&mut self, piece: &[u8], last: bool) -> Result<Vec<u8>> {
        self.pieces += 1;
        SEEN.set(SEEN.get() + piece.len() as u64);
        let now = self.pieces == self.number;
        match &*self.word {
            "shout" => return Ok(piece.to_ascii_uppercase()),
            // Each piece becomes its length, so that the client sees them.
            "lengths" => {
                let end = if last { '!' } else { ',' };
                return Ok(format!("{}{end}", piece.len()).into());
            }
            // What is told of the whole body, at its end.
            "count" => {
                let seen = SEEN.get();
                let told = format!("|{} bytes in this instance", seen);
                return Ok([piece, if last { told.as_bytes() } else { b"" }].concat());
            }
            "hold" => {
                self.held.extend_from_slice(piece);
                return Ok(if last {
                    std::mem::take(&mut self.held)
                } else {
                    Vec::new()
                });
            }
            "swallow" => return Ok(Vec::new()),
            "trap" if now => panic!("told to trap"),
            "trap-last" if last => panic!("told to trap at the end"),
            "error" if now => return Err("told to fail".into()),
            "loop" if now => loop {
                black_box(());
            },
            "log" => log::info(&format!("piece {}", self.pieces)),
            "huge" => return Ok(vec![b'h'; self.number]),
            // Never lets go of what it takes.
            "bomb" => self.held.resize(self.held.len() + self.number, 1),
            _ => {}
        }
        Ok(piece.to_vec())
    }
}

impl Plugin for Streams {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        Ok(Streams { name: config.name })
    }
}

impl RequestStream for Streams {
    fn open_request(&self, request: &Request) -> Result<Option<Box<dyn BodyStream + '_>>> {
        self.open(request, "in")
    }
}

impl ResponseStream for Streams {
    fn open_response(
        &self,
        request: &Request,
        _: &Response,
    ) -> Result<Option<Box<dyn BodyStream + '_>>> {
        self.open(request, "out")
    }
}

export!(Streams: RequestStream, ResponseStream);
