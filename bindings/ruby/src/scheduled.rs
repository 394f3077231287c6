//! Scheduled messages: the parts of an app and of a producer that concern them.
//!
//! Used with the GVL; waiting for acknowledgements happens without it.

use crate::app::App;
use crate::config::settings;
use crate::error::Raise;
use crate::producer::{Message, Producer, own};
use crate::wait::interruptible;
use karafka::ScheduledMessagesConfig;
use magnus::{Error, Module, RArray, RClass, RHash, Ruby, method};

impl App {
    fn scheduled_messages(ruby: &Ruby, this: &Self, topic: String, options: RHash) -> Result<(), Error> {
        let config = ScheduledMessagesConfig::from_settings(&settings(ruby, options)?).or_raise(ruby)?;
        this.get(ruby, "send scheduled messages on")?.scheduled_messages(&topic, config).or_raise(ruby)
    }
}

impl Producer {
    /// Returns the message's id.
    fn schedule(ruby: &Ruby, this: &Self, topic: String, at: i64, fields: RArray) -> Result<String, Error> {
        let producer = this.get(ruby, "schedule a message")?.clone();
        let record = Message::read(fields)?.lend(own);
        interruptible(ruby, move || record.lend(|record| producer.schedule(&topic, record, at)))?.or_raise(ruby)
    }

    fn cancel(ruby: &Ruby, this: &Self, topic: String, id: String) -> Result<(), Error> {
        let producer = this.get(ruby, "cancel a scheduled message")?.clone();
        interruptible(ruby, move || producer.cancel(&topic, &id))?.or_raise(ruby)
    }
}

pub fn define_for_app(class: RClass) -> Result<(), Error> {
    class.define_method("scheduled_messages", method!(App::scheduled_messages, 2))
}

pub fn define_for_producer(class: RClass) -> Result<(), Error> {
    class.define_method("schedule", method!(Producer::schedule, 3))?;
    class.define_method("cancel", method!(Producer::cancel, 2))
}
