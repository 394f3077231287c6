//! libkarafka's Ruby extension: converts, calls the core, converts back.
//!
//! Loaded by `lib/libkarafka.rb`, which adds what is better said in Ruby: classes, the routing language, keyword arguments.
//! Everything here runs on Ruby threads that hold Ruby's global lock (the GVL), except what `gvl` runs without it. Two rules
//! hold throughout: no Rust lock is held over a call of Ruby, and nothing that waits holds the GVL.

#![allow(clippy::needless_pass_by_value, reason = "magnus converts arguments into values")]
#![allow(missing_docs, reason = "the only public item is the function that magnus makes for Ruby to find")]

mod admin;
mod app;
mod config;
mod deliveries;
mod embedded;
mod error;
mod event;
mod gvl;
mod handle;
mod message;
mod messages;
mod plain;
mod producer;
mod reader;
mod recurring;
mod scheduled;
mod scheduler;
mod transaction;
mod wait;
mod waste;
mod worker;

use magnus::{Error, Module, Object, RModule, Ruby, function};

#[global_allocator]
static ALLOCATOR: karafka::Allocator = karafka::Allocator;

#[magnus::init]
fn init(ruby: &Ruby) -> Result<(), Error> {
    let module = ruby.define_module("LibKarafka")?;
    let native: RModule = module.define_module("Native")?;
    module.const_set("VERSION", karafka::VERSION)?;
    module.define_singleton_method("librdkafka_version", function!(karafka::librdkafka_version, 0))?;
    error::define(ruby, module)?;
    config::define(native)?;
    event::define(ruby, native)?;
    app::define(ruby, native)?;
    recurring::define(ruby, native)?;
    scheduler::define(ruby, native)?;
    messages::define(ruby, module, native)?;
    producer::define(ruby, module, native)?;
    deliveries::define(ruby, module)?;
    transaction::define(ruby, native)?;
    reader::define(ruby, native)?;
    admin::define(ruby, native)?;
    embedded::define(ruby, module)
}
