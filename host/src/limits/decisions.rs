//! Bounds of remembered decisions.

use std::time::Duration;

/// Getters that one decision may hang on: more than any sensible policy asks, and each is evaluated
/// for every request.
pub const FACTS_MAX: usize = 64;
/// The names in them, in bytes.
pub const FACT_NAME_BYTES_MAX: usize = 4 << 10;
/// Lists of getters that one policy learns: its ways through its own logic. What follows another is
/// not remembered.
pub const FACT_LISTS_MAX: usize = 16;
/// Lists that answers which are not to be remembered may take of these, so that there is room for
/// those that are.
pub const FACT_LISTS_DECLINED_MAX: usize = 8;
/// What is looked at to hold one request against all lists, in bytes: a third of a millisecond. This
/// is done outside the plugin's processor time, and a plugin could name costly getters many times.
pub const RECALL_BYTES_MAX: usize = 256 << 10;
/// How long a decision is remembered at most: beyond a day, an operator would not expect it.
pub const REMEMBER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// One decision, in bytes: a grant or an error page. A few larger ones would push out all others.
pub const DECISION_BYTES_MAX: usize = 64 << 10;
/// What a remembered decision costs beside its content, in bytes: key, time, and its places in the
/// store's tables.
pub const DECISION_OVERHEAD_BYTES: usize = 160;
/// How long a request waits for the answer to an identical one, in all: longer than a call takes with
/// the default bounds on its wait and its elapsed time.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_millis(200);
/// How often it waits: for the next in line where the one who asked vanished, or because the answer
/// taught a new list.
pub const ANSWER_WAITS_MAX: usize = 8;
/// Requests that wait for one answer. More ask for themselves; so many wake at once.
pub const ANSWER_WAITERS_MAX: usize = 4_096;
/// What it is counted as to find one name among as many as there may be of its kind, in bytes.
pub const LOOK_UP_BYTES: usize = 256;
