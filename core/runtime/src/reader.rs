//! Reading topics anywhere without a group: what is asked for, and the reader that gives it.
//!
//! Called by one thread at a time, whichever; an interrupter may be used from any other. Nothing is committed, no group is joined
//! or needed, and no right but to read the topics. Guarantees: the records of a partition come in order, none twice and none left
//! out without an error; every wait ends at its deadline; what is fetched ahead is bounded for all partitions together.

mod place;
mod sorting;

use crate::batch::Batch;
use crate::config::validate_topic_name;
use crate::embedded;
use crate::encryption::{Opened, Opener};
use crate::native::{Client, Fetcher, NativeMessage, code};
use crate::shared::same_process;
use crate::wake::{Ready, Waker};
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use crate::config::{ReadUntil, ReaderConfig};
pub use place::{Place, ReadFrom, Selection};

const OPERATION: &str = "read topics";

/// How long closing waits for librdkafka's threads.
const DESTROY: Duration = Duration::from_secs(1);

/// The settings of a reader's client, with the brokers' addresses.
pub(crate) fn client_settings(config: &ReaderConfig) -> Result<Vec<(String, String)>> {
    config.validate()?;
    let mut settings = config.client_settings();
    settings.insert("bootstrap.servers".to_owned(), embedded::resolve(&config.bootstrap_servers)?);
    Ok(settings.into_iter().collect())
}

/// What a wait for records came to.
#[derive(Debug)]
pub enum Waited {
    /// The next records of one partition.
    Batch(Batch),
    /// Everything was read.
    Ended,
    /// Nothing came in time; [`Reader::silence`] tells whether that is an error.
    Nothing,
}

/// Ends the wait of a reader from another thread.
#[derive(Clone)]
pub struct ReaderInterrupter {
    waker: Arc<Waker>,
    is_interrupted: Arc<AtomicBool>,
}

impl ReaderInterrupter {
    /// Lets the running call of [`Reader::next`], or the next one, return at once with an error of kind `Stopped`. The reader can
    /// be used again afterwards.
    pub fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::SeqCst);
        self.waker.wake();
    }
}

impl std::fmt::Debug for ReaderInterrupter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReaderInterrupter").finish_non_exhaustive()
    }
}

/// Reads topics without a group. Drop it to end.
///
/// ```
/// use karafka::{EmbeddedBroker, Producer, ProducerConfig, ReadFrom, Reader, ReaderConfig, Record, Selection};
/// use std::time::Duration;
///
/// # fn main() -> karafka::Result<()> {
/// let brokers = "embedded://".to_owned();
/// EmbeddedBroker::named(&brokers)?.create_topic("read-me", 1)?;
/// let producer = Producer::new(ProducerConfig { bootstrap_servers: brokers.clone(), ..ProducerConfig::default() })?;
/// for word in [&b"one"[..], b"two", b"three"] {
///     producer.produce_sync(&Record { topic: "read-me", payload: Some(word), ..Record::default() })?;
/// }
/// let config = ReaderConfig { bootstrap_servers: brokers, ..ReaderConfig::default() };
/// let mut reader = Reader::open(config, &[Selection::new("read-me", ReadFrom::Last(2))])?;
/// let mut words = Vec::new();
/// while let Some(batch) = reader.next(Duration::from_secs(10))? {
///     words.extend(batch.iter().filter_map(|message| message.payload().map(<[u8]>::to_vec)));
/// }
/// assert_eq!(words, [&b"two"[..], b"three"]);
/// # Ok(())
/// # }
/// ```
pub struct Reader {
    config: ReaderConfig,
    opener: Option<Opener>,
    process: u32,
    // Taken out when it ends. In a forked child the client is leaked: its threads do not exist there.
    fetcher: Option<Fetcher>,
    places: Vec<Place>,
    known: sorting::Known,
    ready: VecDeque<Result<Batch>>,
    waker: Arc<Waker>,
    parker: Parker,
    is_interrupted: Arc<AtomicBool>,
    /// Counts the batches whose records use memory of the client.
    held: Arc<()>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Reader {
    /// Finds out where everything begins and ends, and begins to fetch. Waits for brokers, at most `config.timeout`.
    ///
    /// # Errors
    /// `Config` for a bad setting, key or selection, a partition that does not exist or an offset beyond the end of its log; `Broker` when a
    /// topic does not exist; `Auth` without the right to it; `Timeout` when no broker answered, with librdkafka's reason;
    /// `Unsupported` for a time on the embedded broker.
    pub fn open(config: ReaderConfig, selections: &[Selection]) -> Result<Self> {
        if selections.is_empty() {
            return Err(Error::new(ErrorKind::Config, OPERATION, "no topic is given"));
        }
        for selection in selections {
            validate_topic_name(&selection.topic)?;
        }
        let opener = Opener::of_reader(&config)?;
        let parker = Parker::new();
        let waker = Arc::new(Waker::new(parker.unparker().clone()));
        let mut fetcher = Fetcher::new(
            &client_settings(&config)?,
            Ready::new(0, Arc::clone(&waker)),
            Ready::new(1, Arc::clone(&waker)),
        )?;
        let places = place::find(fetcher.client(), &config, selections)?;
        for place in places.iter().filter(|place| !place.is_done) {
            fetcher.start(&place.topic, place.partition, place.next)?;
        }
        Ok(Self {
            config,
            opener,
            process: std::process::id(),
            fetcher: Some(fetcher),
            places,
            known: sorting::Known::default(),
            ready: VecDeque::new(),
            waker,
            parker,
            is_interrupted: Arc::new(AtomicBool::new(false)),
            held: Arc::new(()),
        })
    }

    /// The next records of one partition; `None` when everything was read. Waits at most `timeout`.
    ///
    /// # Errors
    /// After each of them the reader can be asked again. `Timeout` when nothing came in time, with librdkafka's reason where it has one; `Broker` when records
    /// were deleted before they were read (reading goes on with the oldest that is left) or a broker refuses; `Auth` when
    /// the right was taken away; `Deserialize` for a record that is encrypted and does not open, which is passed over; `Stopped` when
    /// an interrupter said so; `Forked` in a child process.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Batch>> {
        match self.wait(timeout)? {
            Waited::Batch(batch) => Ok(Some(batch)),
            Waited::Ended => Ok(None),
            Waited::Nothing => Err(self.no_record(timeout)),
        }
    }

