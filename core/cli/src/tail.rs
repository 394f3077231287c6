//! `libkarafka tail` and `libkarafka send`: records read without a group, and produced.

use crate::Cluster;
use crate::interrupt::Interrupt;
use crate::names::Name;
use crate::output::{Output, Stop, heard, put_bytes, shown};
use crate::sealed::{self, Keys};
use crate::time;
use clap::Args;
use karafka::{
    Error, ErrorKind, Header, Message, Opener, Producer, ProducerConfig, ReadFrom, ReadUntil, Reader, ReaderConfig,
    Record, Selection,
};
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::ExitCode;
use std::time::Duration;

/// Show the records of a topic: the last ones, those from a place on, or what comes
///
/// Needs no consumer group, and commits nothing.
#[derive(Args)]
pub(crate) struct Tail {
    /// The topic
    topic: String,
    /// A partition; all of them otherwise; may be given several times
    #[arg(long = "partition", value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Begin so many offsets before the end of each partition
    #[arg(long, value_name = "COUNT", default_value_t = 10, conflicts_with_all = ["offset", "since", "all"])]
    last: u64,
    /// Begin at this offset
    #[arg(long, value_name = "OFFSET", conflicts_with_all = ["since", "all"], value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// Begin at this time: 2026-11-21T20:00:00Z, milliseconds since 1970, or 2h (ago)
    #[arg(long, value_name = "TIME", conflicts_with = "all", value_parser = time::instant)]
    since: Option<i64>,
    /// Begin with the oldest record
    #[arg(long)]
    all: bool,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    cluster: Cluster,
}

impl Tail {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let from = match (self.offset, self.since, self.all) {
            (Some(offset), ..) => ReadFrom::Offset(offset),
            (_, Some(time), _) => ReadFrom::Time(time),
            (.., true) => ReadFrom::Earliest,
            _ => ReadFrom::Last(self.last),
        };
        let opener = self.keys.opener()?;
        let config = ReaderConfig {
            bootstrap_servers: self.cluster.brokers.clone(),
            kafka: self.cluster.kafka(),
            until: if self.follow { ReadUntil::Forever } else { ReadUntil::End },
            timeout: self.cluster.timeout,
            ..ReaderConfig::default()
        };
        let selection = Selection::of_partitions(&self.topic, self.partitions.clone(), from);
        let mut reader = Reader::open(config, &[selection])?;
        // Killed where it stands, it would leave half a line to a program that reads slowly.
        let reading = reader.interrupter();
        let interrupt = Interrupt::watch(move || reading.interrupt())?;
        while interrupt.code().is_none() {
            let batch = match reader.next(self.cluster.timeout) {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::Stopped && interrupt.code().is_some() => break,
                // Nothing comes, and nothing is wrong.
                Err(error) if self.follow && error.kind() == ErrorKind::Timeout && error.kafka().is_none() => continue,
                Err(error) => return Err(error.into()),
            };
            for message in batch.iter().take_while(|_| interrupt.code().is_none()) {
                output.item(|| line(&opener, message), || Value::Object(object(&opener, message)))?;
            }
            output.flush()?;
        }
        output.end_with(interrupt.code().unwrap_or(ExitCode::SUCCESS))
    }
}

fn line(opener: &Opener, message: Message<'_>) -> String {
    let time = message.timestamp().map(|time| time::shown(time.milliseconds)).unwrap_or_default();
    let place = format!("{}@{}", message.partition(), message.offset());
    format!("{place:<10}  {time}  {}  {}", shown(message.key()), sealed::line(&opener.payload(message), message))
}

fn object(opener: &Opener, message: Message<'_>) -> Map<String, Value> {
    let header = |header: Header<'_>| {
        let mut entry = Map::new();
        put_bytes(&mut entry, "name", Some(header.name));
        put_bytes(&mut entry, "value", header.value);
        Value::Object(entry)
    };
    let mut object = Map::new();
    object.insert("topic".to_owned(), message.topic().into());
    object.insert("partition".to_owned(), message.partition().into());
    object.insert("offset".to_owned(), message.offset().into());
    let time = message.timestamp().map(|time| time::shown(time.milliseconds));
    object.insert("time".to_owned(), time.map_or(Value::Null, Value::from));
    put_bytes(&mut object, "key", message.key());
    object.insert("headers".to_owned(), json!(message.headers().into_iter().map(header).collect::<Vec<_>>()));
    sealed::put(&mut object, &opener.payload(message), message);
    object
}

