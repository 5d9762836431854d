//! The edges of the calendar.

use jiff::Timestamp;

use super::super::calendar::Calendar;
use super::*;
use Period::{Day, Hour, Minute, Month, Week, Year};

fn ms(time: &str) -> i64 {
    let time: Timestamp = time.parse().expect("a time");
    time.as_millisecond()
}

fn text(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms);
    time.expect("a time of the calendar").to_string()
}

#[track_caller]
fn check(calendar: &Calendar, period: Period, now: &str, start: &str, end: &str) {
    let window = calendar.window(period, ms(now));
    let found = (text(window.start_ms), text(window.end_ms));
    let day = |date: &str| {
        if date.contains('T') {
            date.to_owned()
        } else {
            format!("{date}T00:00:00Z")
        }
    };
    assert_eq!(found, (day(start), day(end)), "{period:?} of {now}");
}

#[test]
fn windows_are_those_of_the_calendar() {
    // One calendar for all, so that each case meets what it remembers of the one before.
    let calendar = Calendar::default();
    let cases = [
        (
            Minute,
            "2026-05-23T23:59:59.999Z",
            "2026-05-23T23:59:00Z",
            "2026-05-24",
        ),
        (
            Hour,
            "2026-12-31T23:00:00Z",
            "2026-12-31T23:00:00Z",
            "2027-01-01",
        ),
        (Day, "2026-05-23T00:00:00Z", "2026-05-23", "2026-05-24"),
        // Leap years: by four, not by a hundred, but by four hundred.
        (
            Month,
            "2028-02-29T23:59:59.999Z",
            "2028-02-01",
            "2028-03-01",
        ),
        (
            Month,
            "2027-02-28T23:59:59.999Z",
            "2027-02-01",
            "2027-03-01",
        ),
        (Day, "2028-02-29T12:00:00Z", "2028-02-29", "2028-03-01"),
        (Month, "2100-02-28T12:00:00Z", "2100-02-01", "2100-03-01"),
        (Month, "2000-02-29T12:00:00Z", "2000-02-01", "2000-03-01"),
        (Year, "2028-12-31T23:59:59.999Z", "2028-01-01", "2029-01-01"),
        (
            Month,
            "2026-12-31T23:59:59.999Z",
            "2026-12-01",
            "2027-01-01",
        ),
        (Year, "2027-01-01T00:00:00Z", "2027-01-01", "2028-01-01"),
        // Weeks start on Monday, also across months and years.
        (Week, "2026-12-31T12:00:00Z", "2026-12-28", "2027-01-04"),
        (Week, "2027-01-03T23:59:59.999Z", "2026-12-28", "2027-01-04"),
        (Week, "2027-01-04T00:00:00Z", "2027-01-04", "2027-01-11"),
        (Week, "2024-12-30T00:00:00Z", "2024-12-30", "2025-01-06"),
        (Week, "2028-02-29T12:00:00Z", "2028-02-28", "2028-03-06"),
        // And back again, as threads may ask.
        (Year, "2026-12-31T23:59:59.999Z", "2026-01-01", "2027-01-01"),
        // The first week began before the first day.
        (Week, "1970-01-01T00:00:00Z", "1970-01-01", "1970-01-05"),
    ];
    for (period, now, start, end) in cases {
        check(&calendar, period, now, start, end);
    }
}

#[test]
fn a_clock_out_of_its_mind_counts_as_the_nearer_end() {
    let calendar = Calendar::default();
    for period in [Minute, Hour, Day, Week, Month, Year] {
        for (mad, sane) in [
            (i64::MIN, "1970-01-01T00:00:00Z"),
            (-1, "1970-01-01T00:00:00Z"),
            (i64::MAX, "9998-12-31T23:59:59.999Z"),
        ] {
            let window = calendar.window(period, ms(sane));
            assert_eq!(calendar.window(period, mad), window);
            assert_eq!(
                calendar.window(period, mad),
                Calendar::default().window(period, mad)
            );
            assert!((window.start_ms..window.end_ms).contains(&ms(sane)));
        }
    }
}

/// Every day of 130 years, found by counting.
#[test]
fn no_day_is_missing_or_counted_twice() {
    let calendar = Calendar::default();
    let first = ms("1990-01-01T00:00:00Z");
    let day = |index: i64| first + index * 86_400_000;
    let (mut year, mut month, mut in_month) = (1990, 1, 1);
    let (mut year_start, mut month_start, mut week_start) = (first, first, first);
    for index in 0..130 * 365 {
        let today = day(index);
        if in_month == 1 {
            month_start = today;
        }
        if in_month == 1 && month == 1 {
            year_start = today;
        }
        // The first day of 1990 was a Monday.
        if index % 7 == 0 {
            week_start = today;
        }
        for moment in [today, today + 86_399_999] {
            assert_eq!(calendar.window(Year, moment).start_ms, year_start);
            assert_eq!(calendar.window(Month, moment).start_ms, month_start);
            assert_eq!(calendar.window(Week, moment).start_ms, week_start);
            assert_eq!(
                calendar.window(Week, moment).end_ms,
                week_start + 7 * 86_400_000
            );
        }
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        in_month += 1;
        if in_month > length {
            assert_eq!(calendar.window(Month, today).end_ms, day(index + 1));
            (month, in_month) = (month + 1, 1);
        }
        if month > 12 {
            assert_eq!(calendar.window(Year, today).end_ms, day(index + 1));
            (year, month) = (year + 1, 1);
        }
    }
}
