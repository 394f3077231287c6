//! `member OPTIONS...` is a member of a consumer group that tells what its handler sees, line by line.
//!
//! Options are `name=value`: `brokers`, `topic` (or several, by commas), `group`, `work_us` (what each record takes), `workers`, `hold_key` and
//! `hold_ms` (records with this key take so long instead), `log` (1: the log goes to the error stream), and any option of an
//! app (`app.NAME`), of the topic (`topic.NAME`) or of librdkafka (`kafka.NAME`). Begins and ends are printed as
//! [`libkarafka_tests::record::Event`], events of the app as `app NAME ... at=NANOSECONDS`. The line `stop`, or the end of the input, stops it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use karafka::{App, AppConfig, Batch, Context, Failure, NoEvent, TopicConfig, Value, handler_fn};
use libkarafka_tests::record::{Event, Place, What, now};
use std::io::BufRead;
use std::time::Duration;

#[derive(Default)]
struct Options {
    topic: String,
    work: Duration,
    hold: (String, Duration),
    log: bool,
    app: Vec<(String, Value)>,
    of_topic: Vec<(String, Value)>,
    kafka: Vec<(String, Value)>,
}

fn options() -> Options {
    let mut options = Options::default();
    for argument in std::env::args().skip(1) {
        let (name, text) = argument.split_once('=').expect("options are name=value");
        let value = text.parse().map_or_else(|_| Value::from(text), Value::Integer);
        match name.split_once('.') {
            Some(("app", name)) => options.app.push((name.to_owned(), value)),
            Some(("topic", name)) => options.of_topic.push((name.to_owned(), value)),
            Some(("kafka", name)) => options.kafka.push((name.to_owned(), Value::from(text))),
            _ => match name {
                "brokers" => options.app.push(("bootstrap_servers".to_owned(), Value::from(text))),
                "group" => options.app.push(("group".to_owned(), Value::from(text))),
                "workers" => options.app.push(("concurrency".to_owned(), value)),
                "topic" => text.clone_into(&mut options.topic),
                "work_us" => options.work = Duration::from_micros(text.parse().expect("work_us is a number")),
                "hold_key" => text.clone_into(&mut options.hold.0),
                "hold_ms" => options.hold.1 = Duration::from_millis(text.parse().expect("hold_ms is a number")),
                "log" => options.log = text == "1",
                other => panic!("unknown option {other}"),
            },
        }
    }
    if !options.kafka.is_empty() {
        options.app.push(("kafka".to_owned(), Value::Map(std::mem::take(&mut options.kafka))));
    }
    options
}

fn main() {
    let options = options();
    let app = App::new(AppConfig::from_settings(&options.app).unwrap()).unwrap();
    if options.log {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    }
    let (work, hold) = (options.work, options.hold);
    let handler = move |batch: &Batch, _: &Context| {
        for message in batch.iter() {
            let place =
                Place { topic: message.topic().to_owned(), partition: message.partition(), offset: message.offset() };
            Event::now(What::Began(place.clone(), message.key().map(<[u8]>::to_vec))).print();
            let is_held = message.key().is_some_and(|key| !hold.1.is_zero() && key == hold.0.as_bytes());
            std::thread::sleep(if is_held { hold.1 } else { work });
            Event::now(What::Finished(place)).print();
        }
        Ok::<(), Failure>(())
    };
    let config = TopicConfig::from_settings(&options.of_topic).unwrap();
    for topic in options.topic.split(',') {
        app.topic(topic, config.clone(), handler_fn(handler.clone())).unwrap();
    }
    let events = app.events();
    app.start().unwrap();
    let stopping = app.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_ok_and(|line| line == "stop") {
                break;
            }
        }
        stopping.stop();
    });
    loop {
        match events.next(Duration::from_secs(3600)) {
            Ok(event) => println!("app {event} at={}", now()),
            Err(NoEvent::Timeout) => {}
            Err(NoEvent::Ended) => break,
        }
    }
    if let Err(error) = app.join(None) {
        eprintln!("{error}");
        std::process::exit(2);
    }
}