    /// As [`Self::next`], for those who wait in slices: that nothing came in `timeout` is no error here.
    ///
    /// # Errors
    /// As [`Self::next`], but for `Timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<Waited> {
        same_process(self.process, OPERATION)?;
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return self.opened(batch?).map(Waited::Batch);
            }
            if self.places.iter().all(|place| place.is_done) {
                return Ok(Waited::Ended);
            }
            if self.is_interrupted.swap(false, Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Stopped, OPERATION, "interrupted by another thread").retriable());
            }
            while self.waker.next_filled().is_some() {}
            if self.fetch()? {
                continue;
            }
            match deadline {
                Some(deadline) if Instant::now() >= deadline => return Ok(Waited::Nothing),
                Some(deadline) => self.parker.park_deadline(deadline),
                None => self.parker.park(),
            }
        }
    }

    /// The batch with its payloads opened. What stands behind a record that does not open comes with the next call, as does its error
    /// where something stands before it.
    fn opened(&mut self, batch: Batch) -> Result<Batch> {
        let Some(opener) = &self.opener else { return Ok(batch) };
        match opener.open_batch(batch) {
            Opened::All(batch) => Ok(batch),
            Opened::Until { before, error, behind } => {
                if let Some(behind) = behind {
                    self.ready.push_front(Ok(behind));
                }
                let Some(before) = before else { return Err(error) };
                self.ready.push_front(Err(error));
                Ok(before)
            }
        }
    }

    /// What it means that nothing came for so long: no error where the reader waits forever for what comes, unless the cluster
    /// refuses it.
    ///
    /// # Errors
    /// `Timeout`, with librdkafka's reason where it has one; `Auth` when the cluster refuses the reader.
    pub fn silence(&self, waited: Duration) -> Result<()> {
        let error = self.no_record(waited);
        let is_awaited = self.config.until == ReadUntil::Forever && error.kind() != ErrorKind::Auth;
        if is_awaited { Ok(()) } else { Err(error) }
    }

    /// What the reader was made with.
    pub fn config(&self) -> &ReaderConfig {
        &self.config
    }

    /// Where each partition is: what is read, and what is left.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Reads no more of a partition; what was fetched of it already is dropped. Returns whether it was being read.
    ///
    /// # Errors
    /// `Forked` in a child process, `Internal` when librdkafka refuses.
    pub fn stop_partition(&mut self, topic: &str, partition: i32) -> Result<bool> {
        same_process(self.process, OPERATION)?;
        let is_it = |place: &&mut Place| &*place.topic == topic && place.partition == partition && !place.is_done;
        let Some(place) = self.places.iter_mut().find(is_it) else { return Ok(false) };
        place.is_done = true;
        let topic = Arc::clone(&place.topic);
        let keep = |batch: &Result<Batch>| match batch {
            Ok(batch) => batch.topic() != &*topic || batch.partition() != partition,
            Err(_) => true,
        };
        self.ready.retain(keep);
        if let Some(fetcher) = self.fetcher.as_mut() {
            fetcher.stop(&topic, partition)?;
        }
        Ok(true)
    }

    /// Something by which another thread ends a wait.
    pub fn interrupter(&self) -> ReaderInterrupter {
        ReaderInterrupter { waker: Arc::clone(&self.waker), is_interrupted: Arc::clone(&self.is_interrupted) }
    }

    /// Asks the cluster something through the reader's client.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Client) -> Result<T>) -> Result<T> {
        match &self.fetcher {
            Some(fetcher) => question(fetcher.client()),
            None => Err(Error::new(ErrorKind::Stopped, OPERATION, "the reader has ended")),
        }
    }

    /// Takes what is there; whether there was something.
    fn fetch(&mut self) -> Result<bool> {
        let Some(fetcher) = self.fetcher.as_mut() else { return Ok(false) };
        let mut messages: Vec<NativeMessage> = Vec::new();
        fetcher.read(&mut messages, self.config.max_messages as usize);
        if messages.is_empty() {
            fetcher.client().listen();
            return Ok(false);
        }
        let sorted = sorting::sort(messages, &mut self.places, &mut self.known, &self.held);
        self.ready.extend(sorted.batches);
        for at in sorted.ended {
            if let Some(place) = self.places.get(at) {
                fetcher.stop(&Arc::clone(&place.topic), place.partition)?;
            }
        }
        for at in sorted.gone {
            let error = self.find_again(at);
            self.ready.push_back(Err(error));
        }
        Ok(true)
    }

    /// The records at a place are not there any more: goes on with the oldest that is, and says so.
    fn find_again(&mut self, at: usize) -> Error {
        let (Some(place), Some(fetcher)) = (self.places.get_mut(at), self.fetcher.as_mut()) else {
            return Error::new(ErrorKind::Internal, OPERATION, "a record of no partition");
        };
        let (topic, partition, next) = (Arc::clone(&place.topic), place.partition, place.next);
        let named = |error: Error| error.with("topic", &topic).with("partition", partition).with("offset", next);
        let first = fetcher
            .stop(&topic, partition)
            .and_then(|()| place::first_of(fetcher.client(), &topic, partition, self.config.timeout));
        match first {
            Ok(first) if first > next => {
                place.next = first;
                place.end_where_nothing_is_left();
                let message = format!("records were deleted before they were read; it goes on at offset {first}");
                let error = Error::new(ErrorKind::Broker, OPERATION, message).retriable();
                let started = if place.is_done { Ok(()) } else { fetcher.start(&topic, partition, first) };
                named(started.err().unwrap_or(error))
            }
            Ok(first) => {
                place.is_done = true;
                let message = format!(
                    "the log begins at {first} and ends before this offset: it was truncated, or the topic was made anew; no more \
                     of this partition is read"
                );
                named(Error::new(ErrorKind::Broker, OPERATION, message))
            }
            Err(error) => {
                place.is_done = true;
                named(error)
            }
        }
    }

    fn no_record(&self, timeout: Duration) -> Error {
        let reason = self.fetcher.as_ref().and_then(|fetcher| fetcher.client().complaint());
        let Some((number, reason)) = reason.filter(|(number, _)| *number != code::NO_ERROR) else {
            let message = format!("no record came within {timeout:?}");
            return Error::new(ErrorKind::Timeout, OPERATION, message).retriable();
        };
        let kind = match crate::native::kind_of(number) {
            ErrorKind::Auth => ErrorKind::Auth,
            _ => ErrorKind::Timeout,
        };
        let message = format!("no record came within {timeout:?}: {reason}");
        Error::new(kind, OPERATION, message).kafka_code(number).retriable()
    }
}

