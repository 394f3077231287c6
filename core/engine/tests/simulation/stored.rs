//! What a user stored beside an offset, as each strategy defines it: the model that the engine's texts are compared with.

use std::collections::BTreeMap;

use karafka_engine::OffsetMetadata;

pub struct Stored {
    strategy: OffsetMetadata,
    text: Option<String>,
    /// The message that the text was given with.
    owner: Option<i64>,
    given: BTreeMap<i64, String>,
}

impl Stored {
    pub fn new(strategy: OffsetMetadata, read: Option<String>) -> Self {
        Self { strategy, text: read, owner: None, given: BTreeMap::new() }
    }

    /// What a commit of `position` carries.
    pub fn at(&mut self, position: i64) -> Option<String> {
        let rest = self.given.split_off(&position);
        if let Some((offset, text)) = std::mem::replace(&mut self.given, rest).pop_last() {
            (self.owner, self.text) = (Some(offset), Some(text));
        }
        self.text.clone()
    }

    pub fn store(&mut self, position: i64, text: Option<String>) {
        self.at(position);
        self.text = text;
    }

    pub fn give(&mut self, position: i64, offset: i64, text: String) {
        self.at(position);
        if self.strategy == OffsetMetadata::Current {
            self.text = Some(text);
        } else if self.owner.is_none_or(|owner| owner <= offset) {
            self.given.insert(offset, text);
        }
    }

    pub fn seek(&mut self) {
        self.given.clear();
        self.owner = None;
        if self.strategy == OffsetMetadata::Exact {
            self.text = None;
        }
    }
}
