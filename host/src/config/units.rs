//! Quantities with units: durations and sizes, as text to value and back.

use std::time::Duration;

/// Milliseconds per unit.
const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
/// Bytes per unit.
const SIZES: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    quantity(text, &DURATIONS, "10ms").map(Duration::from_millis)
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    quantity(text, &SIZES, "16MiB")
}

pub(super) fn show_duration(duration: Duration) -> String {
    show(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        &DURATIONS,
    )
}

pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

/// A whole number followed directly by a unit. Fractions are left out on purpose: `1500ms` says the
/// same as `1.5s` and is never rounded.
fn quantity(text: &str, units: &[(&str, u64)], example: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let accepted = || {
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
        format!(
            "a whole number and one of the units {}, as in \"{example}\"",
            names.join(", ")
        )
    };
    if number.is_empty() {
        return Err(accepted());
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(accepted());
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| "a smaller number".to_owned())
}

/// In the largest unit that leaves no fraction.
fn show(value: u64, units: &[(&str, u64)]) -> String {
    let whole = units
        .iter()
        .rev()
        .find(|(_, factor)| value.is_multiple_of(*factor) && value >= *factor);
    let (name, factor) = whole.or(units.first()).copied().unwrap_or(("", 1));
    format!("{}{name}", value / factor)
}
