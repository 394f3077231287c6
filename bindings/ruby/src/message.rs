//! `LibKarafka::Message`: the objects and strings of one call's messages, made with as little as Ruby allows.
//!
//! [`Cells`] belongs to a `Messages` object and has a place for each of its messages: the Ruby object once somebody asked for it, and
//! its strings once somebody looked. The Ruby object of a message is nothing but a pointer to its place, so making one
//! is one slot of Ruby's heap and no memory beside it, and none of it is freed by itself.
//!
//! Used with the GVL, for every message of a fast consumer: this, `gvl` and `plain` are the files with unsafe code. What holds
//! for all of it:
//!
//! - A place is as long-lived as its `Messages`. A message marks its `Messages`, and that marks every object and string in its
//!   places: none is freed or moved before the other. `Messages` has no write barriers, so the collector always looks at all of it.
//! - Functions that Ruby calls hold nothing that has to be dropped while they call Ruby, since Ruby's exceptions jump over
//!   them; those that Rust calls go through `protect`.

use karafka::Batch;
use magnus::gc::Marker;
use magnus::rb_sys::{AsRawValue, FromRawValue, protect};
use magnus::{Error, Module, RArray, RClass, RModule, Ruby, Value, prelude::*};
use rb_sys::{VALUE, rb_data_type_t};
use std::cell::{Cell, OnceCell};
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Not an object that could be in a place: `false`.
const NOTHING: VALUE = 0;

/// `LibKarafka::Message`; written once, when the extension is loaded.
static CLASS: AtomicUsize = AtomicUsize::new(0);

/// The flags of a string that say UTF-8; written once, when the extension is loaded.
static UTF8: AtomicUsize = AtomicUsize::new(0);

/// What Ruby has of one message so far.
struct Place {
    home: *const Home,
    index: usize,
    object: Cell<VALUE>,
    payload: Cell<VALUE>,
    key: Cell<VALUE>,
}

/// What all places of a `Messages` object share.
struct Home {
    owner: VALUE,
    batch: Batch,
}

/// The places of all messages of one `Messages` object, made at the first look.
#[derive(Default)]
pub struct Cells(OnceCell<(Rc<Home>, Box<[Place]>)>);

// SAFETY: only used with the GVL held, which one thread has at a time.
unsafe impl Send for Cells {}

impl Cells {
    fn places(&self, owner: Value, batch: &Batch) -> &[Place] {
        let (_, places) = self.0.get_or_init(|| {
            let home = Rc::new(Home { owner: owner.as_raw(), batch: batch.clone() });
            let place = |index| Place {
                home: Rc::as_ptr(&home),
                index,
                object: Cell::new(NOTHING),
                payload: Cell::new(NOTHING),
                key: Cell::new(NOTHING),
            };
            let places = (0..batch.len()).map(place).collect();
            (home, places)
        });
        places
    }

    /// Leaks what belongs to the parent process.
    pub fn forget(&mut self) {
        std::mem::forget(self.0.take());
    }

    /// Called by the collector for the `Messages` object that has these.
    pub fn mark(&self, marker: &Marker) {
        let Some((home, places)) = self.0.get() else { return };
        // Its address is in all places: marked, it stays where it is.
        mark(marker, home.owner);
        for place in places {
            for value in [&place.object, &place.payload, &place.key] {
                if value.get() != NOTHING {
                    mark(marker, value.get());
                }
            }
        }
    }

    /// The object of one message, always the same.
    pub fn object(&self, owner: Value, batch: &Batch, index: usize) -> Result<Option<Value>, Error> {
        let Some(place) = self.places(owner, batch).get(index) else { return Ok(None) };
        // SAFETY: the place's `Messages` is `owner`, which the caller holds.
        let object = protect(|| unsafe { object_of(place) })?;
        // SAFETY: an object that Ruby just gave out.
        Ok(Some(unsafe { Value::from_raw(object) }))
    }

