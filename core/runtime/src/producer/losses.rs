//! The records that a producer gave up when it closed, for its last word, and how many brokers refused.
//!
//! Filled by the thread that reads reports, read by whoever closes, or ends a transaction.

use super::delivery::Delivery;
use crate::lock::Mutex;
use crate::native::code;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Places that are named; the rest is counted.
const NAMED: usize = 10;

#[derive(Default)]
struct Counted {
    by_place: BTreeMap<(Arc<str>, i32), u64>,
    labels: Vec<String>,
    refused: u64,
}

#[derive(Default)]
pub(super) struct Losses(Mutex<Counted>);

impl Losses {
    /// Counts a record that ended with an error: given up because of the end, or refused.
    pub(super) fn add(&self, number: i32, delivery: &Delivery, partition: i32) {
        let mut counted = self.0.lock();
        if !matches!(number, code::PURGED_IN_QUEUE | code::PURGED_IN_FLIGHT) {
            counted.refused += 1;
            return;
        }
        *counted.by_place.entry((Arc::clone(delivery.topic_name()), partition)).or_default() += 1;
        if let Some(label) = delivery.label().filter(|_| counted.labels.len() < NAMED) {
            counted.labels.push(label.to_owned());
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.lock().by_place.values().sum()
    }

    pub(super) fn refused(&self) -> u64 {
        self.0.lock().refused
    }

    /// How many records of which partitions, and the labels of the first.
    pub(super) fn text(&self) -> String {
        let counted = self.0.lock();
        let mut text = String::new();
        for (place, ((topic, partition), count)) in counted.by_place.iter().take(NAMED).enumerate() {
            let before = if place == 0 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = match partition {
                -1 => write!(text, "{before}{count} to {topic}"),
                partition => write!(text, "{before}{count} to {topic}/{partition}"),
            };
        }
        if counted.by_place.len() > NAMED {
            text.push_str(" and others");
        }
        if !counted.labels.is_empty() {
            let _ = write!(text, "; labels: {}", counted.labels.join(", "));
        }
        text
    }
}
