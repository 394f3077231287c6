//! Reading topics without a group, from C.
//!
//! Owns `karafka_reader_t` and the structs around it. Read by one thread at a time, whichever; any thread may interrupt it. What
//! is read are the batches that handlers get, without a job.

use crate::batch::{CallObject, karafka_batch_t};
use crate::boundary::{fallible, infallible};
use crate::config::{self, karafka_config_t};
use crate::error::{Fault, c_text, karafka_error_t};
use crate::handle::{self, handle};
use crate::text::{Out, array, patience, text};
use runtime::lock::Mutex;
use runtime::{ReadFrom, Reader, ReaderConfig, ReaderInterrupter, Selection, Waited};
use std::ffi::{CString, c_char};
use std::ptr;

/// Begins with the oldest record that is there. For `karafka_selection_t`.
pub const KARAFKA_READ_EARLIEST: u32 = 0;
/// Begins at the end: only what comes from now on. For `karafka_selection_t`.
pub const KARAFKA_READ_LATEST: u32 = 1;
/// Begins with the record of an offset, or the first after it; a negative one counts from the end. For `karafka_selection_t`.
pub const KARAFKA_READ_OFFSET: u32 = 2;
/// Begins with the first record that is not older than a time, in milliseconds since 1970-01-01 UTC; at the end where there is
/// none. For `karafka_selection_t`.
pub const KARAFKA_READ_TIME: u32 = 3;
/// Begins so many offsets before the end of each partition. For `karafka_selection_t`.
pub const KARAFKA_READ_LAST: u32 = 4;

/// What of a topic is read. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct karafka_selection_t {
    /// The topic's name: UTF-8, not ended by NUL.
    pub topic: *const c_char,
    /// The name's length in bytes.
    pub topic_length: usize,
    /// The partitions' numbers; NULL for all of them.
    pub partitions: *const i32,
    /// How many numbers there are; 0 for all partitions.
    pub partition_count: usize,
    /// The offset, time or count that `from` speaks of; else 0.
    pub number: i64,
    /// Where reading begins: one of `KARAFKA_READ_EARLIEST` and those beside it.
    pub from: u32,
    /// Always 0.
    pub reserved: u32,
}

/// How far one partition is read. The struct's layout never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct karafka_place_t {
    /// The topic's name: ends with NUL, and lives as long as the reader.
    pub topic: *const c_char,
    /// Where reading began.
    pub start: i64,
    /// The offset of the next record at the earliest.
    pub next: i64,
    /// Where the log ended when the reader was opened.
    pub end: i64,
    /// The partition's number.
    pub partition: i32,
    /// 1 when everything that was asked for is read, else 0.
    pub is_done: u32,
}

/// Reads topics without a group.
///
/// Owned by whoever made it, freed by `karafka_reader_free`. Read by one thread at a time.
pub struct karafka_reader_t(());

handle!(karafka_reader_t, Reader, ReaderObject);

pub(crate) struct ReaderObject {
    reader: Mutex<Reader>,
    interrupter: ReaderInterrupter,
    /// The topics of its places, in their order.
    topics: Vec<CString>,
}

impl ReaderObject {
    /// Lets this thread read.
    fn with<T>(&self, call: impl FnOnce(&mut Reader) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.reader.try_lock() {
            Some(mut reader) => call(&mut reader),
            None => Err(Fault::stopped("read topics", "another thread reads with this reader")),
        }
    }
}

fn word_of(from: u32) -> Result<&'static str, Fault> {
    match from {
        KARAFKA_READ_EARLIEST => Ok("earliest"),
        KARAFKA_READ_LATEST => Ok("latest"),
        KARAFKA_READ_OFFSET => Ok("offset"),
        KARAFKA_READ_TIME => Ok("time"),
        KARAFKA_READ_LAST => Ok("last"),
        _ => Err(Fault::argument(format!(
            "{from} is no place to read from: take KARAFKA_READ_EARLIEST or one beside it"
        ))),
    }
}

/// # Safety
/// The selection's own pointers must be valid.
unsafe fn selection(given: &karafka_selection_t) -> Result<Selection, Fault> {
    // SAFETY: the caller's promise is the same.
    let (topic, partitions) = unsafe {
        (
            text(given.topic, given.topic_length, "the topic's name")?,
            array(given.partitions, given.partition_count, "the partitions")?,
        )
    };
    Ok(Selection::of_partitions(topic, partitions, ReadFrom::named(word_of(given.from)?, given.number)?))
}

/// Makes a reader: finds out where everything begins and ends, and begins to fetch. Blocks, at most the option `timeout`.
///
/// @param config The reader's options; NULL for defaults. Read, not kept.
/// @param selections An array of `count` selections: what is read.
/// @param reader Gets the reader, to be freed by `karafka_reader_free`.
/// Errors: `CONFIG` for a bad option or selection, a partition that does not exist or an offset beyond the end of its log; `BROKER`
/// when a topic does not exist; `AUTH` without the right to read it; `TIMEOUT` when no broker answered; `UNSUPPORTED` for a time on
/// an embedded broker; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_reader_new(
    config: *const karafka_config_t,
    selections: *const karafka_selection_t,
    count: usize,
    reader: *mut *mut karafka_reader_t,
) -> *mut karafka_error_t {
    fallible("karafka_reader_new", || {
        // SAFETY: the header asks for NULL or a valid place, and for an array of valid selections.
        let (out, given) = unsafe { (Out::required(reader, "reader")?, array(selections, count, "the selections")?) };
        // SAFETY: as above.
        let selections = given.iter().map(|one| unsafe { selection(one) }).collect::<Result<Vec<_>, _>>()?;
        let config = ReaderConfig::from_settings(&config::settings(config)?)?;
        let opened = Reader::open(config, &selections)?;
        let topics = opened.places().iter().map(|place| c_text(&place.topic)).collect();
        let interrupter = opened.interrupter();
        out.write(handle::open(ReaderObject { reader: Mutex::new(opened), interrupter, topics })?);
        Ok(())
    })
}