    /// The objects of all messages, in a new array.
    pub fn objects(&self, ruby: &Ruby, owner: Value, batch: &Batch) -> Result<RArray, Error> {
        let places = self.places(owner, batch);
        let list = ruby.ary_new_capa(places.len());
        let raw = list.as_raw();
        protect(|| {
            for place in places {
                // SAFETY: the place's `Messages` is `owner`, which the caller holds, as it holds the list.
                unsafe { rb_sys::rb_ary_push(raw, object_of(place)) };
            }
            raw
        })?;
        Ok(list)
    }
}

fn mark(marker: &Marker, value: VALUE) {
    // SAFETY: only objects are put into places, and what is in one is marked, so it is still there.
    marker.mark(unsafe { Value::from_raw(value) });
}

/// A string, or nil, of each message, in a new array.
pub fn strings(ruby: &Ruby, batch: &Batch, read: fn(karafka::Message<'_>) -> Option<&[u8]>) -> Result<RArray, Error> {
    let list = ruby.ary_new_capa(batch.len());
    let raw = list.as_raw();
    protect(|| {
        for message in batch.iter() {
            // SAFETY: the caller holds the list and the batch.
            unsafe { rb_sys::rb_ary_push(raw, string_of(read(message))) };
        }
        raw
    })?;
    Ok(list)
}

/// # Safety
/// With the GVL; may raise.
unsafe fn object_of(place: &Place) -> VALUE {
    if place.object.get() == NOTHING {
        let pointer = std::ptr::from_ref(place).cast_mut().cast();
        // SAFETY: the type has the functions for such a pointer, which stays valid as long as the object: see above.
        let object = unsafe {
            rb_sys::rb_data_typed_object_wrap(CLASS.load(Ordering::Relaxed) as VALUE, pointer, &raw const TYPE.0)
        };
        place.object.set(object);
    }
    place.object.get()
}

/// # Safety
/// With the GVL; may raise. The bytes stay where they are.
unsafe fn string_of(bytes: Option<&[u8]>) -> VALUE {
    let Some(bytes) = bytes else { return rb_sys::Qnil as VALUE };
    // SAFETY: Ruby copies the bytes before anything else can happen. No message is longer than a C long.
    let string = unsafe { rb_sys::rb_str_new(bytes.as_ptr().cast(), bytes.len() as _) };
    // As Ruby's headers do it for a new string, which is binary, and that has no bits here: `rb_utf8_str_new` looks the encoding
    // up three times.
    // SAFETY: a string that nobody else knows; every object begins with its flags.
    unsafe { (*(string as *mut rb_sys::RBasic)).flags |= UTF8.load(Ordering::Relaxed) as VALUE };
    string
}

/// The place of a message.
///
/// # Safety
/// With the GVL; raises for what is no message. The answer is valid while the caller holds the message.
unsafe fn place_of<'a>(message: VALUE) -> &'a Place {
    // SAFETY: Ruby compares the type, and only `object_of` makes objects of this one.
    unsafe { &*rb_sys::rb_check_typeddata(message, &raw const TYPE.0).cast::<Place>() }
}

/// # Safety
/// As `place_of`.
unsafe fn record_of(place: &Place) -> Option<karafka::Message<'_>> {
    // SAFETY: the home lives as long as its places.
    unsafe { &*place.home }.batch.get(place.index)
}

