//! What a reader of the history knows after each event: the readable records of each log, who owned what, and the jobs.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use crate::history::{Event, HandedOut, Owner, Place};

/// A readable record.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub offset: i64,
    pub order: Option<u64>,
    /// Compacted away or deleted: it need not be read any more.
    pub removed: bool,
}

/// An ownership that was begun, also after its end.
#[derive(Clone, Debug)]
pub struct Owned {
    pub generation: u32,
    pub start: i64,
    pub done: Vec<Range<i64>>,
    /// It may know of records from here on that were cut off.
    pub cut: Option<i64>,
    pub gone: bool,
}

impl Owned {
    /// Whether somebody said before it began that a record is done.
    pub fn knew(&self, offset: i64) -> bool {
        offset < self.start || self.done.iter().any(|run| run.contains(&offset))
    }
}

#[derive(Default)]
pub struct View<'a> {
    logs: BTreeMap<Place, Vec<Known>>,
    owned: BTreeMap<(Owner, Place), Owned>,
    jobs: HashMap<u64, &'a HandedOut>,
}

impl<'a> View<'a> {
    pub fn follow(&mut self, event: &'a Event) {
        match event {
            Event::Readable { place, records } => {
                let known =
                    records.iter().map(|record| Known { offset: record.offset, order: record.order, removed: false });
                self.logs.entry(*place).or_default().extend(known);
            }
            Event::Removed { place, offsets } => {
                let log = self.logs.entry(*place).or_default();
                for offset in offsets {
                    if let Ok(index) = log.binary_search_by_key(offset, |known| known.offset) {
                        log[index].removed = true;
                    }
                }
            }
            Event::Truncated { place, end } => {
                self.logs.entry(*place).or_default().retain(|known| known.offset < *end);
                for (_, owned) in self.owned.iter_mut().filter(|((_, at), _)| at == place) {
                    owned.cut = Some(owned.cut.unwrap_or(*end).min(*end));
                }
            }
            Event::Assigned { owner, place, generation, start, done, .. } => {
                let (generation, start) = (*generation, *start);
                let owned = Owned { generation, start, done: done.clone(), cut: None, gone: false };
                self.owned.insert((*owner, *place), owned);
            }
            Event::Followed { owner, place } => {
                if let Some(owned) = self.owned.get_mut(&(*owner, *place)) {
                    owned.cut = None;
                }
            }
            Event::Gone { owner, place, .. } => {
                if let Some(owned) = self.owned.get_mut(&(*owner, *place)) {
                    owned.gone = true;
                }
            }
            Event::Crashed { process } => {
                for (_, owned) in self.owned.iter_mut().filter(|((owner, _), _)| owner.process == *process) {
                    owned.gone = true;
                }
            }
            Event::HandedOut { call, job } => {
                self.jobs.insert(*call, job);
            }
            _ => {}
        }
    }

    /// The readable records of a log, removed ones among them.
    pub fn log(&self, place: Place) -> &[Known] {
        self.logs.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The readable records with these offsets.
    pub fn records(&self, place: Place, offsets: Range<i64>) -> impl Iterator<Item = Known> + '_ {
        let log = self.log(place);
        let first = log.partition_point(|known| known.offset < offsets.start);
        log[first..].iter().take_while(move |known| known.offset < offsets.end).copied()
    }

    pub fn record(&self, place: Place, offset: i64) -> Option<Known> {
        self.records(place, offset..offset + 1).next()
    }

    /// Whether there is something to read or to commit from `position` on.
    pub fn lags(&self, place: Place, position: i64) -> bool {
        self.records(place, position..i64::MAX).any(|known| !known.removed)
    }

    pub fn owned(&self, owner: Owner, place: Place) -> Option<&Owned> {
        self.owned.get(&(owner, place))
    }

    pub fn job(&self, call: u64) -> Option<&'a HandedOut> {
        self.jobs.get(&call).copied()
    }
}
