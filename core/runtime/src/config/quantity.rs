//! Durations and sizes as text: `"1.5s"`, `"64MiB"`.
//!
//! Pure functions, called by `field` and `option`. Whole milliseconds and whole bytes only, computed exactly: a
//! fraction of them, a sign, an exponent or a missing unit is no quantity.

/// Units of time, in milliseconds.
pub(super) const TIME: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size, in bytes.
pub(super) const SIZE: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Digits and point that a number may have: enough for every range, few enough that the arithmetic cannot overflow.
const LONGEST: usize = 20;

/// The quantity in its smallest unit, if `text` is one.
pub(super) fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || number.len() > LONGEST {
        return None;
    }
    let digits: u128 = [whole, fraction].concat().parse().ok()?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let total = digits.checked_mul(u128::from(*factor))?;
    if total % scale == 0 { u64::try_from(total / scale).ok() } else { None }
}

/// Milliseconds as text that [`parse`] takes back. Minutes are left out: `60s` says more clearly what it is than `1m`.
pub(super) fn show_time(milliseconds: u64) -> String {
    show(milliseconds, &[("h", 3_600_000), ("s", 1_000)], "ms")
}

/// Bytes as text that [`parse`] takes back.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)], "B")
}

fn show(amount: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let fitting = units.iter().find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor));
    match fitting {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => format!("{amount}{smallest}"),
    }
}