/// Produce records: one, or one for each line of the standard input
#[derive(Args)]
pub(crate) struct Send {
    /// The topic
    topic: String,
    /// The value; the lines of the standard input otherwise
    value: Option<String>,
    /// The key
    #[arg(long)]
    key: Option<String>,
    /// The partition; the key decides otherwise
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// A header; may be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = crate::setting)]
    headers: Vec<(String, String)>,
    /// No value: deletes the key in a compacted topic
    #[arg(long, conflicts_with = "value", requires = "key")]
    tombstone: bool,
    #[command(flatten)]
    cluster: Cluster,
}

/// Most records of the standard input that are on their way at once.
const MOST: usize = 1000;

impl Send {
    pub(crate) fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        // Says in time, and in words, that nobody is there, or that there is no such topic.
        self.cluster.admin_for([Name::Topic(&self.topic)])?.topic(&self.topic)?;
        let producer = Producer::new(ProducerConfig {
            bootstrap_servers: self.cluster.brokers.clone(),
            kafka: self.cluster.kafka(),
            ..ProducerConfig::default()
        })?;
        if self.tombstone || self.value.is_some() {
            let value = self.value.as_ref().map(|value| value.clone().into_bytes());
            self.send(&producer, &mut output, &[value], None)?;
        } else {
            let (mut input, mut before) = (BufReader::with_capacity(1 << 20, std::io::stdin().lock()), 0);
            loop {
                let lines = lines_there(&mut input)?;
                if lines.is_empty() {
                    break;
                }
                let values: Vec<_> = lines.into_iter().map(Some).collect();
                self.send(&producer, &mut output, &values, Some(before))?;
                before += values.len();
            }
        }
        producer.close()?;
        output.end_with(ExitCode::SUCCESS)
    }

    /// Sends records, and tells where each lies, also those in front of one that fails. With the number of lines before them, a failure
    /// names its line.
    fn send(
        &self,
        producer: &Producer,
        output: &mut Output,
        values: &[Option<Vec<u8>>],
        before: Option<usize>,
    ) -> Result<(), Stop> {
        let header = |(name, value): &(String, String)| (name.clone().into_bytes(), value.clone().into_bytes());
        let kept: Vec<_> = self.headers.iter().map(header).collect();
        let headers: Vec<_> = kept.iter().map(|(name, value)| Header { name, value: Some(value) }).collect();
        let (mut deliveries, mut failure) = (Vec::new(), None);
        for (at, value) in values.iter().enumerate() {
            let sent = producer.produce_async(&Record {
                topic: &self.topic,
                partition: self.partition,
                key: self.key.as_ref().map(String::as_bytes),
                payload: value.as_deref(),
                headers: &headers,
                ..Record::default()
            });
            match sent {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => {
                    failure = Some((at, error));
                    break;
                }
            }
        }
        let (mut told, mut count) = (Ok(()), 0);
        for (at, delivery) in deliveries.into_iter().enumerate() {
            match delivery.wait(self.cluster.timeout + Duration::from_secs(60)) {
                Ok(report) => {
                    count += 1;
                    told = told.and_then(|()| {
                        output.item(
                            || format!("{}/{}@{}", self.topic, report.partition, report.offset),
                            || json!({ "topic": self.topic, "partition": report.partition, "offset": report.offset }),
                        )
                    });
                }
                Err(error) if failure.as_ref().is_none_or(|(first, _)| at < *first) => failure = Some((at, error)),
                Err(_) => {}
            }
        }
        // Who sends a file may have it sent without reading where each line lies.
        heard(told.and_then(|()| output.flush()))?;
        match (failure, before) {
            (None, _) => Ok(()),
            (Some((at, error)), Some(before)) if before + count > 0 => {
                // Not a mistake before anything was done any more.
                let error = Error::new(ErrorKind::Broker, "send lines", error.to_string()).caused_by(error);
                Err(error.with("line", before + at + 1).into())
            }
            (Some((_, error)), _) => Err(error.into()),
        }
    }
}

/// The lines that are there: one at least, but at the end of the input. None waits for those behind it.
fn lines_there(input: &mut BufReader<impl Read>) -> karafka::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line).map_err(|error| {
            Error::new(ErrorKind::Internal, "read lines", format!("the standard input: {error}")).caused_by(error)
        })?;
        if read == 0 {
            return Ok(lines);
        }
        line.pop_if(|last| *last == b'\n');
        lines.push(line);
        if lines.len() == MOST || !input.buffer().contains(&b'\n') {
            return Ok(lines);
        }
    }
}