/// A string of the message, made at the first look.
///
/// # Safety
/// As `place_of`.
unsafe fn look(
    message: VALUE,
    which: fn(&Place) -> &Cell<VALUE>,
    read: fn(karafka::Message<'_>) -> Option<&[u8]>,
) -> VALUE {
    // SAFETY: Ruby calls this with the GVL and holds the message meanwhile.
    unsafe {
        let place = place_of(message);
        let kept = which(place);
        if kept.get() == NOTHING {
            kept.set(string_of(record_of(place).and_then(read)));
        }
        kept.get()
    }
}

unsafe extern "C" fn payload(message: VALUE) -> VALUE {
    // SAFETY: Ruby calls this with the GVL and holds the message meanwhile.
    unsafe { look(message, |place| &place.payload, |record| record.payload()) }
}

unsafe extern "C" fn key(message: VALUE) -> VALUE {
    // SAFETY: as above.
    unsafe { look(message, |place| &place.key, |record| record.key()) }
}

unsafe extern "C" fn offset(message: VALUE) -> VALUE {
    // SAFETY: as above.
    unsafe { rb_sys::rb_ll2inum(record_of(place_of(message)).map_or(-1, |record| record.offset())) }
}

unsafe extern "C" fn is_tombstone(message: VALUE) -> VALUE {
    // SAFETY: as above.
    let is_tombstone = unsafe { record_of(place_of(message)) }.is_some_and(|record| record.is_tombstone());
    if is_tombstone { rb_sys::Qtrue as VALUE } else { rb_sys::Qfalse as VALUE }
}

unsafe extern "C" fn attempt(message: VALUE) -> VALUE {
    // SAFETY: as above.
    unsafe { rb_sys::rb_ull2inum(record_of(place_of(message)).map_or(1, |record| record.attempt()).into()) }
}

unsafe extern "C" fn messages(message: VALUE) -> VALUE {
    // SAFETY: as above; the home lives as long as its places.
    unsafe { (*place_of(message).home).owner }
}

unsafe extern "C" fn index(message: VALUE) -> VALUE {
    // SAFETY: as above.
    unsafe { rb_sys::rb_ull2inum(place_of(message).index as _) }
}

unsafe extern "C" fn mark_message(place: *mut c_void) {
    // SAFETY: Ruby calls this for an object that `object_of` made and that was alive until now, so its place is valid: its
    // `Messages` is freed at the earliest when it was not marked here.
    unsafe { rb_sys::rb_gc_mark((*(*place.cast::<Place>()).home).owner) };
}

/// Ruby's description of a message object.
struct Type(rb_data_type_t);

// SAFETY: never written, and the function pointers are valid in all threads.
unsafe impl Sync for Type {}

static TYPE: Type = {
    // SAFETY: made of pointers, numbers and optional functions, for all of which zero is a value; Ruby asks for zeros.
    let mut description: rb_data_type_t = unsafe { MaybeUninit::zeroed().assume_init() };
    description.wrap_struct_name = c"LibKarafka::Message".as_ptr();
    description.function.dmark = Some(mark_message);
    description.flags = (rb_sys::rbimpl_typeddata_flags::RUBY_TYPED_FREE_IMMEDIATELY as VALUE)
        | (rb_sys::rbimpl_typeddata_flags::RUBY_TYPED_WB_PROTECTED as VALUE);
    Type(description)
};

type Reader = unsafe extern "C" fn(VALUE) -> VALUE;

const READERS: [(&CStr, Reader); 5] =
    [(c"payload", payload), (c"key", key), (c"offset", offset), (c"tombstone?", is_tombstone), (c"attempt", attempt)];
const PRIVATE_READERS: [(&CStr, Reader); 2] = [(c"messages", messages), (c"index", index)];

pub fn define(ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let class: RClass = module.define_class("Message", ruby.class_object())?;
    class.undef_default_alloc_func();
    ruby.gc_register_mark_object(class);
    CLASS.store(class.as_raw() as usize, Ordering::Relaxed);
    // SAFETY: with the GVL.
    let utf8 = unsafe { rb_sys::rb_utf8_encindex() } as usize;
    UTF8.store(utf8 << rb_sys::ruby_encoding_consts::RUBY_ENCODING_SHIFT as usize, Ordering::Relaxed);
    for (readers, is_public) in [(&READERS[..], true), (&PRIVATE_READERS[..], false)] {
        for (name, reader) in readers {
            // SAFETY: Ruby casts the function back to one that takes nothing but the receiver, which is what no
            // arguments mean.
            let function = Some(unsafe { std::mem::transmute::<Reader, unsafe extern "C" fn() -> VALUE>(*reader) });
            let define = if is_public { rb_sys::rb_define_method } else { rb_sys::rb_define_private_method };
            // SAFETY: the class and the name are valid, the function is as Ruby wants it; a class that is not frozen takes it.
            unsafe { define(class.as_raw(), name.as_ptr(), function, 0) };
        }
    }
    Ok(())
}
