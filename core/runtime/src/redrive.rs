//! Sending dead letters back to where they came from.
//!
//! Driven by its caller, one step after the other, on the caller's thread; another thread may stop it. Guarantees: a copy is the
//! original's key, value and headers, and nothing else; copies of one partition of the dead letters go out in its order; a step
//! tells only what was acknowledged by all replicas in sync; with a group, what a step has told is not sent again by whoever
//! goes on, and what was not acknowledged is; of two redrives of one group at once the later one goes on, and the other one ends.

use crate::admin::Admin;
use crate::config::{AdminConfig, ProducerConfig, validate_group_name, validate_topic_name};
use crate::dead_letter::{DeadLetter, LetterFilter};
use crate::letter::partition_of;
use crate::lock::{Condvar, Mutex};
use crate::native::{PartitionOffset, code, describe, kind_of, with_members};
use crate::producer::{Delivery, Producer, Record};
use crate::reader::{ReadFrom, ReadUntil, Reader, ReaderConfig, ReaderInterrupter, Selection};
use crate::{Batch, Error, ErrorKind, Message, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const OPERATION: &str = "redrive dead letters";

/// Most letters between two acknowledgements.
const STEP: usize = 100;

/// librdkafka gives a record up by itself; the margin lets its own error arrive first.
const MARGIN: Duration = Duration::from_secs(5);

/// Most of the 4096 bytes beside an offset that what was asked for may take.
const MOST_TEXT: usize = 3000;

/// Between what was asked for and which redrive it was.
const RUN: &str = "\nrun ";

/// What is to be sent back.
#[derive(Debug, Clone)]
pub struct RedriveConfig {
    /// The brokers to ask first, or `embedded://`.
    pub bootstrap_servers: String,
    /// librdkafka's own settings, such as those for security.
    pub kafka: BTreeMap<String, String>,
    /// The topic of the dead letters.
    pub topic: String,
    /// Its partitions; none for all of them.
    pub partitions: Vec<i32>,
    /// Where the letters go; `None` for the topic that each came from.
    pub to: Option<String>,
    /// Which letters go.
    pub filter: LetterFilter,
    /// The consumer group whose committed offsets say how far it is; `None` to begin with the oldest letter and remember nothing.
    pub group: Option<String>,
    /// Most letters a second; `None` for no limit.
    pub rate: Option<u32>,
    /// Only count: nothing is sent, and nothing is committed.
    pub dry_run: bool,
    /// How long each question to a broker may take. Ten seconds by default.
    pub timeout: Duration,
    /// How long the acknowledgement of a letter may take. Two minutes by default.
    pub delivery_timeout: Duration,
}

impl Default for RedriveConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: String::new(),
            kafka: BTreeMap::new(),
            topic: String::new(),
            partitions: Vec::new(),
            to: None,
            filter: LetterFilter::default(),
            group: None,
            rate: None,
            dry_run: false,
            timeout: Duration::from_secs(10),
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// How far a redrive is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedriveProgress {
    /// Sent back and acknowledged; in a dry run, what would have been sent.
    pub redriven: u64,
    /// Left out by the filter.
    pub left_out: u64,
    /// Messages that are no dead letters of libkarafka: left where they are.
    pub foreign: u64,
    /// Offsets that are behind it.
    pub done: u64,
    /// Offsets that there were at the beginning.
    pub total: u64,
    /// Redriven letters by the topic that they went to.
    pub targets: BTreeMap<String, u64>,
    /// The next offset of each partition of the dead letters.
    pub next: BTreeMap<i32, i64>,
}

/// Stops a redrive from another thread.
#[derive(Clone)]
pub struct RedriveStopper {
    stopped: Arc<(Mutex<bool>, Condvar)>,
    reading: ReaderInterrupter,
}

impl RedriveStopper {
    /// Sends nothing more. What was sent is waited for, and told.
    pub fn stop(&self) {
        *self.stopped.0.lock() = true;
        self.stopped.1.notify_all();
        self.reading.interrupt();
    }
}

impl std::fmt::Debug for RedriveStopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedriveStopper").finish_non_exhaustive()
    }
}

