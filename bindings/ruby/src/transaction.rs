//! Transactions of the core, as `lib/libkarafka/transaction.rb` drives them.
//!
//! Called on Ruby threads; every wait for brokers happens without the GVL, and can be interrupted.

use crate::config::settings;
use crate::error::Raise;
use crate::handle::Handle;
use crate::producer;
use crate::wait::{drop_elsewhere, interruptible};
use karafka::{Context, ProducerConfig, Transaction, TransactionalProducer};
use magnus::typed_data::TypedData;
use magnus::{Error, Module, Object, RHash, RModule, Ruby, Value, function, method};
use std::sync::Arc;

#[magnus::wrap(class = "LibKarafka::Native::TransactionalProducer", free_immediately, size)]
struct NativeProducer(Handle<TransactionalProducer>);

#[magnus::wrap(class = "LibKarafka::Native::Transaction", free_immediately, size)]
pub struct NativeTransaction(Handle<Arc<Transaction>>);

impl NativeProducer {
    fn new(ruby: &Ruby, options: RHash) -> Result<Self, Error> {
        let settings = settings(ruby, options)?;
        let config = ProducerConfig::from_settings(&settings).or_raise(ruby)?;
        Ok(Self(Handle::new(TransactionalProducer::new(config).or_raise(ruby)?)))
    }

    /// Begins for the Ruby thread with this number.
    fn begin(ruby: &Ruby, this: &Self, thread: u64) -> Result<NativeTransaction, Error> {
        let producer = this.0.get("begin a transaction").or_raise(ruby)?.clone();
        let begun = interruptible(ruby, move || producer.begin_as(thread))?.or_raise(ruby)?;
        Ok(NativeTransaction(Handle::new(Arc::new(begun))))
    }

    fn close(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let producer = this.0.get("close a producer").or_raise(ruby)?.clone();
        interruptible(ruby, move || producer.close())?.or_raise(ruby)
    }
}

impl NativeTransaction {
    /// Begins for a call of a handler.
    pub fn begin(ruby: &Ruby, context: Context) -> Result<Self, Error> {
        let begun = interruptible(ruby, move || context.begin_transaction())?.or_raise(ruby)?;
        Ok(Self(Handle::new(Arc::new(begun))))
    }

    /// The producer whose messages are parts of the transaction.
    fn producer(ruby: &Ruby, this: &Self) -> Result<Value, Error> {
        let producer = this.0.get("produce").or_raise(ruby)?.producer().or_raise(ruby)?;
        Ok(producer::wrap(ruby, producer))
    }

    fn is_open(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.0.get("look at a transaction").or_raise(ruby)?.is_open())
    }

    fn commit(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let transaction = Arc::clone(this.0.get("commit a transaction").or_raise(ruby)?);
        interruptible(ruby, move || transaction.commit())?.or_raise(ruby)
    }

    fn abort(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let transaction = Arc::clone(this.0.get("abort a transaction").or_raise(ruby)?);
        interruptible(ruby, move || transaction.abort())?.or_raise(ruby)
    }
}

impl Drop for NativeTransaction {
    /// Aborting waits for brokers, which a garbage collection must not.
    fn drop(&mut self) {
        if let Some(transaction) = self.0.take() {
            drop_elsewhere(transaction);
        }
    }
}

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let producer = native.define_class("TransactionalProducer", ruby.class_object())?;
    NativeProducer::class(ruby);
    producer.define_singleton_method("new", function!(NativeProducer::new, 1))?;
    producer.define_method("begin", method!(NativeProducer::begin, 1))?;
    producer.define_method("close", method!(NativeProducer::close, 0))?;
    let transaction = native.define_class("Transaction", ruby.class_object())?;
    NativeTransaction::class(ruby);
    transaction.define_method("producer", method!(NativeTransaction::producer, 0))?;
    transaction.define_method("open?", method!(NativeTransaction::is_open, 0))?;
    transaction.define_method("commit", method!(NativeTransaction::commit, 0))?;
    transaction.define_method("abort", method!(NativeTransaction::abort, 0))
}
