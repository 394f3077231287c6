//! The user's texts that travel with an assignment's commits, beside the core's own marks.
//!
//! Owned by the assignment's commits, used by the engine's one thread. Guarantee: under [`OffsetMetadata::Exact`] no text
//! is committed before the position has passed its message; under [`OffsetMetadata::Current`] the one given last is.

use std::collections::BTreeMap;

use crate::ledger::Ledger;
use crate::options::OffsetMetadata;

#[derive(Clone, Debug)]
pub(crate) struct Texts {
    strategy: OffsetMetadata,
    /// What the next commit carries.
    text: Option<String>,
    /// Grows whenever `text` changes.
    version: u64,
    /// The message that `text` was given with.
    owner: Option<u64>,
    /// Given with messages that the position has not passed, by their sequence.
    waiting: BTreeMap<u64, String>,
}

impl Texts {
    /// Begins with what was read beside the committed offset.
    pub(crate) fn new(strategy: OffsetMetadata, read: Option<String>) -> Self {
        Self { strategy, text: read, version: 0, owner: None, waiting: BTreeMap::new() }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Stores a text with no message of its own.
    pub(crate) fn store(&mut self, ledger: &Ledger, text: Option<String>) {
        self.settle(ledger);
        self.text = text;
        self.version += 1;
    }

    /// A text was given with the mark of a message.
    pub(crate) fn give(&mut self, ledger: &Ledger, sequence: u64, text: String) {
        match self.strategy {
            OffsetMetadata::Current => self.store(ledger, Some(text)),
            OffsetMetadata::Exact => {
                self.settle(ledger);
                if self.owner.is_none_or(|owner| owner <= sequence) {
                    self.waiting.insert(sequence, text);
                    self.settle(ledger);
                }
            }
        }
    }

    /// Takes over what the position has passed.
    pub(crate) fn settle(&mut self, ledger: &Ledger) {
        let head = ledger.seqs().start;
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() < head) {
            self.owner = Some(*entry.key());
            self.text = Some(entry.remove());
            self.version += 1;
        }
    }

    /// The position moved elsewhere: what was said of messages does not hold there.
    pub(crate) fn seek(&mut self) {
        if self.strategy == OffsetMetadata::Exact {
            self.text = None;
            self.version += 1;
        }
        self.owner = None;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(messages: i64) -> Ledger {
        let mut ledger = Ledger::new();
        for offset in 0..messages {
            ledger.deliver(offset);
        }
        ledger
    }

    #[test]
    fn an_exact_text_waits_for_the_position_and_never_goes_back() {
        let mut ledger = ledger(5);
        let mut texts = Texts::new(OffsetMetadata::Exact, Some("read".to_owned()));
        ledger.mark(2);
        texts.give(&ledger, 2, "two".to_owned());
        assert_eq!(texts.text(), Some("read"));
        ledger.mark(0);
        ledger.mark(1);
        texts.settle(&ledger);
        assert_eq!(texts.text(), Some("two"));
        texts.give(&ledger, 1, "one".to_owned());
        assert_eq!(texts.text(), Some("two"), "of an earlier message");
        texts.give(&ledger, 2, "two again".to_owned());
        assert_eq!(texts.text(), Some("two again"));
        texts.store(&ledger, None);
        texts.give(&ledger, 4, "four".to_owned());
        assert_eq!((texts.text(), texts.waiting.len()), (None, 1));
        texts.seek();
        assert_eq!((texts.text(), texts.waiting.len()), (None, 0));
    }

    #[test]
    fn a_stored_text_is_newer_than_those_that_the_position_has_passed() {
        let mut ledger = ledger(2);
        let mut texts = Texts::new(OffsetMetadata::Exact, None);
        texts.give(&ledger, 0, "zero".to_owned());
        ledger.mark(0);
        texts.store(&ledger, Some("stored".to_owned()));
        texts.settle(&ledger);
        assert_eq!(texts.text(), Some("stored"));
    }

    #[test]
    fn the_current_text_is_the_one_given_last() {
        let ledger = ledger(3);
        let mut texts = Texts::new(OffsetMetadata::Current, None);
        texts.give(&ledger, 2, "two".to_owned());
        texts.give(&ledger, 0, "zero".to_owned());
        assert_eq!(texts.text(), Some("zero"));
        texts.seek();
        assert_eq!(texts.text(), Some("zero"));
    }
}
