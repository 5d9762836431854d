//! HTTP dates (RFC 9110, section 5.6.7), read as leniently as that section asks for.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

const MONTHS: [&[u8]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];
const DAYS: [&[u8]; 7] = [
    b"monday",
    b"tuesday",
    b"wednesday",
    b"thursday",
    b"friday",
    b"saturday",
    b"sunday",
];
const DAY_SECONDS: i64 = 86_400;

/// Reads a date in any of its three forms. Names may be in any case (RFC 9111, section 4.2), and the name of
/// the day need not fit the date, whose numbers decide.
pub fn date(value: &HeaderValue) -> Option<SystemTime> {
    let this_year = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // Accurate enough: only dates fifty years away depend on it.
        1970 + now.unwrap_or_default().as_secs() as i64 / 31_556_952
    };
    read(value.as_bytes(), this_year)
}

fn read(text: &[u8], this_year: impl Fn() -> i64) -> Option<SystemTime> {
    let text = text.trim_ascii().to_ascii_lowercase();
    let written = match text.iter().position(|byte| *byte == b',') {
        // Sun, 06 Nov 1994 08:49:37 GMT
        Some(3) => imf_fixdate(&text),
        // Sunday, 06-Nov-94 08:49:37 GMT
        Some(end) => rfc850(&text, end, this_year),
        // Sun Nov  6 08:49:37 1994
        None => asctime(&text),
    };
    written?.time()
}

struct Written {
    year: i64,
    month: i64,
    day: i64,
    seconds: i64,
}

fn imf_fixdate(text: &[u8]) -> Option<Written> {
    let (day_name, rest) = text.split_at_checked(3)?;
    is_short_day(day_name)?;
    let rest = rest.strip_prefix(b", ")?;
    let [
        d0,
        d1,
        b' ',
        m0,
        m1,
        m2,
        b' ',
        y0,
        y1,
        y2,
        y3,
        b' ',
        clock @ ..,
    ] = rest
    else {
        return None;
    };
    Some(Written {
        year: number(&[*y0, *y1, *y2, *y3])?,
        month: month(&[*m0, *m1, *m2])?,
        day: number(&[*d0, *d1])?,
        seconds: seconds(clock.strip_suffix(b" gmt")?)?,
    })
}

fn rfc850(text: &[u8], end: usize, this_year: impl Fn() -> i64) -> Option<Written> {
    let (day_name, rest) = text.split_at_checked(end)?;
    DAYS.contains(&day_name).then_some(())?;
    let rest = rest.strip_prefix(b", ")?;
    let [d0, d1, b'-', m0, m1, m2, b'-', y0, y1, b' ', clock @ ..] = rest else {
        return None;
    };
    let this_year = this_year();
    let year = this_year / 100 * 100 + number(&[*y0, *y1])?;
    Some(Written {
        // A date more than fifty years ahead means the past.
        year: if year > this_year + 50 {
            year - 100
        } else {
            year
        },
        month: month(&[*m0, *m1, *m2])?,
        day: number(&[*d0, *d1])?,
        seconds: seconds(clock.strip_suffix(b" gmt")?)?,
    })
}

fn asctime(text: &[u8]) -> Option<Written> {
    let (day_name, rest) = text.split_at_checked(3)?;
    is_short_day(day_name)?;
    let [b' ', m0, m1, m2, b' ', d0, d1, b' ', rest @ ..] = rest else {
        return None;
    };
    let (clock, year) = rest.split_at_checked(8)?;
    let d0 = if *d0 == b' ' { b'0' } else { *d0 };
    let [b' ', y0, y1, y2, y3] = year else {
        return None;
    };
    Some(Written {
        year: number(&[*y0, *y1, *y2, *y3])?,
        month: month(&[*m0, *m1, *m2])?,
        day: number(&[d0, *d1])?,
        seconds: seconds(clock)?,
    })
}

fn is_short_day(name: &[u8]) -> Option<()> {
    DAYS.iter().any(|day| day.starts_with(name)).then_some(())
}

fn month(name: &[u8]) -> Option<i64> {
    let index = MONTHS.iter().position(|month| *month == name)?;
    Some(index as i64 + 1)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })
}

/// Returns the second of the day. `60` is a leap second, which clocks here do not have: it is read as the
/// next second.
fn seconds(clock: &[u8]) -> Option<i64> {
    let [h0, h1, b':', m0, m1, b':', s0, s1] = clock else {
        return None;
    };
    let (hour, minute) = (number(&[*h0, *h1])?, number(&[*m0, *m1])?);
    let second = number(&[*s0, *s1])?;
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then_some((hour * 60 + minute) * 60 + second)
}

impl Written {
    fn time(&self) -> Option<SystemTime> {
        let Written {
            year,
            month,
            day,
            seconds,
        } = *self;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_of_month = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if !(1..=days_of_month).contains(&day) {
            return None;
        }
        // Days since 1970-01-01, in years that begin in March, so that a leap day is the last of its year.
        let (year, month) = match month {
            1 | 2 => (year - 1, month + 9),
            _ => (year, month - 3),
        };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468;
        let since = days * DAY_SECONDS + seconds;
        let distance = Duration::from_secs(since.unsigned_abs());
        if since < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Option<i64> {
        let time = read(text.as_bytes(), || 2026)?;
        Some(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs() as i64,
            Err(before) => -(before.duration().as_secs() as i64),
        })
    }

    #[test]
    fn three_forms_and_what_is_close_to_them() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
            "sUN, 06 nOV 1994 08:49:37 gmt",
            "sunday, 06-NOV-94 08:49:37 gMT",
            "SUN NOV  6 08:49:37 1994",
            "Thu, 06 Nov 1994 08:49:37 GMT",
            "Thursday, 06-Nov-94 08:49:37 GMT",
            "Thu Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(at(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn leap_seconds_and_days() {
        let next = at("Sun, 01 Jan 2017 00:00:00 GMT");
        assert_eq!(at("Sat, 31 Dec 2016 23:59:60 GMT"), next);
        assert_eq!(at("Sat Dec 31 23:59:60 2016"), next);
        assert_eq!(at("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
        assert_eq!(at("Mon, 29 Feb 2100 00:00:00 GMT"), None);
        assert_eq!(at("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(at("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
    }

    /// More than fifty years ahead is the past (RFC 9110, section 5.6.7).
    #[test]
    fn years_of_two_digits() {
        for (year, whole) in [
            ("26", 2026),
            ("76", 2076),
            ("77", 1977),
            ("94", 1994),
            ("00", 2000),
        ] {
            let short = at(&format!("Monday, 15-Jun-{year} 00:00:00 GMT"));
            assert_eq!(
                short,
                at(&format!("Mon, 15 Jun {whole} 00:00:00 GMT")),
                "{year}"
            );
            assert!(short.is_some());
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Xxx 1994 08:49:37 GMT",
            "Sunday 06-Nov-94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    proptest! {
        /// Against another implementation, which is strict.
        #[test]
        fn reads_what_is_written(seconds in 0_u64..253_402_300_800) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(at(&httpdate::fmt_http_date(time)), Some(seconds as i64));
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            read(&bytes, || 2026);
        }
    }
}
