//! Lots: what becomes of records that were sent to one topic, one after another.
//!
//! Each record has a slot, which is written once, by whoever reads its report; the record carries a number and a reference to its
//! lot through librdkafka, and so does each handle of it. A record of which nobody wants to hear so costs no memory of its own
//! and 24 bytes to look at, where neither side waits for the other. Called on any thread. Guarantees: a hook is called for
//! exactly once, or dropped with the record that was never sent; a lot lives as long as a record of it is on its way or a handle
//! is held.

use super::delivery::{Delivery, DeliveryReport, Hook, Outcome};
use crate::lock::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

/// Slots of the first lot of a topic, and of each as soon as many are sent: a handle that is kept keeps its lot.
const FIRST: usize = 8;
const MOST: usize = 256;

/// Somebody is to be told: the lot has hooks for the slot.
const HEARD: u8 = 1;
/// The record counts as being on its way until a callback has returned.
const CALLED: u8 = 2;
/// Why it failed is in the place of the offset.
const FAILED: u8 = 4;
const ENDED: u8 = 8;
/// Sent only when the block of its transaction has returned.
const HELD: u8 = 16;

#[derive(Default)]
struct Slot {
    state: AtomicU8,
    partition: AtomicI32,
    offset: AtomicI64,
    timestamp_ms: AtomicI64,
}

/// Aligned so that a slot's number fits into the low byte of the lot's address.
#[repr(align(256))]
pub(crate) struct Lot {
    slots: Box<[Slot]>,
    topic: Arc<str>,
    hooks: Mutex<HashMap<u8, Vec<Hook>>>,
    labels: OnceLock<Box<[OnceLock<Box<str>>]>>,
}

impl Lot {
    fn new(topic: Arc<str>, size: usize) -> Arc<Self> {
        let slots = (0..size).map(|_| Slot::default()).collect();
        Arc::new(Self { slots, topic, hooks: Mutex::default(), labels: OnceLock::new() })
    }

    pub(super) fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    pub(super) fn label(&self, number: u8) -> Option<&str> {
        self.labels.get()?[usize::from(number)].get().map(|label| &**label)
    }

    /// What became of a record, if that is known.
    pub(super) fn outcome(&self, number: u8) -> Option<Outcome> {
        let slot = &self.slots[usize::from(number)];
        let state = slot.state.load(Ordering::Acquire);
        if state & ENDED == 0 {
            return None;
        }
        let offset = slot.offset.load(Ordering::Relaxed);
        if state & FAILED != 0 {
            return Some(Err(offset as i32));
        }
        let partition = slot.partition.load(Ordering::Relaxed);
        Some(Ok(DeliveryReport { partition, offset, timestamp_ms: slot.timestamp_ms.load(Ordering::Relaxed) }))
    }

    pub(super) fn has_callback(&self, number: u8) -> bool {
        self.slots[usize::from(number)].state.load(Ordering::Relaxed) & CALLED != 0
    }

    /// Says that a record is held back.
    pub(super) fn hold(&self, number: u8) {
        self.slots[usize::from(number)].state.fetch_or(HELD, Ordering::AcqRel);
    }

    pub(super) fn is_held(&self, number: u8) -> bool {
        self.slots[usize::from(number)].state.load(Ordering::Relaxed) & HELD != 0
    }

    /// Ends a record's way. What is to be called is returned.
    pub(super) fn end(&self, number: u8, outcome: Outcome) -> Vec<Hook> {
        let slot = &self.slots[usize::from(number)];
        let state = match outcome {
            Ok(report) => {
                slot.partition.store(report.partition, Ordering::Relaxed);
                slot.offset.store(report.offset, Ordering::Relaxed);
                slot.timestamp_ms.store(report.timestamp_ms, Ordering::Relaxed);
                ENDED
            }
            Err(code) => {
                slot.offset.store(i64::from(code), Ordering::Relaxed);
                ENDED | FAILED
            }
        };
        // Who adds a hook says so before it looks whether the record has ended: one of the two sees the other.
        if slot.state.fetch_or(state, Ordering::AcqRel) & HEARD == 0 {
            return Vec::new();
        }
        self.hooks.lock().remove(&number).unwrap_or_default()
    }

    /// Adds who is to be told of a record's end; gives it back when that has come.
    pub(super) fn hear(&self, number: u8, hook: Hook) -> Option<Hook> {
        let mut hooks = self.hooks.lock();
        let is_callback = matches!(hook, Hook::Callback(_));
        let said = HEARD | if is_callback { CALLED } else { 0 };
        if self.slots[usize::from(number)].state.fetch_or(said, Ordering::AcqRel) & ENDED != 0 {
            return Some(hook);
        }
        hooks.entry(number).or_default().push(hook);
        None
    }

    /// Takes hooks of a record back that has not ended.
    pub(super) fn forget(&self, number: u8, which: impl Fn(&Hook) -> bool) {
        if let Some(hooks) = self.hooks.lock().get_mut(&number) {
            hooks.retain(|hook| !which(hook));
        }
    }

