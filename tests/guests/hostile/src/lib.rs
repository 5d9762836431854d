//! One component with many misdeeds. Its configuration names the act and the hook in which it
//! happens; the other hooks behave: `authorize` allows as `hostile`, the transformers pass on.
//!
//! What an act has to tell, it tells in headers `x-<name>`: of the request, of the response, or, in
//! `authorize`, which can edit nothing, of a denial with 403 and the same lines in its body.

mod edits;
mod leak;
mod memory;
mod report;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::Deserialize;
use tollgate_plugin::{
    Authorizer, Decision, EditableRequest, EditableResponse, Outcome, Plugin, Reply, Request,
    RequestTransformer, ResponseTransformer, Result, clock, crypto, export, log, random,
};

use edits::{Edit, Pen};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    act: Act,
    /// Where it happens. Acts that are about one place (`report`, `note`, the last five) ignore it.
    #[serde(default)]
    hook: Hook,
    /// How much: lines of `huge-log`, rounds of `spin`, pages that `memory-fill-but` leaves.
    #[serde(default)]
    amount: u64,
    /// The memory limit in pages of 64 KiB, which `memory-fill-but` cannot find out: asking for more
    /// than there is tells nothing, and what was given cannot be given back.
    #[serde(default = "default_memory_pages")]
    memory_pages: usize,
    /// What `edit` does; see `Edit::read`. Each character of a value is one byte, up to U+00FF.
    #[serde(default)]
    edits: Vec<Vec<String>>,
    /// The plugin whose note `report` reads, and `note` tells in place of its own.
    #[serde(default)]
    plugin: String,
}

/// 16 MiB, the gateway's default.
fn default_memory_pages() -> usize {
    256
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Behaves in every hook.
    #[default]
    None,
    /// Never returns.
    Loop,
    /// Calls itself until the stack ends.
    Recurse,
    /// Allocates until refused, then goes on and tells `x-allocated-kib`.
    MemoryBomb,
    /// Allocates in the way that cannot be refused: the allocator traps.
    OutOfMemory,
    /// Executes `unreachable`.
    Trap,
    Panic,
    /// Returns `Err`.
    Error,
    /// Logs `amount` lines of 100 KB.
    HugeLog,
    /// Appends headers until refused; see `edits::header_bomb`.
    HeaderBomb,
    /// Writes notes of 1 KiB until refused, and tells `x-attributes`.
    AttributeBomb,
    /// Denies or responds with what is no valid response.
    BadReply,
    /// Denies or responds with an unusual but valid response.
    Reply,
    /// Works for `amount` rounds of a few nanoseconds.
    Spin,
    /// The isolation probe: tells `x-leak`.
    Leak,
    /// Tells how many calls of this hook (`x-calls`), and of all hooks (`x-hook-calls`), this
    /// instance has seen, itself included.
    Count,
    /// Makes `edits`, and tells `x-refused` for each that is refused.
    Edit,
    /// `transform-request` responds with all that it can read, as JSON.
    Report,
    /// `transform-request` writes the note `note` (the request's header `x-note`, or `noted`), and
    /// `transform-response` tells it in `x-note`, or `absent`.
    Note,
    /// Writes the note `note` (`faulted`), and traps; otherwise as `note`, but writes none.
    NoteAndTrap,
    /// `configure` grows the memory as far as it goes.
    MemoryFill,
    /// `configure` grows the memory until `amount` pages are left of `memory-pages`.
    MemoryFillBut,
    ClockInConfigure,
    RandomInConfigure,
    CryptoInConfigure,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    Configure,
    Authorize,
    #[default]
    TransformRequest,
    TransformResponse,
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Hook::Configure => "configure",
            Hook::Authorize => "authorize",
            Hook::TransformRequest => "transform-request",
            Hook::TransformResponse => "transform-response",
        }
    }
}

pub struct Hostile {
    act: Act,
    hook: Hook,
    amount: u64,
    edits: Vec<Edit>,
    plugin: String,
}

