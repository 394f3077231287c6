//! Calls outside of any run: what they return, or how they are refused.

use crate::{PATIENCE, outcome, table::settings};
use karafka::{
    Admin, AdminConfig, App, AppConfig, EmbeddedBroker, ErrorKind, Failure, Producer, ProducerConfig, ProducerHooks,
    Record, Settings, TopicConfig, TransactionalProducer, handler_fn,
};
use serde_json::{Value as Json, json};

/// Does one call of the table.
pub fn call(described: &Json, broker: &str) -> Json {
    let nothing = |()| Json::Null;
    match described["do"].as_str().unwrap() {
        "app" => {
            let app = AppConfig::from_settings(&with_broker(&described["app"], broker));
            outcome(app.and_then(|config| start_and_stop(config, &described["topic"])), nothing)
        }
        "topic" => outcome(add_topic(described), nothing),
        "producer" => outcome(
            ProducerConfig::from_settings(&with_broker(&described["producer"], broker)).and_then(Producer::new),
            |_| Json::Null,
        ),
        "testing_producer" => outcome(
            ProducerConfig::from_settings(&settings(&described["producer"]))
                .and_then(|config| Producer::recording(config, ProducerHooks::default(), 1)),
            |_| Json::Null,
        ),
        "transactional_producer" => outcome(
            ProducerConfig::from_settings(&with_broker(&described["producer"], broker))
                .and_then(TransactionalProducer::new),
            |_| Json::Null,
        ),
        "produce" => outcome(produce(described, broker), |report| json!([report.partition, report.offset])),
        "create_topic" => {
            let partitions = described["partitions"].as_i64().unwrap() as i32;
            let made =
                EmbeddedBroker::named(broker).and_then(|broker| broker.create_topic(&name(described), partitions));
            outcome(made, nothing)
        }
        "admin" => {
            let mut request = described["with"].clone();
            request["call"] = described["ask"].clone();
            let config = AdminConfig { bootstrap_servers: broker.to_owned(), ..AdminConfig::default() };
            outcome(Admin::new(config).and_then(|admin| admin.ask(&request.to_string())), |_| Json::Null)
        }
        "unstarted" => {
            let app = App::new(AppConfig::default()).unwrap();
            reading(&app, "orders").unwrap();
            let steps = described["steps"].as_array().unwrap().iter();
            let results = steps.map(|name| step(name.as_str().unwrap(), &app)).map(|result| short(&result));
            json!({ "value": results.collect::<Vec<_>>() })
        }
        "closed_producer" => {
            let producer = Producer::new(producer_config(&Json::Null, broker)).unwrap();
            let record = Record { topic: "never", payload: Some(b"late"), ..Record::default() };
            let results = [
                outcome(producer.close(), nothing),
                outcome(producer.close(), nothing),
                outcome(producer.produce_sync(&record), |_| Json::Null),
                outcome(producer.flush(PATIENCE), |left| json!(left)),
            ];
            json!({ "value": results.each_ref().map(short) })
        }
        "start_without_topic" => outcome(App::new(AppConfig::default()).and_then(|app| app.start()), nothing),
        "same_topic_twice" => {
            let app = App::new(AppConfig::default()).unwrap();
            reading(&app, "orders").unwrap();
            outcome(reading(&app, "orders"), |_| Json::Null)
        }
        "error_kinds" => {
            let mut names = ErrorKind::ALL.map(ErrorKind::name);
            names.sort_unstable();
            json!({ "value": names })
        }
        "versions" => json!({ "value": [karafka::VERSION, karafka::librdkafka_version()] }),
        other => panic!("the table calls {other}"),
    }
}

/// One call on an app that is not running.
pub fn step(name: &str, app: &App) -> Json {
    let nothing = |()| Json::Null;
    match name {
        "phase" => json!({ "value": app.phase().name() }),
        "start" => outcome(app.start(), nothing),
        "quiet" => outcome(app.quiet(), nothing),
        "resume" => outcome(app.resume(), nothing),
        "topic" => outcome(reading(app, "another"), |_| Json::Null),
        "join" => outcome(app.join(Some(PATIENCE)), |stopped| json!(stopped)),
        "stop" => {
            app.stop();
            json!({ "value": null })
        }
        other => panic!("the table calls {other}"),
    }
}

/// A step's value, or the kind of its error.
fn short(result: &Json) -> Json {
    result.get("error").or_else(|| result.get("value")).cloned().unwrap_or_default()
}

fn with_broker(options: &Json, broker: &str) -> Settings {
    let mut options = settings(options);
    options.push(("bootstrap_servers".to_owned(), broker.into()));
    options
}

fn producer_config(options: &Json, broker: &str) -> ProducerConfig {
    ProducerConfig::from_settings(&with_broker(options, broker)).unwrap()
}

/// Settings of librdkafka are checked at the start.
fn start_and_stop(config: AppConfig, topic: &Json) -> karafka::Result<()> {
    let app = App::new(config)?;
    app.topic("orders", TopicConfig::from_settings(&settings(topic))?, handler_fn(|_, _| Ok::<(), Failure>(())))?;
    app.start()?;
    app.stop();
    app.join(Some(PATIENCE)).map(drop)
}

fn reading(app: &App, topic: &str) -> karafka::Result<usize> {
    app.topic(topic, TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(())))
}

fn add_topic(described: &Json) -> karafka::Result<()> {
    let app = App::new(AppConfig::default())?;
    let name = name(described);
    let config = TopicConfig::from_settings(&settings(&described["topic"])).map_err(|error| error.with("topic", &name));
    app.topic(&name, config?, handler_fn(|_, _| Ok::<(), Failure>(()))).map(drop)
}

/// A name is text and how often it is repeated; "orders" if nothing is said.
fn name(described: &Json) -> String {
    let text = described["name"][0].as_str().unwrap_or("orders");
    text.repeat(described["name"][1].as_u64().unwrap_or(1) as usize)
}

fn produce(described: &Json, broker: &str) -> karafka::Result<karafka::DeliveryReport> {
    let producer = Producer::new(producer_config(&described["producer"], broker))?;
    let payload = "x".repeat(described["payload"].as_u64().unwrap_or(1) as usize);
    producer.produce_sync(&Record {
        topic: &name(described),
        payload: Some(payload.as_bytes()),
        partition: described["partition"].as_i64().map(|partition| partition as i32),
        ..Record::default()
    })
}