    /// The handle of a record that has a lot of its own.
    pub(super) fn alone(topic: &str, label: Option<&str>, hook: Option<Hook>) -> Delivery {
        let delivery = Delivery::of(Self::new(Arc::from(topic), 1), 0);
        delivery.place().0.prepare(0, label, hook);
        delivery
    }

    fn prepare(&self, number: u8, label: Option<&str>, hook: Option<Hook>) {
        if let Some(label) = label {
            self.set_label(number, label);
        }
        if let Some(hook) = hook {
            self.hear(number, hook);
        }
    }

    fn set_label(&self, number: u8, label: &str) {
        let labels = self.labels.get_or_init(|| self.slots.iter().map(|_| OnceLock::new()).collect());
        // A slot is given out once.
        let _ = labels[usize::from(number)].set(Box::from(label));
    }
}

struct Current {
    lot: Arc<Lot>,
    next: usize,
}

/// The lots of one topic, of which the last has free slots.
pub(super) struct Pile {
    topic: Arc<str>,
    current: Mutex<Current>,
}

impl Pile {
    pub(super) fn new(topic: Arc<str>) -> Self {
        let lot = Lot::new(Arc::clone(&topic), FIRST);
        Self { topic, current: Mutex::new(Current { lot, next: 0 }) }
    }

    /// A slot for the next record.
    pub(super) fn take(&self, label: Option<&str>, hook: Option<Hook>) -> Delivery {
        let (lot, number, _) = self.take_many(1);
        lot.prepare(number, label, hook);
        Delivery::of(lot, number)
    }

    /// Slots for the next records, one behind the other, at most `wanted`: the first one's number and how many there are, at least one if
    /// one was wanted.
    pub(super) fn take_many(&self, wanted: usize) -> (Arc<Lot>, u8, usize) {
        let mut current = self.current.lock();
        if current.next == current.lot.slots.len() {
            let size = (current.next * 2).min(MOST);
            *current = Current { lot: Lot::new(Arc::clone(&self.topic), size), next: 0 };
        }
        let (first, count) = (current.next, wanted.min(current.lot.slots.len() - current.next));
        current.next += count;
        (Arc::clone(&current.lot), first as u8, count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    const REPORT: DeliveryReport = DeliveryReport { partition: 2, offset: 7, timestamp_ms: 9 };

    fn notice(called: &Arc<AtomicUsize>) -> Hook {
        let called = Arc::clone(called);
        Hook::Notice(Box::new(move || {
            called.fetch_add(1, Ordering::SeqCst);
        }))
    }

    #[test]
    fn each_record_has_an_end_of_its_own_beyond_the_size_of_a_lot() {
        let pile = Pile::new(Arc::from("topic"));
        let deliveries: Vec<_> = (0..3 * MOST).map(|n| pile.take((n == 300).then_some("label"), None)).collect();
        for (n, delivery) in deliveries.iter().enumerate() {
            let (lot, number) = delivery.place();
            let outcome = if n % 3 == 0 {
                Err(-i32::try_from(n).unwrap())
            } else {
                Ok(DeliveryReport { offset: n as i64, ..REPORT })
            };
            assert_eq!(lot.outcome(number), None);
            assert!(lot.end(number, outcome).is_empty());
            assert_eq!(lot.outcome(number), Some(outcome));
            assert_eq!(delivery.label(), (n == 300).then_some("label"));
        }
        assert!(deliveries.iter().all(|delivery| delivery.outcome().is_some()));
    }

    #[test]
    fn hooks_are_called_for_once_and_come_back_after_the_end() {
        let (pile, called) = (Pile::new(Arc::from("topic")), Arc::new(AtomicUsize::new(0)));
        let (first, second) = (pile.take(None, Some(notice(&called))), pile.take(None, None));
        let (lot, number) = first.place();
        assert!(lot.hear(number, notice(&called)).is_none());
        assert_eq!(lot.end(number, Ok(REPORT)).len(), 2);
        assert!(lot.hear(number, notice(&called)).is_some());
        let (lot, number) = second.place();
        assert!(!lot.has_callback(number));
        lot.hear(number, Hook::Callback(Box::new(|_| ())));
        assert!(lot.has_callback(number));
        lot.forget(number, |_| true);
        assert!(lot.end(number, Err(-1)).is_empty());
    }

    #[test]
    fn a_hook_that_comes_together_with_the_end_is_not_lost() {
        for _ in 0..2_000 {
            let (pile, called) = (Pile::new(Arc::from("topic")), Arc::new(AtomicUsize::new(0)));
            let (delivery, told) = (pile.take(None, None), Arc::clone(&called));
            let ended = delivery.clone();
            let ending = std::thread::spawn(move || {
                let (lot, number) = ended.place();
                for hook in lot.end(number, Ok(REPORT)) {
                    let Hook::Notice(notice) = hook else { continue };
                    notice();
                }
            });
            delivery.notify(move || {
                told.fetch_add(1, Ordering::SeqCst);
            });
            ending.join().unwrap();
            assert_eq!(called.load(Ordering::SeqCst), 1);
        }
    }
}
