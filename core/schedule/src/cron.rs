//! When a recurring task is due: a cron pattern in a time zone.
//!
//! Pure; used by whoever decides about tasks. Patterns have five fields (minute, hour, day of the month, month, day of the week), or
//! six with seconds before them, or a name such as `@daily`. A time that the clocks skip in spring comes when they have been put
//! forward, and not at all where a whole day is skipped; one that they show twice in autumn comes once, the first time. Patterns for every so many minutes or hours go on through
//! both, as time does.

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneTransition};
use jiff::{SignedDuration, Timestamp, Zoned};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Among how many changes of a zone's clocks one is looked for that skips a day: those of years.
const MOST_TRANSITIONS: usize = 32;

/// What the fields are called, and what they take; the seconds may be left out.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31, L for the last, or W for a weekday near it"),
    ("month", "1-12 or JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT, with # or L for one of the month"),
];

const NAMES: [&str; 6] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"];

/// A cron pattern in a time zone.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    text: String,
    zone: TimeZone,
}

impl Cron {
    /// Reads a pattern; the zone is a name of the IANA database, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub fn new(pattern: &str, zone: &str) -> Result<Self, String> {
        let read = read(pattern).map_err(|words| format!("{pattern:?} is no cron pattern: {words}"))?;
        let found = TimeZone::get(zone).map_err(|_| format!("there is no time zone {zone:?}"))?;
        let cron = Self { pattern: read, text: format!("{pattern} {zone}"), zone: found };
        // 2024 is a leap year, and what does not come within the years that follow never comes.
        match cron.next_after(1_704_067_200_000) {
            Some(_) => Ok(cron),
            None => Err(format!("{pattern:?} never comes")),
        }
    }

    /// Pattern and zone, by which two are told apart.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after this one, both in milliseconds since 1970-01-01 UTC.
    pub fn next_after(&self, time: i64) -> Option<i64> {
        let from = self.zoned(time)?;
        let found = self.pattern.find_next_occurrence(&from, false).ok().or_else(|| {
            let skips = self.zone.following(from.timestamp()).take(MOST_TRANSITIONS).filter(|skip| self.skips(skip));
            let mut behind = skips.map(|skip| skip.timestamp().to_zoned(self.zone.clone()));
            behind.find_map(|behind| self.pattern.find_next_occurrence(&behind, true).ok())
        })?;
        Some(found.timestamp().as_millisecond()).filter(|found| *found > time)
    }

    /// The last time that is not after this one.
    pub fn last_until(&self, time: i64) -> Option<i64> {
        let until = self.zoned(time)?;
        let found = self.pattern.find_previous_occurrence(&until, true).ok().or_else(|| {
            let after = until.timestamp().checked_add(SECOND).ok()?;
            let skips = self.zone.preceding(after).take(MOST_TRANSITIONS).filter(|skip| self.skips(skip));
            let mut before = skips.filter_map(|skip| skip.timestamp().checked_sub(SECOND).ok());
            before.find_map(|before| {
                self.pattern.find_previous_occurrence(&before.to_zoned(self.zone.clone()), true).ok()
            })
        })?;
        Some(found.timestamp().as_millisecond()).filter(|found| *found <= time)
    }

    /// Whether clocks are put forward here by more than the search of patterns looks beyond: Samoa had no 30 December 2011. What
    /// would have come then does not come, as on a day that is in no calendar, and what comes behind it does.
    fn skips(&self, transition: &TimeZoneTransition<'_>) -> bool {
        let before = transition.timestamp().checked_sub(SECOND);
        before.is_ok_and(|before| transition.offset().seconds() - self.zone.to_offset(before).seconds() > 2 * 60 * 60)
    }

    fn zoned(&self, time: i64) -> Option<Zoned> {
        // Before 1970 nothing was due: what says so goes on from there.
        Some(Timestamp::from_millisecond(time.max(0)).ok()?.to_zoned(self.zone.clone()))
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

fn read(pattern: &str) -> Result<croner::Cron, String> {
    let trimmed = pattern.trim();
    if trimmed.starts_with('@') {
        if !NAMES.contains(&trimmed.to_ascii_lowercase().as_str()) {
            return Err(format!("a name is one of {}", NAMES.join(", ")));
        }
    } else {
        look_at_fields(trimmed)?;
    }
    parser().parse(trimmed).map_err(|error| error.to_string())
}

/// Which field is wrong, by reading each of them alone.
fn look_at_fields(pattern: &str) -> Result<(), String> {
    let fields: Vec<_> = pattern.split_whitespace().collect();
    let Some(left_out) = FIELDS.len().checked_sub(fields.len()).filter(|left_out| *left_out < 2) else {
        return Err(format!(
            "it has {} fields, and not 5 (minute, hour, day of the month, month, day of the week) or 6 with the second before them",
            fields.len()
        ));
    };
    for (place, (field, (name, takes))) in fields.iter().zip(FIELDS.iter().skip(left_out)).enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        if let Some(own) = alone.get_mut(place + left_out) {
            *own = field;
        }
        let is_wrong = field.contains('@') || parser().parse(&alone.join(" ")).is_err();
        if is_wrong {
            return Err(format!("{field:?} is no {name}, which takes {takes}, and lists, ranges and steps of them"));
        }
    }
    Ok(())
}
