//! Cron patterns in time zones, and what becomes of them where clocks are put forward and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use jiff::{Timestamp, tz::TimeZone};
use karafka_schedule::Cron;

/// The next times after one, as the zone's clocks show them.
fn times(pattern: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron = Cron::new(pattern, zone).unwrap();
    let mut time = after.parse::<Timestamp>().unwrap().as_millisecond();
    let mut times = Vec::new();
    for _ in 0..count {
        time = cron.next_after(time).unwrap();
        let shown = Timestamp::from_millisecond(time).unwrap().to_zoned(TimeZone::get(zone).unwrap());
        times.push(shown.strftime("%m-%d %H:%M:%S%:z").to_string());
    }
    times
}

#[test]
fn patterns_are_read_as_cron_reads_them() {
    assert_eq!(times("30 3 * * *", "UTC", "2026-01-31T03:30:00Z", 2), ["02-01 03:30:00+00:00", "02-02 03:30:00+00:00"]);
    assert_eq!(
        times("*/20 * * * *", "UTC", "2026-01-01T00:10:00Z", 2),
        ["01-01 00:20:00+00:00", "01-01 00:40:00+00:00"]
    );
    assert_eq!(times("0 9 * * MON", "UTC", "2026-01-01T00:00:00Z", 1), ["01-05 09:00:00+00:00"]);
    assert_eq!(
        times("*/15 * * * * *", "UTC", "2026-01-01T00:00:01Z", 2),
        ["01-01 00:00:15+00:00", "01-01 00:00:30+00:00"]
    );
    assert_eq!(times("@daily", "UTC", "2026-01-01T00:00:01Z", 1), ["01-02 00:00:00+00:00"]);
    assert_eq!(times("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["02-29 00:00:00+00:00"]);
    assert_eq!(times("0 0 L * *", "UTC", "2026-02-01T00:00:00Z", 1), ["02-28 00:00:00+00:00"]);
    assert_eq!(times("0 0 15W * *", "UTC", "2026-02-01T00:00:00Z", 1), ["02-16 00:00:00+00:00"]);
    assert_eq!(times("0 0 * * MON#2", "UTC", "2026-02-01T00:00:00Z", 1), ["02-09 00:00:00+00:00"]);
    assert_eq!(times("0 0 * * FRI#L", "UTC", "2026-02-01T00:00:00Z", 1), ["02-27 00:00:00+00:00"]);
    // The first of the month, or a Friday.
    assert_eq!(
        times("0 0 1 * FRI", "UTC", "2026-01-30T12:00:00Z", 2),
        ["02-01 00:00:00+00:00", "02-06 00:00:00+00:00"]
    );
    assert_eq!(times("30 8 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1), ["01-01 08:30:00+05:30"]);
}

#[test]
fn a_time_that_is_skipped_in_spring_comes_when_the_clocks_are_forward() {
    // Berlin, 29 March 2026: 02:00 becomes 03:00.
    let shown = times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
    assert_eq!(shown, ["03-28 02:30:00+01:00", "03-29 03:00:00+02:00", "03-30 02:30:00+02:00"]);
    let shown = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3);
    assert_eq!(shown, ["03-29 01:30:00+01:00", "03-29 03:00:00+02:00", "03-29 03:30:00+02:00"]);
}

/// Samoa went over the date line: 29 December 2011 was followed by the 31st.
#[test]
fn a_day_that_is_skipped_has_no_times_and_ends_none() {
    let shown = |pattern, after| times(pattern, "Pacific/Apia", after, 2);
    for after in ["2011-12-29T12:00:00Z", "2011-12-30T09:59:59Z"] {
        assert_eq!(shown("0 0 * * *", after), ["12-31 00:00:00+14:00", "01-01 00:00:00+14:00"]);
    }
    assert_eq!(shown("30 9 * * *", "2011-12-29T20:00:00Z"), ["12-31 09:30:00+14:00", "01-01 09:30:00+14:00"]);
    assert_eq!(shown("0 12 * * FRI", "2011-12-29T20:00:00Z"), ["01-06 12:00:00+14:00", "01-13 12:00:00+14:00"]);
    assert_eq!(shown("*/30 * * * *", "2011-12-30T09:29:00Z"), ["12-29 23:30:00-10:00", "12-31 00:00:00+14:00"]);
    let (cron, at) = (Cron::new("30 9 * * *", "Pacific/Apia").unwrap(), |time: &str| {
        time.parse::<Timestamp>().unwrap().as_millisecond()
    });
    for (until, last) in [
        ("2011-12-30T18:00:00Z", "2011-12-29T19:30:00Z"),
        ("2011-12-30T10:00:00Z", "2011-12-29T19:30:00Z"),
        ("2011-12-30T19:30:00Z", "2011-12-30T19:30:00Z"),
    ] {
        assert_eq!(cron.last_until(at(until)), Some(at(last)), "{until}");
    }
}

#[test]
fn a_time_that_comes_twice_in_autumn_is_meant_once() {
    // Berlin, 25 October 2026: 03:00 becomes 02:00.
    let shown = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(shown, ["10-25 02:30:00+02:00", "10-26 02:30:00+01:00"]);
    let shown = times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 5);
    assert_eq!(
        shown,
        [
            "10-25 02:00:00+02:00",
            "10-25 02:30:00+02:00",
            "10-25 02:00:00+01:00",
            "10-25 02:30:00+01:00",
            "10-25 03:00:00+01:00"
        ]
    );
}

#[test]
fn what_is_no_pattern_is_refused_in_words() {
    for (pattern, zone, words) in [
        ("60 * * * *", "UTC", "\"60 * * * *\" is no cron pattern: \"60\" is no minute, which takes 0-59,"),
        ("60 * * * * *", "UTC", "\"60\" is no second, which takes 0-59"),
        ("0 24 * * *", "UTC", "\"24\" is no hour"),
        ("0 0 0 * *", "UTC", "\"0\" is no day of the month"),
        ("0 0 1 JANUARY *", "UTC", "\"JANUARY\" is no month"),
        ("0 0 * * MONDAY", "UTC", "\"MONDAY\" is no day of the week"),
        ("*/0 * * * *", "UTC", "\"*/0\" is no minute"),
        ("5-1 * * * *", "UTC", "\"5-1\" is no minute"),
        ("every day", "UTC", "it has 2 fields, and not 5"),
        ("0 0 0 1 1 * 2027", "UTC", "it has 7 fields, and not 5"),
        ("", "UTC", "it has 0 fields, and not 5"),
        ("@dayly", "UTC", "a name is one of @yearly,"),
        ("* @daily * * *", "UTC", "\"@daily\" is no hour"),
        ("* * * * *", "Europe/Berlinn", "there is no time zone \"Europe/Berlinn\""),
        ("0 0 30 2 *", "UTC", "\"0 0 30 2 *\" never comes"),
    ] {
        let told = Cron::new(pattern, zone).unwrap_err();
        assert!(told.contains(words), "{pattern}: {told}");
    }
}
