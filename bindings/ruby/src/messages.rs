//! `LibKarafka::Messages`: what one call of a consumer gets, and the partition it came from.
//!
//! Read with the GVL. Payloads, keys and headers are views of the fetched memory until somebody asks: only then a Ruby
//! string is made of them. Strings are tagged UTF-8 and not checked. The memory is freed with the Ruby object, also long
//! after the call; Ruby's collector is told how much it is.

use crate::error::Raise;
use crate::gvl;
use crate::handle::Handle;
use crate::message::{self, Cells, strings};
use crate::transaction::NativeTransaction;
use crate::wait::{interruptible, seconds};
use crate::waste::Waste;
use karafka::{Batch, Context, ErrorKind, Header, Job, Message, SeekTo};
use magnus::gc::Marker;
use magnus::typed_data::{DataTypeFunctions, Obj, TypedData};
use magnus::{Error, Module, RArray, RHash, RModule, RString, Ruby, Value, method, prelude::*};
use std::sync::Arc;

struct Call {
    batch: Batch,
    /// None where a reader gave the messages: then there is no ownership to speak of.
    context: Option<Context>,
    waste: Arc<Waste>,
}

/// What a message costs beside its payload and key.
const OVERHEAD_BYTES: usize = 200;

#[derive(magnus::TypedData)]
#[magnus(class = "LibKarafka::Messages", free_immediately, size, mark)]
pub struct Messages {
    call: Handle<Call>,
    cells: Cells,
    bytes: isize,
}

impl DataTypeFunctions for Messages {
    fn mark(&self, marker: &Marker) {
        self.cells.mark(marker);
    }
}

/// The memory of a batch's messages. It looks at each of them, so do it without the GVL.
pub fn bytes_of(batch: &Batch) -> isize {
    let size = |message: Message<'_>| {
        message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len) + OVERHEAD_BYTES
    };
    isize::try_from(batch.iter().map(size).sum::<usize>()).unwrap_or(0)
}

/// The partition's ownership, apart from any messages.
#[magnus::wrap(class = "LibKarafka::Native::Ownership", free_immediately, size)]
struct Ownership(Handle<Context>);

impl Ownership {
    fn is_revoked(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        this.0.peek("look at a partition").map(Context::is_revoked).or_raise(ruby)
    }
}

impl Messages {
    /// `bytes` is what [`bytes_of`] says.
    pub fn new(ruby: &Ruby, job: &Job, waste: &Arc<Waste>, bytes: isize) -> Self {
        ruby.gc_adjust_memory_usage(bytes);
        Self::of(job.batch().clone(), Some(job.context().clone()), waste, bytes)
    }

    /// What a reader gave.
    pub fn read(ruby: &Ruby, batch: Batch, waste: &Arc<Waste>, bytes: isize) -> Self {
        ruby.gc_adjust_memory_usage(bytes);
        Self::of(batch, None, waste, bytes)
    }

    fn of(batch: Batch, context: Option<Context>, waste: &Arc<Waste>, bytes: isize) -> Self {
        let call = Call { batch, context, waste: Arc::clone(waste) };
        Self { call: Handle::new(call), cells: Cells::default(), bytes }
    }

    fn call(&self, ruby: &Ruby) -> Result<&Call, Error> {
        self.call.peek("read messages").or_raise(ruby)
    }

    fn context(&self, ruby: &Ruby) -> Result<&Context, Error> {
        owner(self.call.peek("read messages")).or_raise(ruby)
    }

    /// The context, for what only makes sense in the process that owns the partition.
    fn owned(&self, ruby: &Ruby, operation: &'static str) -> Result<&Context, Error> {
        owner(self.call.get(operation)).or_raise(ruby)
    }

