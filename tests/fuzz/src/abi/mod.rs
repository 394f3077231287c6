//! Sequences of ABI calls: every function with valid, stale, freed, foreign, made-up and NULL arguments, in any order.
//!
//! The program that the bytes make up does everything wrong but what C cannot be kept from: its pointers are NULL or point to
//! as many bytes as it says. Then only codes may come back. At the end it frees what it still owns, and nothing may be left:
//! no handle, and no user data whose destructor has not run.

mod calls;
mod functions;

use crate::input::Input;
use functions::{Handle, Header, Record};
use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls of one program.
const MOST_CALLS: usize = 60;
/// What an app or a producer costs is threads and memory of librdkafka: few are enough.
const MOST_CLIENTS: usize = 2;

/// Codes of the header.
const CODES: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 100];

/// Programs run one at a time: they count all handles of the process.
static ALONE: Mutex<()> = Mutex::new(());
static DESTROYED: AtomicUsize = AtomicUsize::new(0);

/// Runs the program that the bytes make up.
pub fn run(data: &[u8]) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    DESTROYED.store(0, Ordering::SeqCst);
    let mut world = World::new(Input::new(data));
    for _ in 0..MOST_CALLS {
        if world.input.is_empty() {
            break;
        }
        let (_, call) = calls::CALLS[world.input.below(calls::CALLS.len())];
        call(&mut world);
    }
    world.end();
}

/// The names of all functions that programs call.
pub fn names() -> impl Iterator<Item = &'static str> {
    calls::CALLS.iter().map(|(name, _)| *name)
}

/// Whose handle, by the function that frees it.
type Free = unsafe extern "C" fn(Handle);

struct World<'a> {
    input: Input<'a>,
    /// Every handle that was ever given, freed ones too.
    seen: Vec<Handle>,
    owned: Vec<(Handle, Free)>,
    clients: usize,
    given: usize,
}

impl<'a> World<'a> {
    fn new(input: Input<'a>) -> Self {
        let mut world = Self { input, seen: vec![ptr::null_mut()], owned: Vec::new(), clients: 0, given: 0 };
        // A config that clients can be made of without a network.
        let mut config = ptr::null_mut();
        // SAFETY: a valid place, and texts with their lengths.
        unsafe {
            let error = functions::karafka_config_new(&raw mut config);
            world.error(error);
            for (name, value) in [
                ("bootstrap_servers", "embedded://fuzz"),
                ("shutdown_timeout", "200ms"),
                ("kafka.message.timeout.ms", "200"),
                ("concurrency", "2"),
                ("group", "fuzz"),
            ] {
                let (name, value) = ((name.as_ptr(), name.len()), (value.as_ptr(), value.len()));
                let error = functions::karafka_config_set_string(config, name.0, name.1, value.0, value.1);
                world.error(error);
            }
        }
        world.keep(config, functions::karafka_config_free);
        world
    }

    // ---- arguments

    /// Any handle: of any type, freed or not, made up, or NULL. Mostly one of the latest.
    fn handle(&mut self) -> Handle {
        let pick = self.input.byte();
        match pick {
            0xff => ptr::without_provenance_mut(self.input.integer() as usize),
            // Another generation or slot of one that was given.
            0xfe => {
                let bit = self.input.byte() % 64;
                self.handle().map_addr(|number| number ^ 1 << bit)
            }
            _ => {
                let back = usize::from(pick) % self.seen.len();
                self.seen[self.seen.len() - 1 - back]
            }
        }
    }

    /// Text as C gives it: NULL, not UTF-8, empty, a word that is known, or anything.
    fn text(&mut self) -> (*const u8, usize) {
        const WORDS: [&str; 20] = [
            "topic",
            "orders",
            "^ord.*",
            "virtual_partitions",
            "by_key",
            "callback",
            "concurrency",
            "max_messages",
            "0",
            "7",
            "250ms",
            "kafka.fetch.min.bytes",
            "kafka.",
            "group",
            "manual_offset_management",
            "error",
            "embedded://fuzz",
            "embedded://",
            "acks",
            "initial_offset",
        ];
        match self.input.byte() {
            0 => (ptr::null(), 0),
            1 => (ptr::null(), 5),
            2 => (b"\xff\xfe".as_ptr(), 2),
            3 => (b"".as_ptr(), 0),
            4 => (b"a\0b".as_ptr(), 3),
            5 => (ptr::from_ref(&0_u8), usize::MAX),
            pick if pick < 100 => {
                let word = WORDS[usize::from(pick) % WORDS.len()];
                (word.as_ptr(), word.len())
            }
            pick => {
                let text = self.input.bytes(usize::from(pick) - 99);
                // Nobody else's brokers: an address is one of the words.
                if text.starts_with(b"boot") { (ptr::null(), 0) } else { (text.as_ptr(), text.len()) }
            }
        }
    }

