//! The handles of records that were sent by one call.
//!
//! Made by that call, on its thread; kept as ranges of lots, so that thousands of records need no handle each until somebody asks for
//! one. May be used on any thread.

use super::delivery::{Delivery, DeliveryReport};
use super::lot::Lot;
use crate::Result;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records of one lot, one behind the other.
#[derive(Clone)]
struct Run {
    lot: Arc<Lot>,
    first: u8,
    /// From 1.
    count: usize,
}

impl Run {
    fn get(&self, place: usize) -> Delivery {
        Delivery::of(Arc::clone(&self.lot), self.first + place as u8)
    }
}

/// Records on their way, in the order in which they were sent: wait for them, take a handle of one, or let them go.
#[derive(Clone, Default)]
pub struct Deliveries {
    runs: Vec<Run>,
    len: usize,
}

impl Deliveries {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The handle of the record at this place, from 0.
    pub fn get(&self, place: usize) -> Option<Delivery> {
        let mut place = place;
        for run in &self.runs {
            if place < run.count {
                return Some(run.get(place));
            }
            place -= run.count;
        }
        None
    }

    /// The handles, in order.
    pub fn iter(&self) -> impl Iterator<Item = Delivery> + '_ {
        self.runs.iter().flat_map(|run| (0..run.count).map(|place| run.get(place)))
    }

    /// Waits until all were acknowledged or given up, and returns what became of each, in order.
    ///
    /// # Errors
    /// Of the first record that failed, after all have ended: as [`Delivery::wait`].
    pub fn wait(&self, timeout: Duration) -> Result<Vec<DeliveryReport>> {
        let deadline = Instant::now().checked_add(timeout);
        let left = || deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
        let results: Vec<_> =
            self.iter().map(|delivery| delivery.outcome().unwrap_or_else(|| delivery.wait(left()))).collect();
        results.into_iter().collect()
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        let (lot, number) = delivery.into_place();
        self.add(lot, number, 1);
    }

    pub(super) fn add(&mut self, lot: Arc<Lot>, first: u8, count: usize) {
        self.len += count;
        match self.runs.last_mut() {
            Some(last)
                if Arc::ptr_eq(&last.lot, &lot) && usize::from(last.first) + last.count == usize::from(first) =>
            {
                last.count += count;
            }
            _ if count > 0 => self.runs.push(Run { lot, first, count }),
            _ => {}
        }
    }
}

impl Extend<Delivery> for Deliveries {
    fn extend<I: IntoIterator<Item = Delivery>>(&mut self, more: I) {
        more.into_iter().for_each(|delivery| self.push(delivery));
    }
}

impl FromIterator<Delivery> for Deliveries {
    fn from_iter<I: IntoIterator<Item = Delivery>>(all: I) -> Self {
        let mut deliveries = Self::default();
        deliveries.extend(all);
        deliveries
    }
}

impl IntoIterator for &Deliveries {
    type Item = Delivery;
    type IntoIter = std::vec::IntoIter<Delivery>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter().collect::<Vec<_>>().into_iter()
    }
}

impl IntoIterator for Deliveries {
    type Item = Delivery;
    type IntoIter = std::vec::IntoIter<Delivery>;

    fn into_iter(self) -> Self::IntoIter {
        (&self).into_iter()
    }
}

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliveries").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::lot::Pile;
    use super::*;

    #[test]
    fn handles_come_in_the_order_of_their_records_over_lots_and_topics() {
        let (one, other) = (Pile::new(Arc::from("one")), Pile::new(Arc::from("other")));
        let handles: Vec<_> = (0..700).map(|n| if n % 100 == 99 { &other } else { &one }.take(None, None)).collect();
        let deliveries: Deliveries = handles.iter().cloned().collect();
        assert_eq!((deliveries.len(), deliveries.iter().count()), (700, 700));
        for (place, (handle, other)) in handles.iter().zip(deliveries.iter()).enumerate() {
            let report = DeliveryReport { partition: 0, offset: place as i64, timestamp_ms: -1 };
            handle.end(Ok(report));
            assert_eq!(other.outcome().unwrap().unwrap(), report);
            assert_eq!(deliveries.get(place).unwrap().outcome().unwrap().unwrap(), report);
        }
        assert!(deliveries.get(700).is_none() && deliveries.runs.len() < 30);
        assert_eq!(deliveries.wait(Duration::ZERO).unwrap().len(), 700);
    }
}
