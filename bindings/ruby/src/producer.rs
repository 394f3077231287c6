//! A producer of the core, as `lib/libkarafka/producer.rb` drives it, and `LibKarafka::Delivery`.
//!
//! Records are copied and sent with the GVL held; only waiting for room in a full queue, or for a broker's answer, gives it up.

use crate::config::settings;
use crate::deliveries::Deliveries;
use crate::error::{Raise, exception, symbol_name};
use crate::event::Subscription;
use crate::gvl;
use crate::handle::Handle;
use crate::messages::bytes;
use crate::plain::Plain;
use crate::wait::{Slot, deadline, drop_elsewhere, interruptible, seconds};
use karafka::{
    AppConfig, DeliveryReport, ErrorKind, Header, OwnedRecord, ProducerConfig, ProducerHooks, Record, Recorded,
};
use magnus::r_hash::ForEach;
use magnus::typed_data::TypedData;
use magnus::{
    Error, Integer, Module, Object, RArray, RHash, RModule, RString, Ruby, Symbol, TryConvert, Value, function, method,
    prelude::*,
};
use std::sync::Arc;
use std::time::Duration;

/// How long a broker may take to say how many partitions a topic has.
const LOOK: Duration = Duration::from_secs(10);

/// Most messages that are read before they are sent.
const AT_ONCE: usize = 256;

#[magnus::wrap(class = "LibKarafka::Native::Producer", free_immediately, size)]
pub(crate) struct Producer(Handle<karafka::Producer>);

#[magnus::wrap(class = "LibKarafka::Delivery", free_immediately, size)]
pub(crate) struct Delivery(Handle<karafka::Delivery>);

type OwnHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A message as Ruby describes it; its strings are lent for a call that does not use Ruby.
pub(crate) struct Message {
    topic: RString,
    payload: Option<RString>,
    key: Option<RString>,
    headers: OwnHeaders,
    partition: Option<i32>,
    timestamp_ms: Option<i64>,
    partition_key: Option<RString>,
    label: Option<RString>,
}

type Fields = (
    RString,
    Option<RString>,
    Option<RString>,
    Option<Value>,
    Option<i32>,
    Option<i64>,
    Option<RString>,
    Option<RString>,
);

impl Message {
    pub(crate) fn read(fields: RArray) -> Result<Self, Error> {
        let (topic, payload, key, headers, partition, timestamp_ms, partition_key, label) =
            Fields::try_convert(fields.as_value())?;
        let headers = headers.map_or(Ok(OwnHeaders::new()), read_headers)?;
        Ok(Self { topic, payload, key, headers, partition, timestamp_ms, partition_key, label })
    }

    /// Out of a Hash with the keywords of `produce_async`.
    fn from_hash(ruby: &Ruby, hash: RHash) -> Result<Self, Error> {
        let (mut topic, mut payload, mut key, mut headers) = (None, None, None, OwnHeaders::new());
        let (mut partition, mut timestamp_ms, mut partition_key, mut label) = (None, None, None, None);
        let mut has_payload = false;
        hash.foreach(|name: Symbol, value: Value| {
            match &*name.name()? {
                "topic" => topic = Some(text(value)?),
                "payload" => {
                    has_payload = true;
                    payload = Option::try_convert(value)?;
                }
                "key" => key = Option::try_convert(value)?,
                "headers" if value.is_nil() => {}
                "headers" => headers = read_headers(value)?,
                "partition" => partition = Option::try_convert(value)?,
                "timestamp" => timestamp_ms = milliseconds(value)?,
                "partition_key" => partition_key = Option::try_convert(value)?,
                "label" => label = if value.is_nil() { None } else { Some(text(value)?) },
                other => return Err(wrong(ruby, format!("unknown keyword: :{other}"))),
            }
            Ok(ForEach::Continue)
        })?;
        let Some(topic) = topic.filter(|_| has_payload) else {
            return Err(wrong(ruby, "a message needs :topic and :payload (nil is a tombstone)".to_owned()));
        };
        Ok(Self { topic, payload, key, headers, partition, timestamp_ms, partition_key, label })
    }

