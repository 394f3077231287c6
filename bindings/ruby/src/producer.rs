//! A producer of the core, as `lib/libkarafka/producer.rb` drives it, and `LibKarafka::Delivery`.
//!
//! Records are copied and sent with the GVL held; only waiting for room in a full queue gives it up.

use crate::config::settings;
use crate::error::{Raise, exception};
use crate::gvl;
use crate::handle::Handle;
use crate::messages::bytes;
use crate::wait::{Slot, deadline, interruptible, seconds};
use karafka::{AppConfig, DeliveryReport, ErrorKind, Header, OnDelivery, ProducerConfig, Record};
use magnus::r_hash::ForEach;
use magnus::typed_data::TypedData;
use magnus::{
    Error, Module, Object, RArray, RHash, RModule, RString, Ruby, TryConvert, Value, function, method, prelude::*,
};
use std::sync::Arc;

type Delivered = Result<DeliveryReport, Arc<karafka::Error>>;
type Sent = Arc<Slot<Delivered>>;

#[magnus::wrap(class = "LibKarafka::Native::Producer", free_immediately, size)]
struct Producer(Handle<karafka::Producer>);

#[magnus::wrap(class = "LibKarafka::Delivery", free_immediately, size)]
struct Delivery(Handle<Sent>);

type OwnHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A record with memory of its own, which lives while Ruby does other things.
struct OwnRecord {
    topic: String,
    payload: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    headers: OwnHeaders,
    partition: Option<i32>,
    timestamp_ms: Option<i64>,
}

type Fields = (String, Option<RString>, Option<RString>, Option<Value>, Option<i32>, Option<i64>);

impl OwnRecord {
    fn read((topic, payload, key, headers, partition, timestamp_ms): Fields) -> Result<Self, Error> {
        let headers = headers.map_or(Ok(OwnHeaders::new()), read_headers)?;
        Ok(Self { topic, payload: payload.map(bytes), key: key.map(bytes), headers, partition, timestamp_ms })
    }

    /// Calls `send` with this record and what fills the returned slot.
    fn send(&self, send: impl FnOnce(&Record<'_>, OnDelivery) -> karafka::Result<()>) -> karafka::Result<Sent> {
        let headers: Vec<Header<'_>> =
            self.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        let record = Record {
            topic: &self.topic,
            partition: self.partition,
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: &headers,
            timestamp_ms: self.timestamp_ms,
        };
        let slot = Slot::new();
        let own = Arc::clone(&slot);
        send(&record, Box::new(move |result| own.fill(result.map_err(Arc::new))))?;
        Ok(slot)
    }
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

/// Sends records in order, until one cannot be sent. Gives the GVL up only when the queue is full: taking it again would
/// cost a turn behind every other thread. Waiting for room cannot be interrupted, and ends after `queue_full_timeout`.
fn send(ruby: &Ruby, producer: &karafka::Producer, records: &[OwnRecord]) -> Result<Vec<Sent>, Error> {
    let mut sent = Vec::with_capacity(records.len());
    for record in records {
        let slot = match record.send(|record, on_delivery| producer.try_produce_with(record, on_delivery)) {
            Err(error) if error.kind() == ErrorKind::QueueFull => wait_and_send(ruby, producer, record)?,
            other => other.or_raise(ruby)?,
        };
        sent.push(slot);
    }
    Ok(sent)
}

fn wait_and_send(ruby: &Ruby, producer: &karafka::Producer, record: &OwnRecord) -> Result<Sent, Error> {
    let send = || record.send(|record, on_delivery| producer.produce_with(record, on_delivery));
    loop {
        match gvl::without_gvl(send, &|| ()) {
            Some(result) => return result.or_raise(ruby),
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

    fn get(&self, ruby: &Ruby, operation: &'static str) -> Result<&karafka::Producer, Error> {
        self.0.get(operation).or_raise(ruby)
    }

    fn produce(ruby: &Ruby, this: &Self, fields: RArray) -> Result<Option<Delivery>, Error> {
        let producer = this.get(ruby, "produce")?;
        let record = OwnRecord::read(Fields::try_convert(fields.as_value())?)?;
        Ok(send(ruby, producer, &[record])?.pop().map(Delivery::new))
    }

    /// Sends in order, until one cannot be sent; those before it are on their way then.
    fn produce_many(ruby: &Ruby, this: &Self, list: RArray) -> Result<RArray, Error> {
        let producer = this.get(ruby, "produce")?;
        let read = |fields: Value| Fields::try_convert(fields).and_then(OwnRecord::read);
        let records: Vec<OwnRecord> = list.into_iter().map(read).collect::<Result<_, _>>()?;
        let deliveries = ruby.ary_new_capa(records.len());
        for slot in send(ruby, producer, &records)? {
            deliveries.push(Delivery::new(slot))?;
        }
        Ok(deliveries)
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
            std::thread::spawn(move || drop(producer));
        }
    }
}

impl Delivery {
    fn new(slot: Sent) -> Self {
        Self(Handle::new(slot))
    }

    /// Partition, offset and timestamp in milliseconds; `nil` when there was no answer in time.
    fn await_report(ruby: &Ruby, this: &Self, timeout: Option<f64>) -> Result<Option<(i32, i64, i64)>, Error> {
        let deadline = deadline(timeout).or_raise(ruby)?;
        match this.0.get("wait for a delivery").or_raise(ruby)?.await_copy(ruby, deadline)? {
            None => Ok(None),
            Some(Ok(report)) => Ok(Some((report.partition, report.offset, report.timestamp_ms))),
            Some(Err(error)) => Err(exception(ruby, &error)),
        }
    }

    fn is_done(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.0.get("look at a delivery").or_raise(ruby)?.copy().is_some())
    }
}

pub fn define(ruby: &Ruby, module: RModule, native: RModule) -> Result<(), Error> {
    let producer = native.define_class("Producer", ruby.class_object())?;
    Producer::class(ruby);
    producer.define_singleton_method("new", function!(Producer::new, 1))?;
    producer.define_singleton_method("for_app", function!(Producer::for_app, 2))?;
    producer.define_method("produce", method!(Producer::produce, 1))?;
    producer.define_method("produce_many", method!(Producer::produce_many, 1))?;
    producer.define_method("in_flight", method!(Producer::in_flight, 0))?;
    producer.define_method("flush", method!(Producer::flush, 1))?;
    producer.define_method("close", method!(Producer::close, 0))?;
    let delivery = module.define_class("Delivery", ruby.class_object())?;
    Delivery::class(ruby);
    delivery.define_private_method("await_report", method!(Delivery::await_report, 1))?;
    delivery.define_method("done?", method!(Delivery::is_done, 0))
}