/// Sends dead letters back, step by step.
#[derive(Debug)]
pub struct Redrive {
    config: RedriveConfig,
    reader: Reader,
    /// Who is told how far this is, and asked for it; without a group nobody.
    admin: Option<Admin>,
    producer: Option<Producer>,
    progress: RedriveProgress,
    /// Beside the offsets of the group: what was asked for, and which redrive this is.
    text: String,
    /// Partitions of the topics that letters go to.
    counts: HashMap<String, usize>,
    stopped: Arc<(Mutex<bool>, Condvar)>,
    /// When the next letter may go.
    due: Instant,
}

impl Redrive {
    /// Finds out where the letters begin and end. What is given up from now on is not part of this redrive, so that a letter that
    /// fails again does not go round for ever.
    ///
    /// # Errors
    /// As [`Reader::open`]; `Config` for names of topics or groups that cannot be, for a target that is the topic of the dead
    /// letters, and for a group that was used for something else.
    pub fn open(config: RedriveConfig) -> Result<Self> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Config, OPERATION, message));
        if let Some(to) = &config.to {
            validate_topic_name(to)?;
            if *to == config.topic {
                return refuse("the letters would go back to the topic that they are read from");
            }
        }
        config.group.as_deref().map_or(Ok(()), validate_group_name)?;
        config.filter.validate()?;
        if config.rate == Some(0) {
            return refuse("a rate is at least 1 letter a second");
        }
        let text = format!("redrive/1;{};{}", config.to.as_deref().unwrap_or_default(), config.filter.text());
        if text.len() > MOST_TEXT {
            return refuse("the filter is too long to be remembered beside the group's offsets");
        }
        let mut reader = open_reader(&config, BTreeMap::new())?;
        let producer = if config.dry_run { None } else { Some(producer(&config)?) };
        let own_text = format!("{text}{RUN}{}", run());
        let admin = config.group.is_some().then(|| admin(&config)).transpose()?;
        if let Some((group, admin)) = config.group.as_ref().zip(admin.as_ref()) {
            let committed = committed(&config, group, (admin, &reader), &text)?;
            // From here on another redrive of the group ends. A group that cannot be told how far this is, because it has members, say,
            // refuses here: before anything is sent.
            let start = |place: &crate::Place| {
                let has = committed.get(&place.partition).filter(|offset| **offset >= 0);
                (place.partition, has.copied().unwrap_or(place.start))
            };
            let starts: Vec<_> = reader.places().iter().map(start).collect();
            tell(&config, admin, &own_text, &starts)?;
            if !committed.is_empty() {
                reader = open_reader(&config, committed)?;
            }
        }
        let mut progress = RedriveProgress::default();
        for place in reader.places() {
            progress.total += u64::try_from(place.end - place.start).unwrap_or(0);
            progress.next.insert(place.partition, place.start);
        }
        Ok(Self {
            config,
            reader,
            admin,
            producer,
            progress,
            text: own_text,
            counts: HashMap::new(),
            stopped: Arc::default(),
            due: Instant::now(),
        })
    }

    /// How far it is.
    pub fn progress(&self) -> &RedriveProgress {
        &self.progress
    }

    /// Something by which another thread stops it.
    pub fn stopper(&self) -> RedriveStopper {
        RedriveStopper { stopped: Arc::clone(&self.stopped), reading: self.reader.interrupter() }
    }

    /// Sends some letters, and waits until they are acknowledged and, with a group, committed. Returns whether there may be
    /// more to do: not at the end, and not when it was stopped.
    ///
    /// # Errors
    /// Then the progress tells what was acknowledged and committed before, and a redrive of the same group goes on with
    /// the letter that failed. As [`Reader::next`] and [`Producer::produce_sync`]; `Broker` where the topic of a letter
    /// does not exist any more, or the group has members; `Fenced` where another redrive of the group has begun, which goes on from what
    /// was committed.
    pub fn step(&mut self) -> Result<bool> {
        if *self.stopped.0.lock() {
            return Ok(false);
        }
        match self.reader.next(self.config.timeout) {
            Ok(Some(batch)) => {
                self.send(&batch)?;
                Ok(!*self.stopped.0.lock())
            }
            Ok(None) => {
                self.finish()?;
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::Stopped => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, batch: &Batch) -> Result<()> {
        let mut sent: Vec<(i64, Delivery)> = Vec::new();
        let mut next = batch.last_offset() + 1;
        let mut failure = None;
        for message in batch.iter() {
            let Some(letter) = self.wanted(message) else { continue };
            if !self.wait_until_due() {
                next = message.offset();
                break;
            }
            match self.dispatch(&letter) {
                Ok(delivery) => sent.extend(delivery.map(|delivery| (message.offset(), delivery))),
                Err(error) => {
                    next = message.offset();
                    failure = Some(error);
                    break;
                }
            }
        }
        for (offset, delivery) in sent {
            if let Err(error) = delivery.wait(self.config.delivery_timeout + MARGIN) {
                next = offset;
                failure = Some(error);
                break;
            }
        }
        // Sent is sent, also where the group cannot be told.
        self.count(batch, next);
        let committed = self.commit(&[(batch.partition(), next)]);
        match failure {
            Some(failure) => {
                // The reader is beyond the letter that failed.
                *self.stopped.0.lock() = true;
                // What was asked for is right, and those before the letter are sent: it is the letter that is wrong.
                let failure = match failure.kind() {
                    ErrorKind::Config => {
                        let message = format!("this letter cannot be sent: {}", failure.message());
                        let error = Error::new(ErrorKind::Deserialize, OPERATION, message).caused_by(failure.clone());
                        failure.context().iter().fold(error, |error, (name, value)| error.with(name, value))
                    }
                    _ => failure,
                };
                Err(failure.with("letter", format_args!("{}@{next}", batch.partition())))
            }
            None => committed,
        }
    }

    fn wanted<'a>(&self, message: Message<'a>) -> Option<DeadLetter<'a>> {
        DeadLetter::read(message).filter(|letter| self.config.filter.matches(letter))
    }

    /// Counts what lies below an offset, and moves there.
    fn count(&mut self, batch: &Batch, next: i64) {
        for message in batch.iter().filter(|message| message.offset() < next) {
            match DeadLetter::read(message) {
                None => self.progress.foreign += 1,
                Some(letter) if !self.config.filter.matches(&letter) => self.progress.left_out += 1,
                Some(letter) => {
                    self.progress.redriven += 1;
                    *self.progress.targets.entry(self.target_of(&letter)).or_default() += 1;
                }
            }
        }
        self.move_to(batch.partition(), next);
    }

    fn target_of(&self, letter: &DeadLetter<'_>) -> String {
        self.config.to.clone().unwrap_or_else(|| letter.source_topic.to_owned())
    }

    fn dispatch(&mut self, letter: &DeadLetter<'_>) -> Result<Option<Delivery>> {
        let target = self.target_of(letter);
        if target == self.config.topic {
            let message = "the letter came from the topic that it lies in; give another one by `to`";
            return Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", target));
        }
        let count = self.count_of(&target)?;
        let Some(producer) = &self.producer else { return Ok(None) };
        let is_there = usize::try_from(letter.source_partition).is_ok_and(|partition| partition < count);
        let partition = match (&self.config.to, letter.message.key()) {
            (None, _) if is_there => Some(letter.source_partition),
            (_, Some(_)) => None,
            (_, None) => Some(partition_of(letter.source_partition, count)),
        };
        let delivery = producer.produce_async(&Record {
            topic: &target,
            partition,
            key: letter.message.key(),
            payload: letter.message.payload(),
            headers: &letter.headers,
            ..Record::default()
        })?;
        Ok(Some(delivery))
    }

    fn count_of(&mut self, target: &str) -> Result<usize> {
        if let Some(count) = self.counts.get(target) {
            return Ok(*count);
        }
        let cluster = self.reader.ask(|client| client.cluster(Some(target), OPERATION, self.config.timeout))?;
        let found = cluster.topics.into_iter().find(|topic| topic.name == target);
        let number = found.as_ref().map_or(code::UNKNOWN_TOPIC_OR_PART, |topic| topic.code);
        let Some(found) = found.filter(|topic| topic.code == code::NO_ERROR) else {
            let message = format!("letters cannot go to a topic that is not there: {}", describe(number));
            return Err(Error::new(kind_of(number), OPERATION, message).kafka_code(number).with("topic", target));
        };
        self.counts.insert(target.to_owned(), found.partitions.len());
        Ok(found.partitions.len())
    }

    /// Whether a letter may go; not when it was stopped meanwhile.
    fn wait_until_due(&mut self) -> bool {
        let mut stopped = self.stopped.0.lock();
        if let Some(rate) = self.config.rate.filter(|_| !self.config.dry_run) {
            while !*stopped && Instant::now() < self.due {
                (stopped, _) = self.stopped.1.wait_until(stopped, self.due);
            }
            self.due = self.due.max(Instant::now()) + Duration::from_secs(1) / rate;
        }
        !*stopped
    }

    fn move_to(&mut self, partition: i32, next: i64) {
        let Some(place) = self.reader.places().iter().find(|place| place.partition == partition) else { return };
        let next = next.min(place.end).max(place.start);
        let before = self.progress.next.insert(partition, next).unwrap_or(place.start);
        self.progress.done += u64::try_from(next - before).unwrap_or(0);
    }

    /// Also what lies behind the last letters, such as the ends of transactions.
    fn finish(&mut self) -> Result<()> {
        let ends: Vec<_> =
            self.reader.places().iter().map(|place| (place.partition, place.end.max(place.start))).collect();
        let left: Vec<_> = ends.iter().filter(|(at, end)| self.progress.next.get(at) != Some(end)).copied().collect();
        self.commit(&left)?;
        for (partition, end) in left {
            self.move_to(partition, end);
        }
        Ok(())
    }

    /// Tells the group how far this is, unless a redrive that began later has told it since: that one goes on from where this was.
    /// What one that began before tells late does not count.
    fn commit(&self, next: &[(i32, i64)]) -> Result<()> {
        let config = &self.config;
        let told = config.group.as_ref().zip(self.admin.as_ref());
        let Some((group, admin)) = told.filter(|_| !config.dry_run && !next.is_empty()) else { return Ok(()) };
        let partition = |partition: &i32| PartitionOffset::new(&config.topic, *partition);
        let asked: Vec<_> = self.progress.next.keys().map(partition).collect();
        let answers = admin.client().group_offsets(group, Some(&asked), true, config.timeout)?;
        let (own, mut is_beside_another) = (self.text.split_once(RUN), false);
        for answer in answers {
            let refuse = |error: Error| Err(error.with("group", group).with("partition", answer.partition));
            if answer.code != code::NO_ERROR {
                let error = Error::new(kind_of(answer.code), OPERATION, describe(answer.code));
                return refuse(error.kafka_code(answer.code));
            }
            let (asked, run) = answer.metadata.as_deref().and_then(|text| text.split_once(RUN)).unwrap_or_default();
            if own.is_none_or(|(own_asked, own_run)| asked != own_asked || run > own_run) {
                let message = "another redrive of the group has begun, and goes on where this one was; what this one has sent \
                               since may go twice";
                return refuse(Error::new(ErrorKind::Fenced, OPERATION, message));
            }
            is_beside_another |= own.is_some_and(|(_, own_run)| run < own_run);
        }
        if is_beside_another {
            // In step with this one it could tell one partition after this one for ever: it looks at all of them.
            let mut all = self.progress.next.clone();
            all.extend(next.iter().copied());
            let all: Vec<_> = all.into_iter().collect();
            return tell(config, admin, &self.text, &all);
        }
        tell(config, admin, &self.text, next)
    }
}

