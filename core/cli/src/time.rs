//! Times and durations as people write them.
//!
//! Pure, but for the clock that a time "ago" is counted from.

use std::time::{Duration, SystemTime};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration: a number and its unit, such as `500ms`, `10s`, `5m`, `2h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; it looks like 500ms, 10s, 5m, 2h or 7d");
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs).ok_or_else(wrong);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(MINUTE),
        "h" => seconds(HOUR),
        "d" => seconds(DAY),
        _ => Err(wrong()),
    }
}

/// Milliseconds since 1970-01-01 UTC: such a number, a time such as `2026-11-21T20:00:00Z`, or a duration before now.
pub(crate) fn instant(text: &str) -> Result<i64, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(milliseconds) = text.parse()
    {
        return Ok(milliseconds);
    }
    if let Some(milliseconds) = calendar(text) {
        return Ok(milliseconds);
    }
    let ago = duration(text).map_err(|_| {
        format!("{text:?} is no time; it looks like 2026-11-21T20:00:00Z, 1790000000000 (milliseconds) or 2h (ago)")
    })?;
    Ok(now().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
}

/// Now, in the same unit.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time for people and for JSON: `2026-11-21T20:00:00.000Z`.
pub(crate) fn shown(milliseconds: i64) -> String {
    let (days, rest) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", rest % 1000)
}

/// `2026-11-21`, with a time behind a `T` or a space, with a fraction, and with `Z` or an offset such as `+01:00`.
fn calendar(text: &str) -> Option<i64> {
    let number = |text: &str| -> Option<i64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, "00:00:00Z"),
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let offset = match zone {
        "" | "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next().map_or(Some(0), number)?;
    if hour > 23 || minute > 59 || second > 59 || fraction.is_empty() {
        return None;
    }
    let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
    let days = days_of(year, month, day);
    // The day has to be one: 30 February is none.
    (date_of(days) == (year, month, day)).then_some(())?;
    Some(((days * 24 + hour) * 60 + minute - offset) * 60_000 + second * 1000 + number(&padded)?)
}

/// Days since 1970-01-01 of a date in the Gregorian calendar, counted in years that begin in March.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for (text, milliseconds) in [
            ("1970-01-01", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2026-11-21T20:00:00Z", 1_795_291_200_000),
            ("2026-11-21 21:00:00.5+01:00", 1_795_291_200_500),
            ("2026-11-21T14:30:00-05:30", 1_795_291_200_000),
            ("1795291200000", 1_795_291_200_000),
        ] {
            assert_eq!(instant(text), Ok(milliseconds), "{text}");
        }
        assert_eq!(shown(1_795_291_200_500), "2026-11-21T20:00:00.500Z");
        for day in -800_000..800_000 {
            let (year, month, date) = date_of(day);
            assert_eq!(days_of(year, month, date), day);
        }
    }

    #[test]
    fn a_duration_is_a_time_ago() {
        let ago = now() - instant("2h").unwrap_or_default();
        assert!((7_200_000 - 1000..7_200_000 + 60_000).contains(&ago), "{ago}");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-13-01",
            "2026-11-21T25:00:00Z",
            "2026-11-21T20:00:00+24:00",
            "2026-11-21T20:00:00+01:60",
            "2026-11-21T20:00:00+9223372036854775807:00",
            "2026-11-21T20:00:00-00:9223372036854775807",
            "-5",
            "5",
            "2x",
            "2026-11-21T",
        ] {
            assert!(text == "5" || instant(text).is_err(), "{text}");
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
