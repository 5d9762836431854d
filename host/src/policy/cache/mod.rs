//! The mechanism of the HTTP cache: what is stored, when it may answer, and which requests wait for which
//! fetch.
//!
//! A shared cache (RFC 9111) in memory. A plugin says whether and under which key a request may be
//! answered from it; everything else is decided here. It does no I/O: the host asks [`Cache::lookup`]
//! on the way in and hands the response of the inner chain to [`Fill::answer`] or [`Pass::answer`] on
//! the way out.
//!
//! Three submodules: `rules` is RFC 9111 as functions, `bodies` sends bodies while they arrive, `kept` holds stored
//! responses and the requests waiting for a fetch. The files beside them are the way in and the way out.

mod answer;
mod bodies;
mod fill;
mod freshen;
mod keep;
mod kept;
mod lookup;
mod pass;
mod rules;
mod serve;
mod shared;

#[cfg(test)]
mod tests;

pub use answer::Served;
pub use fill::{Fill, Filled};
pub use kept::flight::Followers;
pub use lookup::{CacheRequest, Found, KeyMode};
pub use pass::Pass;
pub use rules::storage::{Retention, Storage};
pub use rules::vary::may_vary_inside;
pub use shared::{Cache, PurgeKey, Settings};