    fn message(&self, ruby: &Ruby, index: usize) -> Result<Message<'_>, Error> {
        let batch = &self.call(ruby)?.batch;
        let outside =
            || Error::new(ruby.exception_index_error(), format!("there are {} messages, and no {index}", batch.len()));
        batch.get(index).ok_or_else(outside)
    }

    fn size(ruby: &Ruby, this: &Self) -> Result<usize, Error> {
        Ok(this.call(ruby)?.batch.len())
    }

    fn topic(ruby: &Ruby, this: &Self) -> Result<RString, Error> {
        Ok(ruby.str_new(this.call(ruby)?.batch.topic()))
    }

    fn partition(ruby: &Ruby, this: &Self) -> Result<i32, Error> {
        Ok(this.call(ruby)?.batch.partition())
    }

    fn group(ruby: &Ruby, this: &Self) -> Result<RString, Error> {
        Ok(ruby.str_new(this.context(ruby)?.group()))
    }

    fn attempt(ruby: &Ruby, this: &Self) -> Result<u32, Error> {
        Ok(this.call(ruby)?.batch.attempt())
    }

    /// The virtual partition of all messages; nothing when there are several.
    fn virtual_partition(ruby: &Ruby, this: &Self) -> Result<Option<u64>, Error> {
        match this.call(ruby)?.batch.groups() {
            [only] => Ok(Some(only.virtual_partition)),
            _ => Ok(None),
        }
    }

    /// A message by its place from 0; nothing beyond the last.
    fn at(ruby: &Ruby, this: Obj<Self>, index: usize) -> Result<Option<Value>, Error> {
        this.cells.object(this.as_value(), &this.call(ruby)?.batch, index)
    }

    fn to_a(ruby: &Ruby, this: Obj<Self>) -> Result<RArray, Error> {
        this.cells.objects(ruby, this.as_value(), &this.call(ruby)?.batch)
    }

    fn first_offset(ruby: &Ruby, this: &Self) -> Result<i64, Error> {
        Ok(this.call(ruby)?.batch.first_offset())
    }

    fn last_offset(ruby: &Ruby, this: &Self) -> Result<i64, Error> {
        Ok(this.call(ruby)?.batch.last_offset())
    }

    /// Milliseconds since 1970.
    fn timestamp_at(ruby: &Ruby, this: &Self, index: usize) -> Result<Option<i64>, Error> {
        Ok(this.message(ruby, index)?.timestamp().map(|timestamp| timestamp.milliseconds))
    }

    fn headers_at(ruby: &Ruby, this: &Self, index: usize) -> Result<RHash, Error> {
        headers(ruby, &this.message(ruby, index)?.headers())
    }

    fn header_pairs_at(ruby: &Ruby, this: &Self, index: usize) -> Result<RArray, Error> {
        let headers = this.message(ruby, index)?.headers();
        let pairs = ruby.ary_new_capa(headers.len());
        for header in headers {
            let name = ruby.enc_str_new(header.name, ruby.utf8_encindex());
            pairs.push((name, string(ruby, header.value)))?;
        }
        Ok(pairs)
    }

    fn payloads(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        strings(ruby, &this.call(ruby)?.batch, |message| message.payload())
    }

    fn keys(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        strings(ruby, &this.call(ruby)?.batch, |message| message.key())
    }

    fn offsets(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        let batch = &this.call(ruby)?.batch;
        let offsets = ruby.ary_new_capa(batch.len());
        for message in batch {
            offsets.push(message.offset())?;
        }
        Ok(offsets)
    }

    fn is_revoked(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.context(ruby)?.is_revoked())
    }

    fn is_eofed(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.context(ruby)?.is_eofed())
    }

    fn is_used(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.context(ruby)?.is_used())
    }

    /// What no other ownership of a partition in this app has.
    fn ownership_number(ruby: &Ruby, this: &Self) -> Result<u64, Error> {
        Ok(this.context(ruby)?.ownership())
    }

    fn ownership(ruby: &Ruby, this: &Self) -> Result<Ownership, Error> {
        Ok(Ownership(Handle::new(this.context(ruby)?.clone())))
    }

    fn is_stopping(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.context(ruby)?.is_stopping())
    }

    /// Marks a message; everything before it too when `prefix`. Returns whether the partition is still owned.
    fn mark(ruby: &Ruby, this: &Self, index: usize, prefix: bool) -> Result<bool, Error> {
        let message = this.message(ruby, index)?;
        let context = this.owned(ruby, "mark a message")?;
        Ok(if prefix { context.mark_as_consumed(&message) } else { context.acknowledge(&message) })
    }

    /// Marks a message and everything before it, with a text. Returns whether the partition is still owned.
    fn mark_with(ruby: &Ruby, this: &Self, index: usize, text: RString) -> Result<bool, Error> {
        let message = this.message(ruby, index)?;
        let text = text.to_string()?;
        Ok(this.owned(ruby, "mark a message")?.mark_as_consumed_with(&message, &text))
    }

    fn begin_transaction(ruby: &Ruby, this: &Self) -> Result<NativeTransaction, Error> {
        NativeTransaction::begin(ruby, this.owned(ruby, "begin a transaction")?.clone())
    }

    fn store_offset_metadata(ruby: &Ruby, this: &Self, text: RString) -> Result<bool, Error> {
        let text = text.to_string()?;
        Ok(this.owned(ruby, "store offset metadata")?.store_offset_metadata(&text))
    }

    /// The text beside the offset; nothing when the partition is not owned.
    fn offset_metadata(ruby: &Ruby, this: &Self) -> Result<Option<String>, Error> {
        Ok(this.context(ruby)?.offset_metadata())
    }

    fn commit_offsets(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.owned(ruby, "commit")?.commit_offsets())
    }

    /// For so many seconds; without a number until resumed.
    fn pause(ruby: &Ruby, this: &Self, time: Option<f64>) -> Result<bool, Error> {
        let time = time.map(seconds).transpose().or_raise(ruby)?;
        Ok(this.owned(ruby, "pause")?.pause(time))
    }

    fn resume(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        Ok(this.owned(ruby, "resume")?.resume())
    }

    /// To an offset, a time in milliseconds, or an end, named by a word.
    fn seek(ruby: &Ruby, this: &Self, what: String, number: i64, timeout: f64) -> Result<bool, Error> {
        let timeout = seconds(timeout).or_raise(ruby)?;
        let to = match what.as_str() {
            "earliest" => SeekTo::Earliest,
            "latest" => SeekTo::Latest,
            "time" => SeekTo::Time(number),
            _ => SeekTo::Offset(number),
        };
        let context = this.owned(ruby, "seek")?.clone();
        interruptible(ruby, move || context.seek(to, timeout))?.or_raise(ruby)
    }

    /// What is known of the batch, in the order of `MessagesMetadata`.
    fn metadata_values(ruby: &Ruby, this: &Self) -> Result<RArray, Error> {
        let found = this.call(ruby)?.batch.metadata();
        let values = ruby.ary_new_capa(9);
        values.push(found.first_offset)?;
        values.push(found.last_offset)?;
        values.push(found.messages)?;
        values.push(found.bytes)?;
        values.push(found.created_at)?;
        values.push(found.scheduled_at)?;
        values.push(found.consumption_lag.map(|lag| lag.as_secs_f64()))?;
        values.push(found.processing_lag.as_secs_f64())?;
        values.push(found.offset_lag)?;
        Ok(values)
    }

    /// Commits what is marked and waits for the broker. Returns whether the partition is still owned.
    fn commit(ruby: &Ruby, this: &Self, timeout: f64) -> Result<bool, Error> {
        let timeout = seconds(timeout).or_raise(ruby)?;
        let context = this.owned(ruby, "commit")?.clone();
        if context.is_revoked() {
            return Ok(false);
        }
        interruptible(ruby, move || context.commit(timeout))?.or_raise(ruby)
    }
}

