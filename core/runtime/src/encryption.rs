//! Encryption of payloads where records are sent and handled.
//!
//! Keys are read when a producer or an app starts, on the caller's thread. A payload is sealed on the thread that produces, and opened
//! by the seat that took its job, before any user code sees it; the poller does neither. Guarantees: a record that does not open
//! reaches no handler, partitioner, filter or other callback; the record itself stays as it was fetched, for further attempts and for
//! its dead letter; nothing here costs a topic or a producer without keys more than one look at an option.

use crate::config::{EncryptionKeys, ProducerConfig, Source, TopicConfig};
use crate::message::MessageInner;
use crate::native::Header;
use crate::producer::Record;
use crate::{Error, ErrorKind, Failure, Job, Result};
use karafka_encryption::{Envelope, KeyError, KeyId, KeyRing, OpenError, Recipient, header};
use karafka_engine::{FilterAnswer, JobKind, Outcome};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The class of the failure of a record that does not open.
pub(crate) const CLASS: &str = "DecryptionError";

const OPERATION: &str = "read the encryption keys";

/// For whom a producer seals; `None` where nothing is encrypted.
pub(crate) fn recipient(config: &ProducerConfig) -> Result<Option<Recipient>> {
    let Some(active) = config.active_key() else { return Ok(None) };
    let key = read(&config.encryption_keys, active)?;
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

/// What opens the records of one topic.
#[derive(Debug)]
pub(crate) struct Opener {
    ring: KeyRing,
    /// Topics that records may have been sealed for beside their own.
    topics: Vec<String>,
    required: bool,
}

impl Opener {
    /// Of a topic; `None` where payloads are handed on as they are.
    pub(crate) fn of(config: &TopicConfig) -> Result<Option<Self>> {
        if config.encryption_keys.is_empty() {
            return Ok(None);
        }
        let mut ring = KeyRing::default();
        for id in config.encryption_keys.ids() {
            if let Some((id, key)) = read(&config.encryption_keys, id)? {
                ring.insert(id, key);
            }
        }
        warn_of_readers(&config.encryption_keys);
        let topics = config.encryption_topics.as_deref().unwrap_or_default().split(',').map(str::trim);
        let topics = topics.filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
        Ok(Some(Self { ring, topics, required: config.encryption_required }))
    }

    /// The payload as it was before it was sealed; `None` where it is handed on as it is.
    pub(crate) fn open(&self, topic: &str, record: &MessageInner) -> std::result::Result<Option<Box<[u8]>>, Failure> {
        let native = record.native();
        let Some(payload) = native.payload() else { return Ok(None) };
        let headers = native.headers();
        let failed = |error: OpenError| Failure::new(CLASS, error.to_string());
        let envelope = Envelope::find(headers.iter().map(|header| (header.name, header.value))).map_err(failed)?;
        let Some(envelope) = envelope else {
            if self.required {
                let message = "the record is not encrypted, and the topic's option encryption_required is true";
                return Err(Failure::new(CLASS, message));
            }
            return Ok(None);
        };
        let topics = std::iter::once(topic).chain(self.topics.iter().map(String::as_str));
        let opened = self.ring.open(&envelope, topics, payload).map_err(failed)?;
        Ok(Some(opened.into_boxed_slice()))
    }
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
            match opener.open(&topic, record) {
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

/// Reads one of the keys.
fn read<Key: FromStr<Err = KeyError>>(keys: &EncryptionKeys, wanted: &str) -> Result<Option<(KeyId, Key)>> {
    let Some((id, source)) = keys.sources().find(|(id, _)| *id == wanted) else { return Ok(None) };
    let refused = |message: String| Error::new(ErrorKind::Config, OPERATION, message).with("key_id", id);
    let wrong = |error: KeyError| match source {
        Source::Text(_) => refused(error.to_string()),
        _ => refused(format!("{source}: {error}")),
    };
    let text = match source {
        Source::Text(text) => Zeroizing::new(text.to_owned()),
        Source::File(path) => file(path).map_err(|error| refused(format!("{source} cannot be read: {error}")))?,
        Source::Environment(name) => {
            let text = std::env::var(name).map_err(|_| refused(format!("{source} is not set, or is no text")))?;
            Zeroizing::new(text)
        }
    };
    Ok(Some((KeyId::new(id).map_err(wrong)?, text.parse().map_err(wrong)?)))
}

fn file(path: &Path) -> std::io::Result<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new)
}

/// Says of files with private keys that everybody on this machine may read them.
fn warn_of_readers(keys: &EncryptionKeys) {
    for (id, source) in keys.sources() {
        if let Source::File(path) = source
            && std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
        {
            tracing::warn!("the file with the private encryption key {id} can be read by every user of this machine");
        }
    }
}
