//! `libkarafka dlq`: dead letters looked at, and sent back.
//!
//! Runs on the main thread; a signal stops a redrive from a thread of its own.

mod redrive;

use crate::Cluster;
use crate::output::{Output, Stop, clean, complain, put_bytes, shown};
use crate::sealed::{self, Keys};
use crate::time;
use clap::{Args, Subcommand};
use karafka::{
    DeadLetter, Error, ErrorKind, LetterFilter, Payload, ReadFrom, ReadUntil, Reader, ReaderConfig, Selection,
};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Look at dead letters, and send them back
///
/// A dead letter is a message that libkarafka has given up after its last attempt, in the topic of the option
/// `dead_letter_queue_topic`. Where it came from and why it failed stands in its headers.
#[derive(Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Dlq {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    List(List),
    Show(Show),
    Redrive(redrive::Redrive),
}

/// Which letters are meant; what is not given matches all of them.
#[derive(Args)]
struct Filter {
    /// The topic that the message came from
    #[arg(long, value_name = "TOPIC")]
    source: Option<String>,
    /// Its partition there
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// The consumer group that gave it up
    #[arg(long, value_name = "GROUP")]
    source_group: Option<String>,
    /// The class of its last error
    #[arg(long, value_name = "CLASS")]
    error: Option<String>,
    /// Its key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Given up at this time or later: 2026-11-21T20:00:00Z, milliseconds since 1970, or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    since: Option<i64>,
    /// Given up before this time
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    before: Option<i64>,
}

impl Filter {
    fn letters(&self) -> LetterFilter {
        LetterFilter {
            source_topic: self.source.clone(),
            source_partition: self.partition,
            source_consumer_group: self.source_group.clone(),
            error_class: self.error.clone(),
            key: self.key.as_ref().map(|key| key.clone().into_bytes()),
            since: self.since,
            before: self.before,
        }
    }
}

/// List dead letters, oldest first in each partition
#[derive(Args)]
struct List {
    /// The topic of the dead letters
    topic: String,
    #[command(flatten)]
    filter: Filter,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u64,
    #[command(flatten)]
    cluster: Cluster,
}

/// Show one dead letter whole: source, error, headers, key and value
#[derive(Args)]
struct Show {
    /// The topic of the dead letters
    topic: String,
    /// Where it lies, as `list` says it
    #[arg(value_name = "PARTITION@OFFSET", value_parser = place)]
    letter: (i32, i64),
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    cluster: Cluster,
}

fn place(text: &str) -> Result<(i32, i64), String> {
    let wrong = || format!("{text:?} is no letter; it looks like 0@12: partition 0, offset 12");
    let (partition, offset) = text.split_once('@').ok_or_else(wrong)?;
    let partition = partition.parse().ok().filter(|partition: &i32| *partition >= 0).ok_or_else(wrong)?;
    let offset = offset.parse().ok().filter(|offset: &i64| *offset >= 0).ok_or_else(wrong)?;
    Ok((partition, offset))
}

impl Dlq {
    pub(crate) fn run(&self, output: Output) -> Result<ExitCode, Stop> {
        match &self.action {
            Action::List(list) => list.run(output),
            Action::Show(show) => show.run(output),
            Action::Redrive(redrive) => redrive.run(output),
        }
    }
}

fn open(cluster: &Cluster, max_messages: u32, selection: Selection) -> karafka::Result<Reader> {
    let config = ReaderConfig {
        bootstrap_servers: cluster.brokers.clone(),
        kafka: cluster.kafka(),
        until: ReadUntil::End,
        max_messages,
        timeout: cluster.timeout,
        ..ReaderConfig::default()
    };
    Reader::open(config, &[selection])
}

