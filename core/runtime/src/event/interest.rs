//! Which events a subscription wants: names and patterns, as a set.
//!
//! Read once, when somebody subscribes; asked for every event. Plain data.

use super::table::{self, EventClass, STATISTICS, events};
use crate::{Error, ErrorKind, Event, Result};

/// A set of events by their places in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interest(pub(super) u64);

impl Interest {
    /// What a subscription gets that names nothing: all but events of single calls.
    pub(super) fn usual() -> Self {
        Self::of(|spec| spec.class != EventClass::PerJob)
    }

    /// What these names and patterns stand for.
    ///
    /// # Errors
    /// `Config` for one that no event has.
    pub(super) fn read(names: &[impl AsRef<str>]) -> Result<Self> {
        let mut bits = 0;
        for name in names.iter().map(AsRef::as_ref) {
            let found = Self::of(|spec| spec.is_named_by(name));
            if found.0 == 0 {
                let shown: String = name.chars().take(100).flat_map(char::escape_debug).collect();
                let near = nearest(name).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
                let message = format!("there is no event \"{shown}\"{near}");
                return Err(Error::new(ErrorKind::Config, "subscribe", message));
            }
            bits |= found.0;
        }
        Ok(Self(bits))
    }

    fn of(wanted: impl Fn(&table::EventSpec) -> bool) -> Self {
        let places = events().iter().enumerate().filter(|(_, spec)| wanted(spec));
        Self(places.fold(0, |bits, (place, _)| bits | 1 << place))
    }

    pub(super) fn has(self, event: &Event) -> bool {
        self.0 & 1 << event.number() != 0
    }

    pub(super) fn has_statistics(self) -> bool {
        self.0 & Self::of(|spec| spec.name == STATISTICS).0 != 0
    }
}

/// The event whose name has most letters in common with this one, at the same distance from begin or end.
fn nearest(name: &str) -> Option<&'static str> {
    let alike = |known: &str| {
        let begin = known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        let end = known.bytes().rev().zip(name.bytes().rev()).take_while(|(a, b)| a == b).count();
        (begin + end).min(known.len())
    };
    let best = events().iter().map(|spec| spec.name).max_by_key(|known| alike(known))?;
    (alike(best) * 2 >= best.len()).then_some(best)
}
