//! What a handler declares that it writes, against the embedded broker.

use super::{SOON, record};
use karafka::{
    App, AppConfig, Batch, Context, EmbeddedBroker, ErrorKind, Event, Events, Failure, Output, OutputCheck, Outputs,
    Producer, ProducerConfig, ProducerHooks, TopicConfig, handler_fn,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const IN: &str = "in";
const ONCE: Output = Output { required: false, multiple: false };
const REQUIRED: Output = Output { required: true, multiple: false };
const MULTIPLE: Output = Output { required: false, multiple: true };

struct World {
    producer: Producer,
    app: App,
    events: Events,
    /// The last to go: what was produced is waited for.
    _broker: EmbeddedBroker,
}

fn world(name: &str, check: OutputCheck) -> World {
    let broker = EmbeddedBroker::start().unwrap();
    for topic in [IN, "once", "required", "multiple", "other"] {
        broker.create_topic(topic, 1).unwrap();
    }
    // Known by its address, too, for what it is.
    let brokers = broker.bootstrap_servers();
    let producer = Producer::new(ProducerConfig { bootstrap_servers: brokers.clone(), ..ProducerConfig::default() });
    let config =
        AppConfig { bootstrap_servers: brokers, group: name.to_owned(), output_check: check, ..AppConfig::default() };
    let app = App::new(config).unwrap();
    let events = app.events_of(&["error.occurred"]).unwrap();
    World { producer: producer.unwrap(), app, events, _broker: broker }
}

fn config() -> TopicConfig {
    let produces = Outputs::from([("once", ONCE), ("required", REQUIRED), ("multiple", MULTIPLE)]);
    let (pause, longest) = (Duration::from_millis(1), Duration::from_millis(10));
    TopicConfig { produces, retry_backoff: pause, retry_backoff_max: longest, ..TopicConfig::default() }
}

impl World {
    /// Has a handler called until `enough` of its calls have succeeded.
    fn run(&self, enough: u32, handle: impl Fn(u32, &Context) -> Result<(), Failure> + Send + Sync + 'static) {
        // Given up once it is used: an app keeps its handlers, and one that kept the app would keep both for ever.
        let (calls, done, stopper) = (AtomicU32::new(0), AtomicU32::new(0), Mutex::new(Some(self.app.clone())));
        let handler = handler_fn(move |_: &Batch, context: &Context| {
            handle(calls.fetch_add(1, Ordering::SeqCst), context)?;
            if done.fetch_add(1, Ordering::SeqCst) + 1 == enough {
                stopper.lock().unwrap().take().unwrap().stop();
            }
            Ok::<(), Failure>(())
        });
        self.app.topic(IN, config(), handler).unwrap();
        self.producer.produce_sync(&record(IN, "0")).unwrap();
        self.app.run().unwrap();
    }
}

#[test]
fn in_a_test_what_is_undeclared_or_doubled_is_refused_and_not_sent() {
    let world = world("outputs-refused", OutputCheck::Auto);
    let producer = world.producer.clone();
    let refused = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&refused);
    world.run(1, move |_, _| {
        producer.produce_async(&record("required", "1"))?;
        for topic in ["multiple", "multiple", "once"] {
            producer.produce_async(&record(topic, "1"))?;
        }
        noted.lock().unwrap().extend(["other", "once"].map(|topic| producer.produce_async(&record(topic, "2"))));
        producer.buffer(&record("multiple", "2"))?;
        noted.lock().unwrap().push(producer.flush_buffer_async().map(|sent| sent.into_iter().next().unwrap()));
        Ok(())
    });
    let outcomes = std::mem::take(&mut *refused.lock().unwrap());
    let errors: Vec<_> = outcomes.iter().take(2).map(|outcome| outcome.as_ref().unwrap_err()).collect();
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Config), "{errors:?}");
    assert!(
        errors[0].to_string().contains("the handler of in writes to other, which its option `produces`"),
        "{errors:?}"
    );
    assert!(errors[1].to_string().contains("wrote to once more than once in a call"), "{errors:?}");
    outcomes[2].as_ref().unwrap().wait(SOON).unwrap();
    // Refused on the way, so that the call has failed although the handler went on.
    let Ok(Event::HandlerFailed { failure, .. }) = world.events.next(SOON) else { panic!("no failure") };
    assert_eq!(failure.class, "OutputError");
    assert!(failure.message.contains("writes to other"), "{}", failure.message);
}

#[test]
fn in_a_test_a_call_that_lacks_an_output_fails_and_is_tried_again() {
    let world = world("outputs-missing", OutputCheck::Auto);
    let producer = world.producer.clone();
    world.run(2, move |call, context| {
        if call == 1 {
            // On another thread it counts where the handler says so.
            let (context, producer) = (context.clone(), producer.clone());
            std::thread::spawn(move || context.counting(|| producer.produce_async(&record("required", "1"))))
                .join()
                .unwrap()?;
        }
        Ok(())
    });
    let Ok(Event::HandlerFailed { failure, attempt, .. }) = world.events.next(SOON) else { panic!("no failure") };
    assert_eq!((failure.class.as_str(), attempt), ("OutputError", 1));
    assert!(failure.message.contains("the handler of in wrote nothing to required"), "{}", failure.message);
    assert!(world.events.next(Duration::ZERO).is_err(), "the second attempt wrote what it has to");
}

#[test]
fn otherwise_it_is_an_event_and_nothing_is_refused() {
    let world = world("outputs-event", OutputCheck::Event);
    let producer = world.producer.clone();
    world.run(1, move |_, _| {
        for topic in ["other", "once", "once", "multiple"] {
            producer.produce_async(&record(topic, "1"))?;
        }
        Ok(())
    });
    let mut told = Vec::new();
    let deadline = Instant::now() + SOON;
    while told.len() < 3 && Instant::now() < deadline {
        if let Ok(Event::OutputsWrong { output, problem, calls, offset, .. }) = world.events.next(SOON) {
            told.push(format!("{output} {problem} {calls} {offset}"));
        }
    }
    assert_eq!(told, ["once doubled 1 0", "other undeclared 1 0", "required missing 1 0"]);
}

#[test]
fn a_testing_producer_makes_it_an_error_wherever_messages_come_from() {
    let producer = Producer::recording(ProducerConfig::default(), ProducerHooks::default(), 1).unwrap();
    producer.produce_sync(&record("anything", "outside of a call nothing is counted")).unwrap();
    let world = world("outputs-recorder", OutputCheck::Error);
    let recorder = producer.clone();
    world.run(1, move |call, _| {
        recorder.produce_async(&record("required", "1"))?;
        if call == 0 {
            recorder.produce_async(&record("required", "2"))?;
        }
        Ok(())
    });
    let Ok(Event::HandlerFailed { failure, .. }) = world.events.next(SOON) else { panic!("no failure") };
    assert!(failure.message.contains("wrote to required more than once"), "{}", failure.message);
    assert_eq!(producer.recorded().unwrap().len(), 3);
}