    /// Lends the record to `call`, which must not use Ruby.
    pub(crate) fn lend<T>(&self, call: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers: Vec<Header<'_>> =
            self.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        gvl::with_bytes(self.topic, |topic| {
            gvl::with_some(self.payload, |payload| {
                gvl::with_some(self.key, |key| {
                    gvl::with_some(self.partition_key, |partition_key| {
                        gvl::with_some(self.label, |label| {
                            let label = label.map(String::from_utf8_lossy);
                            call(&Record {
                                // What is no text is no topic's name either, and is refused as such.
                                topic: &String::from_utf8_lossy(topic),
                                partition: self.partition,
                                partition_key,
                                key,
                                payload,
                                headers: &headers,
                                timestamp_ms: self.timestamp_ms,
                                label: label.as_deref(),
                            })
                        })
                    })
                })
            })
        })
    }
}

pub(crate) fn own(record: &Record<'_>) -> OwnedRecord {
    record.to_owned_record()
}

fn wrong(ruby: &Ruby, message: String) -> Error {
    Error::new(ruby.exception_arg_error(), message)
}

fn text(value: Value) -> Result<RString, Error> {
    match RString::from_value(value) {
        Some(text) => Ok(text),
        None => value.funcall("to_s", ()),
    }
}

/// Milliseconds out of an Integer of them, or a Time.
fn milliseconds(value: Value) -> Result<Option<i64>, Error> {
    if value.is_nil() || Integer::from_value(value).is_some() {
        return Option::try_convert(value);
    }
    let seconds: Value = value.funcall("to_r", ())?;
    seconds.funcall::<_, _, Value>("*", (1000,))?.funcall("round", ())
}

/// Headers out of an array of pairs, or out of a hash, where an array of values stands for a name that repeats. A value is a
/// string or `nil`.
fn read_headers(given: Value) -> Result<OwnHeaders, Error> {
    let mut headers = OwnHeaders::new();
    if let Some(pairs) = RArray::from_value(given) {
        for pair in pairs {
            let (name, value) = <(Value, Option<RString>)>::try_convert(pair)?;
            headers.push((bytes(name.funcall("to_s", ())?), value.map(bytes)));
        }
        return Ok(headers);
    }
    RHash::try_convert(given)?.foreach(|name: Value, value: Value| {
        let name = bytes(name.funcall("to_s", ())?);
        match RArray::from_value(value) {
            Some(values) => {
                for value in values {
                    headers.push((name.clone(), Option::<RString>::try_convert(value)?.map(bytes)));
                }
            }
            None => headers.push((name, Option::<RString>::try_convert(value)?.map(bytes))),
        }
        Ok(ForEach::Continue)
    })?;
    Ok(headers)
}

/// Sends a message. Gives the GVL up only when the queue is full, or a broker must be asked: taking it again would cost a turn
/// behind every other thread. Waiting for room cannot be interrupted, and ends after `queue_full_timeout`.
fn send(ruby: &Ruby, producer: &karafka::Producer, message: &Message) -> Result<karafka::Delivery, Error> {
    if message.partition.is_none() && message.partition_key.is_some() {
        look_up(ruby, producer, &message.topic.to_string()?)?;
    }
    let delivery = match message.lend(|record| producer.try_produce(record)) {
        // A failure that a test planted is no full queue, and not to be tried again.
        Err(error) if error.kind() == ErrorKind::QueueFull && error.is_retriable() => {
            let record = message.lend(own);
            without_gvl(ruby, || record.lend(|record| producer.produce_async(record)))?
        }
        other => other,
    };
    delivery.or_raise(ruby)
}

/// Sends messages that were read, with the GVL as long as there is room in the queue, and forgets them.
fn send_plain(
    ruby: &Ruby,
    producer: &karafka::Producer,
    messages: &mut Vec<Plain>,
    sent: &mut karafka::Deliveries,
) -> Result<(), Error> {
    let before = sent.len();
    let outcome = Plain::lend(messages, |records| producer.try_produce_many(records, sent));
    match outcome {
        Err(error) if error.kind() == ErrorKind::QueueFull && error.is_retriable() => {
            let done = sent.len() - before;
            let rest: Vec<_> = Plain::lend(messages, |records| records.iter().skip(done).map(own).collect());
            let produce = || rest.iter().map(|record| record.lend(|record| producer.produce_async(record))).collect();
            let more: karafka::Result<Vec<_>> = without_gvl(ruby, produce)?;
            sent.extend(more.or_raise(ruby)?);
        }
        other => other.or_raise(ruby)?,
    }
    messages.clear();
    Ok(())
}