/// Waits for the next records: of one partition, in order. Blocks.
///
/// @param timeout_ms Milliseconds; 0 to only look. -1 waits as the options say: at most `timeout` without a record, or, with `until`
///   "forever", as long as it takes.
/// @param batch Gets the batch, to be given back by `karafka_batch_unref`; NULL when everything was read. It may be kept longer
///   than the reader, and holds memory until then.
/// Errors: the reader can be asked again after each of them. `TIMEOUT` (retriable) when nothing came in time; `BROKER` when records were
/// deleted before they were read (reading goes on with the oldest that is left) or a broker refuses; `AUTH` when the right was taken
/// away; `DESERIALIZE` for a record that is encrypted and does not open, which is passed over; `STOPPED` (retriable) after `karafka_reader_interrupt`, and when another thread reads; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_reader_next(
    reader: *mut karafka_reader_t,
    timeout_ms: i64,
    batch: *mut *mut karafka_batch_t,
) -> *mut karafka_error_t {
    fallible("karafka_reader_next", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(batch, "batch")? };
        let given = patience(timeout_ms)?;
        let found = handle::get(reader.cast_const())?.with(|reader| {
            let timeout = given.unwrap_or(reader.config().timeout);
            loop {
                match reader.wait(timeout)? {
                    Waited::Batch(batch) => return Ok(Some(batch)),
                    Waited::Ended => return Ok(None),
                    Waited::Nothing if given.is_some() => return Ok(reader.next(timeout)?),
                    Waited::Nothing => reader.silence(timeout)?,
                }
            }
        })?;
        out.write(match found {
            Some(batch) => handle::open(CallObject::read(batch))?,
            None => ptr::null_mut(),
        });
        Ok(())
    })
}

/// Lets the running `karafka_reader_next`, or the next one, return at once with `STOPPED`. On any thread; not in a signal handler.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_reader_interrupt(reader: *mut karafka_reader_t) {
    infallible("karafka_reader_interrupt", (), || {
        handle::get(reader.cast_const())?.interrupter.interrupt();
        Ok(())
    });
}

/// Reads no more of a partition; what was fetched of it already is dropped.
///
/// @param topic UTF-8, not ended by NUL.
/// @param was_read Gets whether it was being read. May be NULL.
/// Errors: `STOPPED` when another thread reads; `INTERNAL`, `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_reader_stop_partition(
    reader: *mut karafka_reader_t,
    topic: *const c_char,
    topic_length: usize,
    partition: i32,
    was_read: *mut bool,
) -> *mut karafka_error_t {
    fallible("karafka_reader_stop_partition", || {
        // SAFETY: the header asks for a pointer with its length, and NULL or a valid place.
        let (out, topic) =
            unsafe { (Out::optional(was_read, "was_read")?, text(topic, topic_length, "the topic's name")?) };
        out.write(handle::get(reader.cast_const())?.with(|reader| Ok(reader.stop_partition(topic, partition)?))?);
        Ok(())
    })
}

/// How many partitions were selected.
///
/// Returns: 0 for a value that is no reader.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_reader_place_count(reader: *const karafka_reader_t) -> usize {
    infallible("karafka_reader_place_count", 0, || Ok(handle::get(reader)?.topics.len()))
}

/// Where a partition is: what is read, and what is left.
///
/// @param index From 0, below `karafka_reader_place_count`.
/// @param place Gets the place, as of now.
/// Errors: `STOPPED` when another thread reads; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_reader_place(
    reader: *const karafka_reader_t,
    index: usize,
    place: *mut karafka_place_t,
) -> *mut karafka_error_t {
    fallible("karafka_reader_place", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(place, "place")? };
        let object = handle::get(reader)?;
        let found = object.with(|reader| {
            let known = reader.places().get(index).cloned();
            known.ok_or_else(|| Fault::argument(format!("place {index} of {}", object.topics.len())))
        })?;
        out.write(karafka_place_t {
            topic: object.topics.get(index).map_or(ptr::null(), |topic| topic.as_ptr()),
            start: found.start,
            next: found.next,
            end: found.end,
            partition: found.partition,
            is_done: u32::from(found.is_done),
        });
        Ok(())
    })
}

/// Ends a reader. Takes NULL. Waits a moment for its connection to end. A `karafka_reader_next` that waits on another thread ends
/// with `STOPPED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_reader_free(reader: *mut karafka_reader_t) {
    let waiting = handle::get(reader.cast_const());
    handle::free("karafka_reader_free", reader);
    if let Ok(object) = waiting {
        object.interrupter.interrupt();
    }
}
