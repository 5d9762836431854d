//! Windows of quotas: periods of the proleptic Gregorian calendar in UTC, weeks by ISO 8601.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan, tz::TimeZone};

use super::Period;

const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: i64 = 24 * MS_PER_HOUR;

/// The time range that windows are computed for. A clock outside it is not set, and counts as the nearer end.
const FROM_MS: i64 = 0;
const TO_MS: i64 = 253_370_764_799_999; // the end of year 9998; jiff's calendar ends a year later

/// One period of the calendar, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start_ms: i64,
    /// The first moment after it.
    pub end_ms: i64,
}

impl Window {
    /// Returns its length in seconds, a whole number since every period is made of whole minutes.
    pub fn seconds(&self) -> u64 {
        u64::try_from(self.end_ms.saturating_sub(self.start_ms) / 1_000).unwrap_or(0)
    }
}

/// Computes windows, and remembers the current ones that need a calendar.
#[derive(Default)]
pub struct Calendar {
    week: Days,
    month: Days,
    year: Days,
}

impl Calendar {
    pub fn window(&self, period: Period, unix_ms: i64) -> Window {
        let unix_ms = unix_ms.clamp(FROM_MS, TO_MS);
        match period {
            // UTC as computers count it has no leap seconds, so each of these has a fixed length.
            Period::Minute => fixed(unix_ms, MS_PER_MINUTE),
            Period::Hour => fixed(unix_ms, MS_PER_HOUR),
            Period::Day => fixed(unix_ms, MS_PER_DAY),
            Period::Week => self.week.window(period, unix_ms),
            Period::Month => self.month.window(period, unix_ms),
            Period::Year => self.year.window(period, unix_ms),
        }
    }
}

fn fixed(unix_ms: i64, length: i64) -> Window {
    let start_ms = unix_ms - unix_ms.rem_euclid(length);
    Window {
        start_ms,
        end_ms: start_ms + length,
    }
}

/// A range of days since 1970, the first in the upper half. It is one word so that another thread never sees
/// half of an old window and half of a new one.
#[derive(Default)]
struct Days(AtomicU64);

impl Days {
    fn window(&self, period: Period, unix_ms: i64) -> Window {
        let day = unix_ms.div_euclid(MS_PER_DAY);
        let packed = self.0.load(Ordering::Relaxed);
        let (mut from, mut to) = ((packed >> 32) as i64, (packed & 0xFFFF_FFFF) as i64);
        if !(from..to).contains(&day) {
            // Never fails within the range above; if it did, one endless window would go on counting.
            (from, to) = days(period, unix_ms).unwrap_or((0, u32::MAX.into()));
            let packed = (from as u64) << 32 | to as u64;
            self.0.store(packed, Ordering::Relaxed);
        }
        Window {
            start_ms: from * MS_PER_DAY,
            end_ms: to * MS_PER_DAY,
        }
    }
}

/// Returns the first day of the period that contains this moment, and the first day after it.
fn days(period: Period, unix_ms: i64) -> Result<(i64, i64), jiff::Error> {
    let today = TimeZone::UTC
        .to_datetime(Timestamp::from_millisecond(unix_ms)?)
        .date();
    let (start, length) = match period {
        Period::Year => (today.first_of_year(), 1.year()),
        Period::Month => (today.first_of_month(), 1.month()),
        Period::Week => {
            let since_monday = today.weekday().to_monday_zero_offset();
            (today.checked_sub(i64::from(since_monday).days())?, 1.week())
        }
        Period::Day | Period::Hour | Period::Minute => (today, 1.day()),
    };
    let end = start.checked_add(length)?;
    Ok((since_1970(start)?, since_1970(end)?))
}

fn since_1970(day: Date) -> Result<i64, jiff::Error> {
    // The week of 1970's first day began before 1970, which an unsigned half cannot hold.
    let days = day.since(date(1970, 1, 1))?.get_days();
    Ok(i64::from(days).max(0))
}
