//! `LibKarafka::EmbeddedBroker`: a broker inside the process.
//!
//! Used with the GVL; nothing here waits for long.

use crate::error::Raise;
use crate::handle::Handle;
use crate::wait::drop_elsewhere;
use karafka::EmbeddedBroker;
use magnus::typed_data::TypedData;
use magnus::{Error, Module, Object, RModule, Ruby, function, method};

#[magnus::wrap(class = "LibKarafka::EmbeddedBroker", free_immediately, size)]
struct Broker(Handle<EmbeddedBroker>);

impl Broker {
    fn start(ruby: &Ruby) -> Result<Self, Error> {
        EmbeddedBroker::start().map(|broker| Self(Handle::new(broker))).or_raise(ruby)
    }

    fn named(ruby: &Ruby, address: String) -> Result<Self, Error> {
        EmbeddedBroker::named(&address).map(|broker| Self(Handle::new(broker))).or_raise(ruby)
    }

    fn bootstrap_servers(ruby: &Ruby, this: &Self) -> Result<String, Error> {
        this.0.get("find the embedded broker").map(EmbeddedBroker::bootstrap_servers).or_raise(ruby)
    }

    fn add_topic(ruby: &Ruby, this: &Self, name: String, partitions: i32) -> Result<(), Error> {
        this.0.get("create a topic").and_then(|broker| broker.create_topic(&name, partitions)).or_raise(ruby)
    }
}

impl Drop for Broker {
    /// Ending a broker joins its threads, which a garbage collection must not wait for.
    fn drop(&mut self) {
        if let Some(broker) = self.0.take() {
            drop_elsewhere(broker);
        }
    }
}

pub fn define(ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let class = module.define_class("EmbeddedBroker", ruby.class_object())?;
    Broker::class(ruby);
    class.define_singleton_method("start", function!(Broker::start, 0))?;
    class.define_singleton_method("named", function!(Broker::named, 1))?;
    class.define_method("bootstrap_servers", method!(Broker::bootstrap_servers, 0))?;
    class.define_private_method("add_topic", method!(Broker::add_topic, 2))
}