/// The context of a call.
fn owner(call: karafka::Result<&Call>) -> karafka::Result<&Context> {
    let reason = "the messages were read without a group: nothing is owned, marked or committed";
    let none = || karafka::Error::new(ErrorKind::Unsupported, "use messages", reason);
    call?.context.as_ref().ok_or_else(none)
}

impl Drop for Messages {
    fn drop(&mut self) {
        if self.call.is_foreign() {
            self.cells.forget();
        }
        self.cells = Cells::default();
        if let Some(Call { batch, waste, .. }) = self.call.take() {
            waste.add(batch);
        }
        if let Ok(ruby) = Ruby::get() {
            ruby.gc_adjust_memory_usage(-self.bytes);
        }
    }
}

fn string(ruby: &Ruby, bytes: Option<&[u8]>) -> Option<RString> {
    bytes.map(|bytes| ruby.enc_str_new(bytes, ruby.utf8_encindex()))
}

/// Headers as a hash; a name that repeats has an array of its values.
fn headers(ruby: &Ruby, headers: &[Header<'_>]) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    for header in headers {
        let name = ruby.enc_str_new(header.name, ruby.utf8_encindex());
        let value = string(ruby, header.value);
        if !hash.funcall::<_, _, bool>("key?", (name,))? {
            hash.aset(name, value)?;
            continue;
        }
        let before: Value = hash.aref(name)?;
        if let Some(values) = RArray::from_value(before) {
            values.push(value)?;
        } else {
            let values = ruby.ary_new_capa(2);
            values.push(before)?;
            values.push(value)?;
            hash.aset(name, values)?;
        }
    }
    Ok(hash)
}