/// Has the core know how many partitions a topic has.
fn look_up(ruby: &Ruby, producer: &karafka::Producer, topic: &str) -> Result<usize, Error> {
    let count = if producer.partitions_unknown(topic) {
        without_gvl(ruby, || producer.partitions(topic, LOOK))?
    } else {
        producer.partitions(topic, LOOK)
    };
    count.or_raise(ruby)
}

fn without_gvl<T>(ruby: &Ruby, work: impl Fn() -> T) -> Result<T, Error> {
    loop {
        match gvl::without_gvl(&work, &|| ()) {
            Some(result) => return Ok(result),
            None => ruby.thread_check_ints()?,
        }
    }
}

impl Producer {
    fn new(ruby: &Ruby, options: RHash) -> Result<Self, Error> {
        let settings = settings(ruby, options)?;
        let producer = ProducerConfig::from_settings(&settings).and_then(karafka::Producer::new).or_raise(ruby)?;
        Ok(Self(Handle::new(producer)))
    }

    /// A producer for the brokers of an app with these options, with the producer's own on top.
    fn for_app(ruby: &Ruby, app_options: RHash, options: RHash) -> Result<Self, Error> {
        let app = AppConfig::from_settings(&settings(ruby, app_options)?).or_raise(ruby)?;
        let mut config = app.producer_config();
        for (name, value) in settings(ruby, options)? {
            config.set(&name, &value).or_raise(ruby)?;
        }
        Ok(Self(Handle::new(karafka::Producer::new(config).or_raise(ruby)?)))
    }

    pub(crate) fn get(&self, ruby: &Ruby, operation: &'static str) -> Result<&karafka::Producer, Error> {
        self.0.get(operation).or_raise(ruby)
    }

    fn produce(ruby: &Ruby, this: &Self, fields: RArray) -> Result<Delivery, Error> {
        let producer = this.get(ruby, "produce")?;
        send(ruby, producer, &Message::read(fields)?).map(Delivery::new)
    }

    /// Sends in order, until one cannot be sent; those before it are on their way then.
    fn produce_many(ruby: &Ruby, this: &Self, list: RArray) -> Result<Deliveries, Error> {
        let producer = this.get(ruby, "produce")?;
        let (mut sent, mut plain) = (karafka::Deliveries::default(), Vec::with_capacity(list.len().min(AT_ONCE)));
        for given in list {
            if let Some(message) = RHash::from_value(given).and_then(|hash| Plain::read(ruby, hash)) {
                plain.push(message);
                if plain.len() == AT_ONCE {
                    send_plain(ruby, producer, &mut plain, &mut sent)?;
                }
                continue;
            }
            send_plain(ruby, producer, &mut plain, &mut sent)?;
            let message = Message::from_hash(ruby, RHash::try_convert(given)?)?;
            sent.extend([send(ruby, producer, &message)?]);
        }
        send_plain(ruby, producer, &mut plain, &mut sent)?;
        // The list holds the strings that were lent.
        std::hint::black_box(list);
        Ok(Deliveries::new(sent))
    }

    /// Keeps messages, or none of them.
    fn buffer_many(ruby: &Ruby, this: &Self, list: RArray) -> Result<(), Error> {
        let producer = this.get(ruby, "buffer a record")?;
        let read = |hash| Ok(Message::from_hash(ruby, RHash::try_convert(hash)?)?.lend(own));
        let records = list.into_iter().map(read).collect::<Result<Vec<OwnedRecord>, Error>>()?;
        producer.buffer_owned(records).or_raise(ruby)
    }

    fn buffered(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        Ok(this.get(ruby, "count records")?.buffered())
    }

    fn flush_buffer(ruby: &Ruby, this: &Self) -> Result<Deliveries, Error> {
        let producer = this.get(ruby, "flush a buffer")?;
        Ok(Deliveries::new(without_gvl(ruby, || producer.flush_buffer_async())?.or_raise(ruby)?))
    }

    fn clear_buffer(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        this.get(ruby, "clear a buffer")?.clear_buffer().or_raise(ruby)
    }

