//! A reader of the core, as `lib/libkarafka/reader.rb` drives it.
//!
//! Called on Ruby threads, by one at a time. Everything that waits for brokers happens without the GVL, and is interrupted at once:
//! a wait for records by the reader's interrupter, what else waits is left to a thread of its own.

use crate::config::settings;
use crate::error::Raise;
use crate::gvl;
use crate::handle::Handle;
use crate::messages::{Messages, bytes_of};
use crate::wait::{drop_elsewhere, interruptible, seconds};
use crate::waste::Waste;
use karafka::lock::{Mutex, MutexGuard};
use karafka::{Batch, ErrorKind, ReadFrom, ReaderConfig, ReaderInterrupter, Selection, Waited};
use magnus::typed_data::TypedData;
use magnus::{Error, Module, Object, RArray, RHash, RModule, Ruby, TryConvert, Value, function, method};
use std::sync::Arc;

struct Open {
    /// Taken out when it is closed.
    reader: Mutex<Option<karafka::Reader>>,
    interrupter: ReaderInterrupter,
    waste: Arc<Waste>,
}

#[magnus::wrap(class = "LibKarafka::Native::Reader", free_immediately, size)]
struct Reader(Handle<Open>);

/// A topic, its partitions or none for all, where to begin, and the number that belongs to it.
fn selection(given: Value) -> Result<karafka::Result<Selection>, Error> {
    let (topic, partitions, word, number) = <(String, Vec<i32>, String, i64)>::try_convert(given)?;
    Ok(ReadFrom::named(&word, number).map(|from| Selection::of_partitions(topic, partitions, from)))
}

/// The next batch, with its memory.
fn next(reader: &mut karafka::Reader, timeout: Option<f64>) -> karafka::Result<Option<(Batch, isize)>> {
    let given = timeout.map(seconds).transpose()?;
    let timeout = given.unwrap_or(reader.config().timeout);
    let measured = |batch: Batch| {
        let bytes = bytes_of(&batch);
        (batch, bytes)
    };
    loop {
        match reader.wait(timeout)? {
            Waited::Batch(batch) => return Ok(Some(measured(batch))),
            Waited::Ended => return Ok(None),
            Waited::Nothing if given.is_some() => return reader.next(timeout).map(|batch| batch.map(measured)),
            Waited::Nothing => reader.silence(timeout)?,
        }
    }
}

/// The reader, unless it was closed.
fn open<'own>(
    ruby: &Ruby,
    guard: &'own mut MutexGuard<'_, Option<karafka::Reader>>,
) -> Result<&'own mut karafka::Reader, Error> {
    guard.as_mut().ok_or_else(|| stopped("the reader was closed")).or_raise(ruby)
}

fn stopped(message: &str) -> karafka::Error {
    karafka::Error::new(ErrorKind::Stopped, "read topics", message)
}

impl Reader {
    fn open(ruby: &Ruby, selections: RArray, options: RHash) -> Result<Self, Error> {
        let config = ReaderConfig::from_settings(&settings(ruby, options)?).or_raise(ruby)?;
        let selections = selections.into_iter().map(selection).collect::<Result<Vec<_>, Error>>()?;
        let selections = selections.into_iter().collect::<karafka::Result<Vec<_>>>().or_raise(ruby)?;
        let reader = interruptible(ruby, move || karafka::Reader::open(config, &selections))?.or_raise(ruby)?;
        let interrupter = reader.interrupter();
        Ok(Self(Handle::new(Open { reader: Mutex::new(Some(reader)), interrupter, waste: Arc::default() })))
    }

    fn lock(&self, ruby: &Ruby) -> Result<(&Open, MutexGuard<'_, Option<karafka::Reader>>), Error> {
        let open = self.0.get("read topics").or_raise(ruby)?;
        let guard = open.reader.try_lock().ok_or_else(|| stopped("another thread reads with this reader"));
        Ok((open, guard.or_raise(ruby)?))
    }

    /// Waits for the next messages; nothing when everything was read. So many seconds, or as the options say.
    fn next(ruby: &Ruby, this: &Self, timeout: Option<f64>) -> Result<Option<Messages>, Error> {
        let (shared, mut guard) = this.lock(ruby)?;
        let reader = open(ruby, &mut guard)?;
        loop {
            match gvl::without_gvl(|| next(reader, timeout), &|| shared.interrupter.interrupt()) {
                None => {}
                Some(Err(error)) if error.kind() == ErrorKind::Stopped => {}
                Some(found) => {
                    let found = found.or_raise(ruby)?;
                    return Ok(found.map(|(batch, bytes)| Messages::read(ruby, batch, &shared.waste, bytes)));
                }
            }
            ruby.thread_check_ints()?;
        }
    }

    /// Where each partition is, in the order of `LibKarafka::Reader::Place`.
    fn places(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        let (_, mut guard) = this.lock(ruby)?;
        let reader = open(ruby, &mut guard)?;
        let places = ruby.ary_new_capa(reader.places().len());
        for place in reader.places() {
            places.push((&*place.topic, place.partition, place.start, place.next, place.end, place.is_done))?;
        }
        Ok(places)
    }

    fn stop_partition(ruby: &Ruby, this: &Self, topic: String, partition: i32) -> Result<bool, Error> {
        let (_, mut guard) = this.lock(ruby)?;
        open(ruby, &mut guard)?.stop_partition(&topic, partition).or_raise(ruby)
    }

    fn close(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let reader = this.lock(ruby)?.1.take();
        interruptible(ruby, move || drop(reader))
    }
}

impl Drop for Reader {
    /// Ending a client waits for its threads, which a garbage collection must not.
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            drop_elsewhere(open);
        }
    }
}

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("Reader", ruby.class_object())?;
    Reader::class(ruby);
    class.define_singleton_method("open", function!(Reader::open, 2))?;
    class.define_method("next", method!(Reader::next, 1))?;
    class.define_method("places", method!(Reader::places, 0))?;
    class.define_method("stop_partition", method!(Reader::stop_partition, 2))?;
    class.define_method("close", method!(Reader::close, 0))
}
