//! Encryption of payloads where records are sent and handled.
//!
//! Keys are read when a producer, an app or a reader starts, on the caller's thread. A payload is sealed on the thread that produces,
//! and opened by the seat that took its job, before any user code sees it, or by who reads; the poller does neither. Guarantees: a
//! record that does not open reaches no handler, partitioner, filter or other callback; the record itself stays as it was fetched, for
//! further attempts and for its dead letter; nothing here costs a topic or a producer without keys more than one look at an option.

mod keys;
mod opener;

pub(crate) use opener::Opened;
pub use opener::{Opener, Payload};

use crate::config::ProducerConfig;
use crate::message::MessageInner;
use crate::native::Header;
use crate::producer::Record;
use crate::{Error, ErrorKind, Failure, Job, Result};
use karafka_encryption::{Recipient, header};
use karafka_engine::{FilterAnswer, JobKind, Outcome};
use std::sync::Arc;

/// The class of the failure of a record that does not open.
pub(crate) const CLASS: &str = "DecryptionError";

/// For whom a producer seals; `None` where nothing is encrypted.
pub(crate) fn recipient(config: &ProducerConfig) -> Result<Option<Recipient>> {
    let Some(active) = config.active_key() else { return Ok(None) };
    let key = keys::read(&config.encryption_keys, active)?;
    Ok(key.map(|(id, key)| Recipient::new(id, key)))
}

/// Calls with the record as it is sent: sealed, unless it is a tombstone.
pub(crate) fn sealed<T>(
    recipient: &Recipient,
    record: &Record<'_>,
    send: impl FnOnce(&Record<'_>) -> Result<T>,
) -> Result<T> {
    let Some(payload) = record.payload else { return send(record) };
    let refused =
        |message: String| Error::new(ErrorKind::Config, "encrypt a payload", message).with("topic", record.topic);
    let is_ours = |header: &&Header<'_>| header::ALL.iter().any(|name| name.as_bytes() == header.name);
    if let Some(header) = record.headers.iter().find(is_ours) {
        let name = String::from_utf8_lossy(header.name);
        let message =
            format!("the record has a header {name}: it is encrypted already, or would be taken for something else");
        return Err(refused(message));
    }
    let sealed = recipient.seal(record.topic, payload).map_err(|error| refused(error.to_string()))?;
    let added = sealed.headers().map(|(name, value)| Header { name: name.as_bytes(), value: Some(value) });
    let headers: Vec<Header<'_>> = record.headers.iter().copied().chain(added).collect();
    send(&Record { payload: Some(&sealed.payload), headers: &headers, ..*record })
}

/// Records of a callback's job that did not open: nobody is asked about them, so that they come to the handler's turn, where they
/// fail.
pub(crate) struct Aside {
    /// Each with its place among the job's records, in order.
    records: Vec<(usize, MessageInner)>,
    /// Of the first.
    failure: Failure,
}

impl Job {
    /// Whether [`Self::opened`] has work to do, which takes long enough to keep an interpreter's lock from others.
    pub(crate) fn is_sealed(&self) -> bool {
        self.context.assignment.opener.is_some()
    }

    /// The job with its payloads opened. `None` when it has ended by that: it has failed, or nothing is left to ask about.
    pub(crate) fn opened(mut self) -> Option<Self> {
        let Some(opener) = self.context.assignment.opener.clone() else { return Some(self) };
        let topic = Arc::clone(&self.batch.0.topic);
        let (mut payloads, mut closed) = (Vec::with_capacity(self.batch.len()), Vec::new());
        for (index, record) in self.batch.0.messages.iter().enumerate() {
            match opener.open(&topic, record).map_err(|why| Failure::new(CLASS, why.to_string())) {
                Ok(payload) => payloads.push(payload),
                Err(failure) if self.kind == JobKind::Handle => {
                    // A handler's strategy is not asked: there is nothing that it could be shown.
                    let failure = failure.of(index);
                    self.end(failure.outcome(), Some(failure));
                    return None;
                }
                Err(failure) => closed.push((index, failure)),
            }
        }
        let Some(batch) = Arc::get_mut(&mut self.batch.0) else {
            // Nobody else has it before its call begins.
            self.fail(Failure::new(CLASS, "the job is looked at by others already"));
            return None;
        };
        batch.opened = payloads;
        if let Some((_, failure)) = closed.first() {
            let failure = failure.clone();
            let records = closed.iter().rev().map(|(index, _)| (*index, batch.take_out(*index))).rev().collect();
            self.aside = Some(Box::new(Aside { records, failure }));
            if self.batch.is_empty() {
                let outcome = match self.kind {
                    JobKind::Filter => Outcome::Filtered(Vec::new()),
                    _ => Outcome::Keyed(Vec::new()),
                };
                self.end(outcome, None);
                return None;
            }
        }
        Some(self)
    }
}

impl Aside {
    /// Puts the records back into their places, with answers by which they are handled.
    pub(crate) fn come_back(
        self,
        messages: &mut Vec<MessageInner>,
        kind: JobKind,
        outcome: &mut Outcome,
        failure: &mut Option<Failure>,
    ) {
        for (index, record) in self.records {
            let index = index.min(messages.len());
            match outcome {
                Outcome::Filtered(answers) => {
                    answers.insert(index.min(answers.len()), FilterAnswer::Failed);
                    failure.get_or_insert_with(|| self.failure.clone());
                }
                Outcome::Keyed(answers) => {
                    // As one without a partitioner; of unique values, it has none.
                    let key = record.native().key().filter(|_| kind == JobKind::Key);
                    let answer = key.map_or(0, |key| karafka_engine::hash_key(key, 0));
                    answers.insert(index.min(answers.len()), answer);
                }
                _ => {}
            }
            messages.insert(index, record);
        }
    }
}
