//! `LibKarafka::Deliveries`: the handles of messages that were produced by one call, made into objects when they are asked for.
//!
//! Used with the GVL; what waits is in `lib/libkarafka/producer.rb`, by single deliveries.

use crate::error::Raise;
use crate::handle::Handle;
use crate::producer::Delivery;
use magnus::typed_data::TypedData;
use magnus::{Error, Module, RModule, Ruby, method};

#[magnus::wrap(class = "LibKarafka::Deliveries", free_immediately, size)]
pub(crate) struct Deliveries(Handle<karafka::Deliveries>);

impl Deliveries {
    pub(crate) fn new(deliveries: karafka::Deliveries) -> Self {
        Self(Handle::new(deliveries))
    }

    fn size(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        Ok(this.0.peek("look at deliveries").or_raise(ruby)?.len())
    }

    /// A delivery by its place from 0; nothing beyond the last.
    fn at(ruby: &Ruby, this: &Self, place: usize) -> Result<Option<Delivery>, Error> {
        Ok(this.0.get("look at deliveries").or_raise(ruby)?.get(place).map(Delivery::new))
    }
}

pub fn define(ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let deliveries = module.define_class("Deliveries", ruby.class_object())?;
    Deliveries::class(ruby);
    deliveries.define_method("size", method!(Deliveries::size, 0))?;
    deliveries.define_private_method("at", method!(Deliveries::at, 1))
}