/// How many times each hook was called, and this act's own.
static HOOK_CALLS: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// What an act that came back wants.
enum Done {
    /// To go on, and to tell this.
    Tell(Vec<(&'static str, String)>),
    /// To end here.
    Reply(Reply),
}

impl Plugin for Hostile {
    type Config = Config;

    fn configure(config: Config) -> Result<Self> {
        let edits = config.edits.iter();
        let hostile = Hostile {
            act: config.act,
            hook: config.hook,
            amount: config.amount,
            edits: edits
                .map(|words| Edit::read(words, config.hook))
                .collect::<Result<_>>()?,
            plugin: config.plugin,
        };
        hostile.check_hook()?;
        match hostile.act {
            Act::MemoryFill => {
                memory::reserve_heap();
                memory::fill();
            }
            Act::MemoryFillBut => {
                memory::reserve_heap();
                let leave = usize::try_from(config.amount)?;
                let target = config.memory_pages.saturating_sub(leave);
                if memory::grow(target.saturating_sub(memory::pages())).is_none() {
                    return Err(format!("cannot grow to {target} pages").into());
                }
            }
            Act::ClockInConfigure => log::info(&format!("it is {:?}", clock::since_epoch())),
            Act::RandomInConfigure => log::info(&format!("drew {}", random::next_u64())),
            Act::CryptoInConfigure => log::info(&escape(&crypto::sha256(b"abc"))),
            Act::Leak => leak::prepare(),
            _ if hostile.hook == Hook::Configure => {
                hostile.perform(None)?;
            }
            _ => {}
        }
        Ok(hostile)
    }
}

impl Hostile {
    /// Refuses acts that their hook cannot do, which a test would otherwise see as good behaviour.
    fn check_hook(&self) -> Result<()> {
        let possible = match self.act {
            Act::HeaderBomb | Act::Edit => {
                matches!(self.hook, Hook::TransformRequest | Hook::TransformResponse)
            }
            Act::AttributeBomb | Act::BadReply | Act::Reply | Act::Leak | Act::Count => {
                self.hook != Hook::Configure
            }
            _ => true,
        };
        if possible {
            Ok(())
        } else {
            Err(format!("this act cannot happen in {}", self.hook.name()).into())
        }
    }

    /// Counts the call, and does the act if this is its hook.
    fn called(&self, hook: Hook, request: &Request) -> Result<Done> {
        let hook_calls = HOOK_CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        if hook != self.hook {
            return Ok(Done::Tell(Vec::new()));
        }
        if self.act == Act::Count {
            let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
            return Ok(Done::Tell(vec![
                ("x-calls", calls.to_string()),
                ("x-hook-calls", hook_calls.to_string()),
            ]));
        }
        self.perform(Some(request))
    }

    /// Does the act, as far as it needs no pen.
    fn perform(&self, request: Option<&Request>) -> Result<Done> {
        let mut tell = Vec::new();
        match self.act {
            Act::Loop => loop {
                black_box(());
            },
            Act::Recurse => {
                log::info(&recurse(0).to_string());
            }
            Act::MemoryBomb => tell.push(("x-allocated-kib", memory::exhaust_heap().to_string())),
            Act::OutOfMemory => {
                black_box(vec![0xA5_u8; 1 << 30]);
            }
            Act::Trap => memory::trap(),
            Act::NoteAndTrap => {
                if let Some(request) = request {
                    request.set_attribute("note", "faulted")?;
                }
                memory::trap()
            }
            Act::Panic => panic!("boom from {}", self.hook.name()),
            Act::Error => return Err("deliberate error".into()),
            Act::HugeLog => {
                let line = "log ".repeat(25_000);
                (0..self.amount).for_each(|_| log::info(&line));
            }
            Act::AttributeBomb => {
                let value = "a".repeat(1024);
                let mut count = 0;
                while request.is_some_and(|it| it.set_attribute(&count.to_string(), &value).is_ok())
                {
                    count += 1;
                }
                tell.push(("x-attributes", count.to_string()));
            }
            Act::BadReply => {
                return Ok(Done::Reply(Reply::new(99).header("bad name", "value")));
            }
            Act::Reply => return Ok(Done::Reply(teapot())),
            Act::Spin => {
                (0..self.amount).for_each(|round| {
                    black_box(round);
                });
            }
            Act::Leak => tell.push(("x-leak", leak::probe())),
            _ => {}
        }
        Ok(Done::Tell(tell))
    }

    /// Does the act with a pen, and tells what there is to tell with it.
    fn write(&self, pen: &mut impl Pen, hook: Hook, done: Done) -> Result<Outcome> {
        let tell = match done {
            Done::Reply(reply) => return Ok(Outcome::Respond(reply)),
            Done::Tell(tell) => tell,
        };
        for (name, value) in tell {
            pen.set(name, value.as_bytes())?;
        }
        if hook == self.hook {
            match self.act {
                Act::Edit => edits::edit(pen, &self.edits)?,
                Act::HeaderBomb => edits::header_bomb(pen)?,
                _ => {}
            }
        }
        Ok(Outcome::Next)
    }
}

impl Authorizer for Hostile {
    fn authorize(&self, request: &Request) -> Result<Decision> {
        Ok(match self.called(Hook::Authorize, request)? {
            Done::Reply(reply) => Decision::deny(reply),
            Done::Tell(tell) if tell.is_empty() => Decision::allow("hostile"),
            Done::Tell(tell) => {
                let mut reply = Reply::new(403);
                for (name, value) in tell {
                    reply = reply.header(name, &value);
                    reply.body.extend(format!("{name}: {value}\n").bytes());
                }
                Decision::deny(reply)
            }
        })
    }
}

impl RequestTransformer for Hostile {
    fn transform_request(&self, request: &mut EditableRequest<'_>) -> Result<Outcome> {
        let done = self.called(Hook::TransformRequest, request)?;
        match self.act {
            Act::Report => {
                let reply = report::report(request, &self.plugin)?;
                return Ok(Outcome::Respond(reply));
            }
            Act::Note => {
                let note = request.header_text("x-note");
                request.set_attribute("note", note.as_deref().unwrap_or("noted"))?;
            }
            _ => {}
        }
        self.write(request, Hook::TransformRequest, done)
    }
}

impl ResponseTransformer for Hostile {
    fn transform_response(
        &self,
        request: &Request,
        response: &mut EditableResponse<'_>,
    ) -> Result<Outcome> {
        let done = self.called(Hook::TransformResponse, request)?;
        if matches!(self.act, Act::Note | Act::NoteAndTrap) {
            let note = match self.plugin.as_str() {
                "" => request.own_attribute("note"),
                plugin => request.attribute(plugin, "note"),
            };
            response.set_header("x-note", note.as_deref().unwrap_or("absent"))?;
        }
        self.write(response, Hook::TransformResponse, done)
    }
}

export!(Hostile: Authorizer, RequestTransformer, ResponseTransformer);

/// Two lines of one name that must not be merged, and a value that is not UTF-8.
fn teapot() -> Reply {
    Reply::new(418)
        .header("content-type", "text/plain")
        .header("set-cookie", "a=1; Path=/")
        .header("set-cookie", "b=2; Path=/")
        .header("x-latin-1", b"caf\xe9")
        .body("teapot")
}

/// Needs a frame for each level: what comes after the call depends on it, and the compiler does not
/// know that the end is never reached.
fn recurse(level: u64) -> u64 {
    static SALT: AtomicU64 = AtomicU64::new(1);
    if level == u64::MAX - SALT.load(Ordering::Relaxed) {
        return level;
    }
    let below = recurse(level + 1);
    SALT.fetch_xor(below, Ordering::Relaxed).rotate_left(7) ^ below.wrapping_mul(31)
}

/// Printable ASCII as it is, every other byte (and the backslash) as `\xNN`.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b' '..=b'~' if byte != b'\\' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}