/// Tells the group how far a redrive is.
fn tell(config: &RedriveConfig, admin: &Admin, text: &str, next: &[(i32, i64)]) -> Result<()> {
    let Some(group) = config.group.as_ref().filter(|_| !config.dry_run) else { return Ok(()) };
    let entry = |(partition, offset): &(i32, i64)| PartitionOffset {
        offset: Some(*offset),
        metadata: Some(text.to_owned()),
        ..PartitionOffset::new(&config.topic, *partition)
    };
    let offsets: Vec<_> = next.iter().map(entry).collect();
    let answers = admin.client().alter_group_offsets(group, &offsets, config.timeout)?;
    let refused = answers.iter().find(|answer| answer.code != code::NO_ERROR);
    refused.map_or(Ok(()), |answer| {
        let error = Error::new(kind_of(answer.code), OPERATION, describe(answer.code)).kafka_code(answer.code);
        Err(with_members(error, group).with("partition", answer.partition))
    })
}

/// Tells redrives apart; of two, the text of the later one is the greater one.
fn run() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{now:032x}-{:x}", std::process::id())
}

fn open_reader(config: &RedriveConfig, starts: BTreeMap<i32, i64>) -> Result<Reader> {
    let step = config.rate.map_or(STEP, |rate| usize::try_from(rate / 4).unwrap_or(STEP).clamp(1, STEP));
    let reading = ReaderConfig {
        bootstrap_servers: config.bootstrap_servers.clone(),
        kafka: config.kafka.clone(),
        until: ReadUntil::End,
        max_messages: u32::try_from(step).unwrap_or(u32::MAX),
        timeout: config.timeout,
        ..ReaderConfig::default()
    };
    if starts.is_empty() {
        let partitions = config.partitions.clone();
        return Reader::open(reading, &[Selection::of_partitions(&config.topic, partitions, ReadFrom::Earliest)]);
    }
    let selections: Vec<_> = starts
        .into_iter()
        .map(|(partition, start)| {
            let from = if start < 0 { ReadFrom::Earliest } else { ReadFrom::Offset(start) };
            Selection::of_partitions(&config.topic, [partition], from)
        })
        .collect();
    Reader::open(reading, &selections)
}