/// Copies a string's bytes.
pub fn bytes(string: RString) -> Vec<u8> {
    gvl::with_bytes(string, <[u8]>::to_vec)
}

pub fn define(ruby: &Ruby, module: RModule, native: RModule) -> Result<(), Error> {
    message::define(ruby, module)?;
    let ownership = native.define_class("Ownership", ruby.class_object())?;
    Ownership::class(ruby);
    ownership.define_method("revoked?", method!(Ownership::is_revoked, 0))?;
    let class = module.define_class("Messages", ruby.class_object())?;
    Messages::class(ruby);
    class.define_method("size", method!(Messages::size, 0))?;
    class.define_method("topic", method!(Messages::topic, 0))?;
    class.define_method("partition", method!(Messages::partition, 0))?;
    class.define_method("group", method!(Messages::group, 0))?;
    class.define_method("attempt", method!(Messages::attempt, 0))?;
    class.define_method("virtual_partition", method!(Messages::virtual_partition, 0))?;
    class.define_method("payloads", method!(Messages::payloads, 0))?;
    class.define_method("keys", method!(Messages::keys, 0))?;
    class.define_method("offsets", method!(Messages::offsets, 0))?;
    class.define_private_method("at", method!(Messages::at, 1))?;
    class.define_method("to_a", method!(Messages::to_a, 0))?;
    class.define_method("first_offset", method!(Messages::first_offset, 0))?;
    class.define_method("last_offset", method!(Messages::last_offset, 0))?;
    class.define_method("headers_at", method!(Messages::headers_at, 1))?;
    class.define_method("header_pairs_at", method!(Messages::header_pairs_at, 1))?;
    class.define_method("timestamp_at", method!(Messages::timestamp_at, 1))?;
    class.define_method("revoked?", method!(Messages::is_revoked, 0))?;
    class.define_method("eofed?", method!(Messages::is_eofed, 0))?;
    class.define_method("used?", method!(Messages::is_used, 0))?;
    class.define_method("ownership", method!(Messages::ownership, 0))?;
    class.define_method("ownership_number", method!(Messages::ownership_number, 0))?;
    class.define_method("stopping?", method!(Messages::is_stopping, 0))?;
    class.define_method("mark", method!(Messages::mark, 2))?;
    class.define_method("mark_with", method!(Messages::mark_with, 2))?;
    class.define_method("begin_transaction", method!(Messages::begin_transaction, 0))?;
    class.define_method("store_offset_metadata", method!(Messages::store_offset_metadata, 1))?;
    class.define_method("offset_metadata", method!(Messages::offset_metadata, 0))?;
    class.define_method("commit_offsets", method!(Messages::commit_offsets, 0))?;
    class.define_method("pause", method!(Messages::pause, 1))?;
    class.define_method("resume", method!(Messages::resume, 0))?;
    class.define_private_method("seek_to", method!(Messages::seek, 3))?;
    class.define_private_method("metadata_values", method!(Messages::metadata_values, 0))?;
    class.define_method("commit", method!(Messages::commit, 1))
}