    fn partitions(ruby: &Ruby, this: &Self, topic: String) -> Result<usize, Error> {
        look_up(ruby, this.get(ruby, "look a topic up")?, &topic)
    }

    fn variant(ruby: &Ruby, this: &Self, options: RHash) -> Result<Self, Error> {
        let settings = settings(ruby, options)?;
        let variant = this.get(ruby, "make a variant of a producer")?.variant(&settings).or_raise(ruby)?;
        Ok(Self(Handle::new(variant)))
    }

    /// Another producer of the same configuration; also in a forked child, which may read its parent's memory.
    fn reopen(ruby: &Ruby, this: &Self) -> Result<Self, Error> {
        let reopened = this.0.peek("open a producer again").and_then(karafka::Producer::reopen).or_raise(ruby)?;
        Ok(Self(Handle::new(reopened)))
    }

    /// A producer that records in place of sending.
    fn testing(ruby: &Ruby, partitions: usize, options: RHash) -> Result<Self, Error> {
        let config = ProducerConfig::from_settings(&settings(ruby, options)?).or_raise(ruby)?;
        let producer = karafka::Producer::recording(config, ProducerHooks::default(), partitions).or_raise(ruby)?;
        Ok(Self(Handle::new(producer)))
    }

    /// What a testing producer was given, a Hash each.
    fn recorded(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        let recorded = this.get(ruby, "read what was recorded")?.recorded().or_raise(ruby)?;
        let list = ruby.ary_new_capa(recorded.len());
        for Recorded { record, report } in recorded {
            list.push(describe(ruby, &record, report)?)?;
        }
        Ok(list)
    }

    fn clear_recorded(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        this.get(ruby, "forget what was recorded")?.forget_recorded().or_raise(ruby)
    }

    fn fail_next(ruby: &Ruby, this: &Self, kind: String, message: String) -> Result<(), Error> {
        let known = ErrorKind::ALL.into_iter().find(|known| symbol_name(*known) == kind);
        let Some(kind) = known else { return Err(wrong(ruby, format!("there is no kind of error :{kind}"))) };
        this.get(ruby, "plant a failure")?.fail_next(karafka::Error::new(kind, "produce", message)).or_raise(ruby)
    }

    fn events(ruby: &Ruby, this: &Self, names: Option<Vec<String>>) -> Result<Subscription, Error> {
        let producer = this.get(ruby, "subscribe to events")?;
        let events = names.map_or_else(|| Ok(producer.subscribe()), |names| producer.subscribe_to(&names));
        Ok(Subscription::new(events.or_raise(ruby)?))
    }

    fn in_flight(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        Ok(this.get(ruby, "count records")?.in_flight())
    }

    /// Returns how many records are still on their way.
    fn flush(ruby: &Ruby, this: &Self, timeout: f64) -> Result<usize, Error> {
        let timeout = seconds(timeout).or_raise(ruby)?;
        let producer = this.get(ruby, "flush")?.clone();
        interruptible(ruby, move || producer.flush(timeout))?.or_raise(ruby)
    }

    fn close(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let producer = this.get(ruby, "close a producer")?.clone();
        interruptible(ruby, move || producer.close())?.or_raise(ruby)
    }
}

impl Drop for Producer {
    /// Closing waits for deliveries, which a garbage collection must not.
    fn drop(&mut self) {
        if let Some(producer) = self.0.take() {
            drop_elsewhere(producer);
        }
    }
}

impl Delivery {
    pub(crate) fn new(delivery: karafka::Delivery) -> Self {
        Self(Handle::new(delivery))
    }

    /// Partition, offset and timestamp in milliseconds; `nil` when there was no answer in time.
    fn await_report(ruby: &Ruby, this: &Self, timeout: Option<f64>) -> Result<Option<(i32, i64, i64)>, Error> {
        let deadline = deadline(timeout).or_raise(ruby)?;
        let delivery = this.0.get("wait for a delivery").or_raise(ruby)?;
        if delivery.outcome().is_none() {
            let slot = Slot::new();
            let own = Arc::clone(&slot);
            delivery.notify(move || own.fill(()));
            slot.await_copy(ruby, deadline)?;
        }
        match delivery.outcome() {
            None => Ok(None),
            Some(Ok(report)) => Ok(Some((report.partition, report.offset, report.timestamp_ms))),
            Some(Err(error)) => Err(exception(ruby, &error)),
        }
    }

