//! A subscription to an app's events, read by a Ruby thread.

use crate::error::Raise;
use crate::gvl;
use crate::handle::Handle;
use karafka::{Event, Events, FieldValue, NoEvent};
use magnus::typed_data::TypedData;
use magnus::value::ReprValue;
use magnus::{Error, IntoValue, Module, RArray, RHash, RModule, Ruby, Value, method};
use std::time::Duration;

/// How long one wait lasts at most; it is only begun again.
const PATIENCE: Duration = Duration::from_secs(3600);

#[magnus::wrap(class = "LibKarafka::Native::Events", free_immediately, size)]
pub struct Subscription(Handle<Events>);

impl Subscription {
    pub fn new(events: Events) -> Self {
        Self(Handle::new(events))
    }

    /// Waits for the next event: its name, its fields, and whether a person should see it when no program does. `nil` once
    /// the app has stopped and every event was read.
    fn next(ruby: &Ruby, this: &Self) -> Result<Option<RArray>, Error> {
        let events = this.0.get("wait for events").or_raise(ruby)?;
        let interrupter = events.interrupter();
        loop {
            match gvl::without_gvl(|| events.next(PATIENCE), &|| interrupter.interrupt()) {
                Some(Ok(event)) => return describe(ruby, &event).map(Some),
                Some(Err(NoEvent::Ended)) => return Ok(None),
                Some(Err(NoEvent::Timeout)) | None => ruby.thread_check_ints()?,
            }
        }
    }
}

/// An event's fields, in Ruby's own types.
pub fn fields(ruby: &Ruby, event: &Event) -> Result<RHash, Error> {
    let fields = ruby.hash_new();
    for (name, value) in event.fields() {
        fields.aset(ruby.to_symbol(name), object(ruby, &value)?)?;
    }
    Ok(fields)
}

fn describe(ruby: &Ruby, event: &Event) -> Result<RArray, Error> {
    let described = ruby.ary_new_capa(3);
    described.push(event.name())?;
    described.push(fields(ruby, event)?)?;
    described.push(event.is_urgent())?;
    Ok(described)
}

/// A field in Ruby's own types.
fn object(ruby: &Ruby, value: &FieldValue) -> Result<Value, Error> {
    Ok(match value {
        FieldValue::Text(text) => ruby.str_new(text).as_value(),
        FieldValue::Integer(number) => ruby.integer_from_i64(*number).as_value(),
        FieldValue::Float(number) => ruby.float_from_f64(*number).as_value(),
        FieldValue::Bool(truth) => truth.into_value_with(ruby),
        FieldValue::Partitions(partitions) => {
            let list = ruby.ary_new_capa(partitions.len());
            for (topic, number) in partitions {
                list.push((topic.as_str(), *number))?;
            }
            list.as_value()
        }
        FieldValue::List(values) => {
            let list = ruby.ary_new_capa(values.len());
            for value in values {
                list.push(object(ruby, value)?)?;
            }
            list.as_value()
        }
        FieldValue::Map(pairs) => {
            let map = ruby.hash_new();
            for (name, value) in pairs {
                map.aset(ruby.to_symbol(name), object(ruby, value)?)?;
            }
            map.as_value()
        }
        other => ruby.str_new(&other.to_string()).as_value(),
    })
}

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Events", ruby.class_object())?;
    Subscription::class(ruby);
    class.define_method("next", method!(Subscription::next, 0))
}