    /// Milliseconds that no call waits long for.
    fn timeout(&mut self) -> i64 {
        [0, 1, 3, -2, i64::MIN][self.input.below(5)]
    }

    /// A place for a result, now and then none.
    fn place<T>(&mut self, place: &mut T) -> *mut T {
        if self.input.byte() == 0xff { ptr::null_mut() } else { ptr::from_mut(place) }
    }

    /// Data with a destructor that counts, or neither.
    fn user_data(&mut self) -> (*mut c_void, Option<unsafe extern "C" fn(*mut c_void)>) {
        self.given += 1;
        (ptr::without_provenance_mut(usize::from(self.input.byte())), Some(destroy))
    }

    fn record(&mut self) -> Record {
        static HEADERS: [Header; 2] = [
            Header { name: c"trace".as_ptr(), name_length: 5, value: ptr::null(), value_length: 0 },
            Header { name: ptr::null(), name_length: 3, value: ptr::null(), value_length: 3 },
        ];
        let (topic, key, payload, label) = (self.text(), self.text(), self.text(), self.text());
        let count = self.input.below(4);
        Record {
            struct_size: [size_of::<Record>(), 88, 0, usize::MAX][self.input.below(4)],
            topic: topic.0.cast(),
            topic_length: topic.1,
            key: key.0,
            key_length: key.1,
            payload: payload.0,
            payload_length: payload.1,
            headers: if count == 3 { ptr::null() } else { HEADERS.as_ptr() },
            header_count: count,
            timestamp_ms: [-1, 0, i64::MIN, i64::MAX][self.input.below(4)],
            partition: [-1, 0, -2, i32::MAX][self.input.below(4)],
            reserved: u32::from(self.input.byte() == 0xff),
            // A partition key would ask a broker that is not there.
            partition_key: ptr::null(),
            partition_key_length: usize::from(self.input.byte() == 0xff),
            label: label.0,
            label_length: label.1,
        }
    }

    /// Whether another client may be made.
    fn may_make_client(&mut self) -> bool {
        self.clients += 1;
        self.clients <= MOST_CLIENTS
    }

    // ---- results

    fn keep(&mut self, handle: Handle, free: Free) {
        if !handle.is_null() {
            self.seen.push(handle);
            self.owned.push((handle, free));
        }
    }

    /// An error that a call returned: read, and freed now or at the end.
    fn error(&mut self, error: Handle) {
        if error.is_null() {
            return;
        }
        // SAFETY: accessors take any value.
        unsafe {
            assert!(CODES.contains(&functions::karafka_error_code(error)));
            assert_ne!(functions::karafka_error_code(error), 0);
            read(functions::karafka_error_message(error));
            read(functions::karafka_error_name(error));
        }
        self.keep(error, functions::karafka_error_free);
    }

    /// Frees what the program still owns, and looks whether that was all.
    fn end(mut self) {
        while let Some((handle, free)) = self.owned.pop() {
            // SAFETY: the functions that free take any value, those that were freed included.
            unsafe { free(handle) };
        }
        // SAFETY: takes nothing.
        let left = unsafe { functions::karafka_handle_count() };
        assert_eq!(left, 0, "handles are left");
        assert_eq!(DESTROYED.load(Ordering::SeqCst), self.given, "user data is left");
    }
}

/// Text that the library gave ends with NUL and is UTF-8.
fn read(text: *const c_char) {
    if !text.is_null() {
        // SAFETY: the header says so.
        let text = unsafe { CStr::from_ptr(text) };
        assert!(std::str::from_utf8(text.to_bytes()).is_ok(), "{text:?}");
    }
}

unsafe extern "C" fn destroy(_data: *mut c_void) {
    DESTROYED.fetch_add(1, Ordering::SeqCst);
}

