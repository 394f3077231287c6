//! A subscription to an app's events, read by a Ruby thread.

use crate::error::Raise;
use crate::gvl;
use crate::handle::Handle;
use karafka::{Event, Events, NoEvent};
use magnus::typed_data::TypedData;
use magnus::{Error, Module, RArray, RModule, Ruby, method};
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

fn describe(ruby: &Ruby, event: &Event) -> Result<RArray, Error> {
    let fields = ruby.hash_new();
    for (name, value) in event.fields() {
        fields.aset(ruby.to_symbol(name), value)?;
    }
    let described = ruby.ary_new_capa(3);
    described.push(event.name())?;
    described.push(fields)?;
    described.push(event.is_urgent())?;
    Ok(described)
}

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Events", ruby.class_object())?;
    Subscription::class(ruby);
    class.define_method("next", method!(Subscription::next, 0))
}