/// How far the group is in each partition (−1 where it has nothing); empty when it has nothing at all.
fn committed(
    config: &RedriveConfig,
    group: &str,
    (admin, reader): (&Admin, &Reader),
    text: &str,
) -> Result<BTreeMap<i32, i64>> {
    let partition = |place: &crate::Place| PartitionOffset::new(&config.topic, place.partition);
    let asked: Vec<_> = reader.places().iter().map(partition).collect();
    let answers = admin.client().group_offsets(group, Some(&asked), true, config.timeout)?;
    let mut starts = BTreeMap::new();
    for answer in answers {
        if answer.code != code::NO_ERROR {
            let error = Error::new(kind_of(answer.code), OPERATION, describe(answer.code)).kafka_code(answer.code);
            return Err(error.with("group", group).with("partition", answer.partition));
        }
        let has = answer.metadata.as_deref().unwrap_or_default();
        // Another run of the same redrive.
        let is_same = has.strip_prefix(text).is_some_and(|run| run.is_empty() || run.starts_with(RUN));
        if answer.offset.is_some() && !is_same {
            let asked = match has.split(RUN).next().and_then(|has| has.strip_prefix("redrive/1;")) {
                Some(asked) => format!("a redrive that asked for something else ({asked:?}: target; filter)"),
                None => "something else".to_owned(),
            };
            let message = format!("the group was used for {asked}; give each redrive a group of its own");
            return Err(Error::new(ErrorKind::Config, OPERATION, message).with("group", group));
        }
        starts.insert(answer.partition, answer.offset.unwrap_or(-1));
    }
    Ok(if starts.values().all(|start| *start < 0) { BTreeMap::new() } else { starts })
}

fn admin(config: &RedriveConfig) -> Result<Admin> {
    Admin::new(AdminConfig {
        bootstrap_servers: config.bootstrap_servers.clone(),
        kafka: config.kafka.clone(),
        timeout: config.timeout,
        ..AdminConfig::default()
    })
}

fn producer(config: &RedriveConfig) -> Result<Producer> {
    Producer::new(ProducerConfig {
        bootstrap_servers: config.bootstrap_servers.clone(),
        kafka: config.kafka.clone(),
        // The brokers decide.
        max_payload_bytes: 1_000_000_000,
        delivery_timeout: config.delivery_timeout,
        ..ProducerConfig::default()
    })
}