/// A handler that uses what it is given, rightly and wrongly, and returns any number.
unsafe extern "C" fn handler(batch: Handle, context: Handle, data: *mut c_void) -> u32 {
    // SAFETY: the functions take any handle; the places are valid.
    unsafe {
        let (mut messages, mut count, mut owned) = (ptr::null(), 0, false);
        let ignored = [
            functions::karafka_batch_messages(batch, &raw mut messages, &raw mut count),
            functions::karafka_batch_messages(context, &raw mut messages, ptr::null_mut()),
            functions::karafka_context_mark_as_consumed(context, data.addr(), &raw mut owned),
            functions::karafka_context_acknowledge(batch, 0, ptr::null_mut()),
        ];
        read(functions::karafka_batch_topic(batch));
        read(functions::karafka_context_group(context));
        for error in ignored {
            functions::karafka_error_free(error);
        }
    }
    data.addr() as u32 % 4
}

unsafe extern "C" fn scheduler(
    _candidates: *const c_void,
    count: usize,
    order: *mut u32,
    chosen: *mut usize,
    data: *mut c_void,
) -> u32 {
    // SAFETY: the library gives room for `count` numbers, which are more than none, and a place.
    unsafe {
        order.write(data.addr() as u32);
        chosen.write(count.min(1));
    }
    data.addr() as u32 / 100
}

unsafe extern "C" fn partitioner(
    _batch: Handle,
    _message: *const c_void,
    key: *mut *const u8,
    length: *mut usize,
    data: *mut c_void,
) -> u32 {
    // SAFETY: the library gives two places.
    unsafe {
        key.write(b"key".as_ptr());
        length.write(data.addr() % 4);
    }
    data.addr() as u32 / 100
}

/// A filter that keeps, skips or fails.
unsafe extern "C" fn filter(_batch: Handle, _message: *const c_void, keep: *mut bool, data: *mut c_void) -> u32 {
    // SAFETY: the library gives a place.
    unsafe { keep.write(data.addr().is_multiple_of(2)) };
    data.addr() as u32 / 100
}

/// A hook that ends in any way, and asks what the call is about.
unsafe extern "C" fn hook(context: Handle, data: *mut c_void) -> u32 {
    // SAFETY: the functions take any handle.
    unsafe {
        functions::karafka_context_is_eofed(context);
        functions::karafka_context_is_used(context);
        read(functions::karafka_context_topic(context));
    }
    data.addr() as u32 % 4
}

/// A task that ends in any way, and asks whether it should.
unsafe extern "C" fn task(run: *const c_void, data: *mut c_void) -> u32 {
    // SAFETY: the library gives a run.
    let _ = unsafe { functions::karafka_task_run_should_end(run) };
    data.addr() as u32 % 4
}

/// A strategy that says any number, and names a topic.
unsafe extern "C" fn strategy(
    _batch: Handle,
    _message: *const c_void,
    context: Handle,
    _failures: *const c_void,
    _count: usize,
    data: *mut c_void,
) -> u32 {
    let verdict = data.addr() as u32 % 8;
    // SAFETY: the function takes any handle; the text is as long as it says.
    unsafe {
        let error = functions::karafka_context_verdict(context, verdict, b"letters".as_ptr(), 7);
        functions::karafka_error_free(error);
    }
    verdict
}

/// A producer's partitioner that chooses any partition, and none.
unsafe extern "C" fn record_partitioner(_record: *const Record, _count: usize, data: *mut c_void) -> i32 {
    data.addr() as i32 - 2
}

/// Middleware that keeps a record, replaces it by itself, or refuses it.
unsafe extern "C" fn middleware(record: *const Record, draft: Handle, data: *mut c_void) -> bool {
    if data.addr() % 3 == 1 {
        // SAFETY: both are the library's, for this call.
        let error = unsafe { functions::karafka_draft_set(draft, record) };
        assert!(error.is_null());
    }
    data.addr() % 3 != 2
}

unsafe extern "C" fn recorded(record: *const Record, _report: *const c_void, _data: *mut c_void) {
    // SAFETY: the library gives a record.
    assert_eq!(unsafe { (*record).struct_size }, size_of::<Record>());
}

unsafe extern "C" fn delivered(error: Handle, _report: *const c_void, _data: *mut c_void) {
    // SAFETY: the library gives an error or NULL.
    unsafe { read(functions::karafka_error_message(error)) };
}