    fn is_done(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.0.get("look at a delivery").or_raise(ruby)?.outcome().is_some())
    }

    fn topic(ruby: &Ruby, this: &Self) -> Result<String, Error> {
        Ok(this.0.peek("look at a delivery").or_raise(ruby)?.topic().to_owned())
    }

    fn label(ruby: &Ruby, this: &Self) -> Result<Option<String>, Error> {
        Ok(this.0.peek("look at a delivery").or_raise(ruby)?.label().map(str::to_owned))
    }
}

/// A record and where it is, with the names of `produce_async`'s keywords.
fn describe(ruby: &Ruby, record: &OwnedRecord, report: DeliveryReport) -> Result<RHash, Error> {
    let octets = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| ruby.str_from_slice(bytes));
    let headers = ruby.ary_new();
    for (name, value) in &record.headers {
        headers.push((ruby.str_from_slice(name), octets(value)))?;
    }
    let hash = ruby.hash_new();
    hash.aset(ruby.to_symbol("topic"), record.topic.as_str())?;
    hash.aset(ruby.to_symbol("payload"), octets(&record.payload))?;
    hash.aset(ruby.to_symbol("key"), octets(&record.key))?;
    hash.aset(ruby.to_symbol("headers"), headers)?;
    hash.aset(ruby.to_symbol("partition"), report.partition)?;
    hash.aset(ruby.to_symbol("offset"), report.offset)?;
    hash.aset(ruby.to_symbol("timestamp"), report.timestamp_ms)?;
    hash.aset(ruby.to_symbol("partition_key"), octets(&record.partition_key))?;
    hash.aset(ruby.to_symbol("label"), record.label.as_deref())?;
    Ok(hash)
}

/// A producer of the core as Ruby's classes drive it.
pub fn wrap(ruby: &Ruby, producer: karafka::Producer) -> Value {
    ruby.obj_wrap(Producer(Handle::new(producer))).as_value()
}

pub fn define(ruby: &Ruby, module: RModule, native: RModule) -> Result<(), Error> {
    let producer = native.define_class("Producer", ruby.class_object())?;
    Producer::class(ruby);
    producer.define_singleton_method("new", function!(Producer::new, 1))?;
    producer.define_singleton_method("for_app", function!(Producer::for_app, 2))?;
    producer.define_method("produce", method!(Producer::produce, 1))?;
    producer.define_method("produce_many", method!(Producer::produce_many, 1))?;
    producer.define_singleton_method("testing", function!(Producer::testing, 2))?;
    producer.define_method("buffer_many", method!(Producer::buffer_many, 1))?;
    producer.define_method("buffered", method!(Producer::buffered, 0))?;
    producer.define_method("flush_buffer", method!(Producer::flush_buffer, 0))?;
    producer.define_method("clear_buffer", method!(Producer::clear_buffer, 0))?;
    producer.define_method("partitions", method!(Producer::partitions, 1))?;
    producer.define_method("variant", method!(Producer::variant, 1))?;
    producer.define_method("reopen", method!(Producer::reopen, 0))?;
    producer.define_method("recorded", method!(Producer::recorded, 0))?;
    producer.define_method("clear_recorded", method!(Producer::clear_recorded, 0))?;
    producer.define_method("fail_next", method!(Producer::fail_next, 2))?;
    producer.define_method("events", method!(Producer::events, 1))?;
    producer.define_method("in_flight", method!(Producer::in_flight, 0))?;
    producer.define_method("flush", method!(Producer::flush, 1))?;
    producer.define_method("close", method!(Producer::close, 0))?;
    crate::scheduled::define_for_producer(producer)?;
    crate::recurring::define_for_producer(producer)?;
    let delivery = module.define_class("Delivery", ruby.class_object())?;
    Delivery::class(ruby);
    delivery.define_private_method("await_report", method!(Delivery::await_report, 1))?;
    delivery.define_method("topic", method!(Delivery::topic, 0))?;
    delivery.define_method("label", method!(Delivery::label, 0))?;
    delivery.define_method("done?", method!(Delivery::is_done, 0))
}