impl Drop for Reader {
    /// Waits a moment for the client to end, unless somebody still holds a batch: it ends after the last of them.
    fn drop(&mut self) {
        let Some(mut fetcher) = self.fetcher.take() else { return };
        if self.process != std::process::id() {
            std::mem::forget(fetcher);
            std::mem::forget(std::mem::take(&mut self.ready));
            return;
        }
        self.ready.clear();
        let open: Vec<_> = self.places.iter().filter(|place| !place.is_done).cloned().collect();
        let (done, ended) = crossbeam::channel::bounded::<()>(1);
        let closer = thread::Builder::new().name("karafka-close".to_owned()).spawn(move || {
            for place in &open {
                if let Err(error) = fetcher.stop(&place.topic, place.partition) {
                    tracing::debug!(%error, "a partition was not stopped");
                }
            }
            drop(fetcher);
            drop(done);
        });
        if closer.is_ok() && Arc::strong_count(&self.held) == 1 {
            // Ends by the sender's drop.
            let _ = ended.recv_timeout(DESTROY);
        }
    }
}

/// Whether records of transactions that are not committed are left out, as librdkafka does by default.
fn is_committed(config: &ReaderConfig) -> bool {
    config.kafka.get("isolation.level").is_none_or(|level| level != "read_uncommitted")
}

/// How long is left of a time that began then.
fn left(began: Instant, timeout: Duration) -> Duration {
    timeout.saturating_sub(began.elapsed())
}

/// Whether a client is connected to an embedded broker.
fn is_embedded(client: &Client, config: &ReaderConfig, timeout: Duration) -> bool {
    embedded::is_embedded(&config.bootstrap_servers)
        || client.cluster_id(timeout).is_some_and(|id| id.starts_with(embedded::CLUSTER))
}