impl List {
    fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let filter = self.filter.letters();
        filter.validate()?;
        let mut reader = open(&self.cluster, 500, Selection::new(&self.topic, ReadFrom::Earliest))?;
        if !output.is_json() {
            output.line(&columns("LETTER", "GIVEN UP AT", "SOURCE", "ATTEMPTS", "ERROR", "KEY"))?;
        }
        let (mut listed, mut foreign) = (0, 0_u64);
        while let Some(batch) = reader.next(self.cluster.timeout)? {
            for message in batch.iter() {
                let Some(letter) = DeadLetter::read(message) else {
                    foreign += 1;
                    continue;
                };
                if !filter.matches(&letter) {
                    continue;
                }
                if listed == self.limit {
                    output.flush()?;
                    complain("there are more; see --limit");
                    return Ok(ExitCode::SUCCESS);
                }
                listed += 1;
                output.item(|| line(&letter), || Value::Object(object(&letter)))?;
            }
        }
        output.flush()?;
        if foreign > 0 {
            complain(&format!("{foreign} messages of the topic are no dead letters of libkarafka, and are not listed"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(&self, mut output: Output) -> Result<ExitCode, Stop> {
        let (opener, (partition, offset)) = (self.keys.opener()?, self.letter);
        let missing = |message: &str| {
            Error::new(ErrorKind::Config, "show a dead letter", message).with("letter", format!("{partition}@{offset}"))
        };
        let selection = Selection::of_partitions(&self.topic, [partition], ReadFrom::Offset(offset));
        let mut reader = open(&self.cluster, 1, selection)?;
        let batch = reader.next(self.cluster.timeout)?;
        let message = batch.as_ref().and_then(|batch| batch.get(0)).filter(|message| message.offset() == offset);
        let message = message.ok_or_else(|| missing("there is no message at this offset"))?;
        let letter =
            DeadLetter::read(message).ok_or_else(|| missing("the message there is no dead letter of libkarafka"))?;
        let payload = opener.payload(message);
        if output.is_json() {
            output.json(&Value::Object(whole(&letter, &payload)))?;
        } else {
            print(&mut output, &letter, &payload)?;
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn columns(letter: &str, time: &str, source: &str, attempts: &str, error: &str, key: &str) -> String {
    format!("{letter:<10}  {time:<24}  {source:<28}  {attempts:>8}  {error:<24}  {key}")
}

fn given_up_at(letter: &DeadLetter<'_>) -> Option<String> {
    letter.message.timestamp().map(|time| time::shown(time.milliseconds))
}

fn source(letter: &DeadLetter<'_>) -> String {
    format!("{}/{}@{}", clean(letter.source_topic), letter.source_partition, letter.source_offset)
}

fn line(letter: &DeadLetter<'_>) -> String {
    let message = letter.message;
    columns(
        &format!("{}@{}", message.partition(), message.offset()),
        &given_up_at(letter).unwrap_or_default(),
        &source(letter),
        &letter.attempts.to_string(),
        &clean(letter.error_class),
        &shown(message.key()),
    )
}

fn object(letter: &DeadLetter<'_>) -> Map<String, Value> {
    let message = letter.message;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("topic", message.topic().into());
    put("partition", message.partition().into());
    put("offset", message.offset().into());
    put("given_up_at", given_up_at(letter).map_or(Value::Null, Value::from));
    put("source_topic", letter.source_topic.into());
    put("source_partition", letter.source_partition.into());
    put("source_offset", letter.source_offset.into());
    put("source_consumer_group", letter.source_consumer_group.into());
    put("attempts", letter.attempts.into());
    put("error_class", letter.error_class.into());
    put("error_message", letter.error_message.into());
    put_bytes(&mut object, "key", message.key());
    object
}

fn whole(letter: &DeadLetter<'_>, payload: &Payload<'_>) -> Map<String, Value> {
    let mut object = object(letter);
    let header = |header: &karafka::Header<'_>| {
        let mut entry = Map::new();
        put_bytes(&mut entry, "name", Some(header.name));
        put_bytes(&mut entry, "value", header.value);
        Value::Object(entry)
    };
    object.insert("headers".to_owned(), json!(letter.headers.iter().map(header).collect::<Vec<_>>()));
    sealed::put(&mut object, payload, letter.message);
    object
}

fn print(output: &mut Output, letter: &DeadLetter<'_>, payload: &Payload<'_>) -> Result<(), Stop> {
    let message = letter.message;
    output.line(&format!("letter       {}/{}@{}", message.topic(), message.partition(), message.offset()))?;
    output.line(&format!("given up at  {}", given_up_at(letter).unwrap_or_default()))?;
    output.line(&format!("source       {}", source(letter)))?;
    output.line(&format!("group        {}", clean(letter.source_consumer_group)))?;
    output.line(&format!("attempts     {}", letter.attempts))?;
    output.line(&format!("error        {}: {}", clean(letter.error_class), clean(letter.error_message)))?;
    for header in &letter.headers {
        output.line(&format!("header       {}: {}", shown(Some(header.name)), shown(header.value)))?;
    }
    output.line(&format!("key          {}", shown(message.key())))?;
    output.line(&format!("value        {}", sealed::line(payload, message)))
}
