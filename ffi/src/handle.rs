//! C handles: what C holds instead of a pointer.
//!
//! A handle looks like a pointer to C and is a number to us, never an address: a tag for its type, then the key of its
//! object's slot. No real pointer has these tags in its top byte, so that any other value is told apart without following
//! it. Called by every exported function, on any thread.

use crate::boundary::infallible;
use crate::error::Fault;
use crate::registry::{Absent, Key, Pinned, Registry};
use runtime::{Error, ErrorKind};
use std::ptr;

const _: () = assert!(usize::BITS == 64, "handles hold a tag, a generation and an index");

const INDEX_BITS: u32 = 24;
const GENERATION_BITS: u32 = 32;

/// A handle's type, as C sees it, and the object behind it.
pub(crate) trait Handle: 'static {
    /// The object that the handle stands for.
    type Object: Send + Sync + 'static;
    /// What tells the type's handles from all others.
    const TAG: Tag;

    fn registry() -> &'static Registry<Self::Object>;
}

/// The types of handles. Numbers in the upper half of a byte's range: no program's addresses begin with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tag {
    Error = 0xC1,
    Config = 0xC2,
    App = 0xC3,
    Topic = 0xC4,
    Batch = 0xC5,
    Context = 0xC6,
    Completion = 0xC7,
    Events = 0xC8,
    Event = 0xC9,
    Producer = 0xCA,
    Delivery = 0xCB,
    EmbeddedBroker = 0xCC,
    Draft = 0xCE,
    TransactionalProducer = 0xD4,
    Transaction = 0xD5,
    Reader = 0xD6,
    Admin = 0xD7,
    Answer = 0xD8,
    RecurringTasks = 0xD9,
}

impl Tag {
    const ALL: [Self; 19] = [
        Self::Error,
        Self::Config,
        Self::App,
        Self::Topic,
        Self::Batch,
        Self::Context,
        Self::Completion,
        Self::Events,
        Self::Event,
        Self::Producer,
        Self::Delivery,
        Self::EmbeddedBroker,
        Self::Draft,
        Self::TransactionalProducer,
        Self::Transaction,
        Self::Reader,
        Self::Admin,
        Self::Answer,
        Self::RecurringTasks,
    ];

    const fn noun(self) -> &'static str {
        match self {
            Self::Error => "an error",
            Self::Config => "a config",
            Self::App => "an app",
            Self::Topic => "a topic",
            Self::Batch => "a batch",
            Self::Context => "a context",
            Self::Completion => "a completion",
            Self::Events => "a subscription of events",
            Self::Event => "an event",
            Self::Producer => "a producer",
            Self::Delivery => "a delivery",
            Self::EmbeddedBroker => "an embedded broker",
            Self::Draft => "a draft",
            Self::TransactionalProducer => "a transactional producer",
            Self::Transaction => "a transaction",
            Self::Reader => "a reader",
            Self::Admin => "an admin",
            Self::Answer => "an answer",
            Self::RecurringTasks => "recurring tasks",
        }
    }
}

/// Ties a C type to the objects behind it.
macro_rules! handle {
    ($type:ident, $tag:ident, $object:ty) => {
        impl $crate::handle::Handle for $type {
            type Object = $object;
            const TAG: $crate::handle::Tag = $crate::handle::Tag::$tag;

            fn registry() -> &'static $crate::registry::Registry<$object> {
                static REGISTRY: $crate::registry::Registry<$object> = $crate::registry::Registry::new();
                &REGISTRY
            }
        }
    };
}
pub(crate) use handle;

/// The handle with this key.
pub(crate) fn pack<H: Handle>(key: Key) -> *mut H {
    let tag = (H::TAG as usize) << (INDEX_BITS + GENERATION_BITS);
    ptr::without_provenance_mut(tag | (key.generation as usize) << INDEX_BITS | key.index as usize)
}

/// The key in a handle of this type.
fn unpack<H: Handle>(handle: *const H) -> Result<Key, Fault> {
    let (number, wanted) = (handle.addr(), H::TAG.noun());
    if number == 0 {
        return Err(Fault::argument(format!("NULL was given for {wanted}")));
    }
    let tag = (number >> (INDEX_BITS + GENERATION_BITS)) as u8;
    if tag == H::TAG as u8 {
        let index = (number & ((1 << INDEX_BITS) - 1)) as u32;
        return Ok(Key { generation: (number >> INDEX_BITS) as u32, index });
    }
    Err(Fault::argument(match Tag::ALL.into_iter().find(|known| *known as u8 == tag) {
        Some(other) => format!("{} was given for {wanted}", other.noun()),
        None => format!("a value that is no handle of libkarafka was given for {wanted}"),
    }))
}

fn fault<H: Handle>(absent: Absent) -> Fault {
    let noun = H::TAG.noun();
    match absent {
        Absent::Closed if matches!(H::TAG, Tag::Batch | Tag::Context) => {
            Fault::argument(format!("{noun} was given whose job has ended"))
        }
        Absent::Closed => Fault::argument(format!("{noun} was given that was freed")),
        Absent::Unknown => Fault::argument(format!("a value that is no handle of libkarafka was given for {noun}")),
        Absent::Forked => {
            let message =
                format!("{noun} of the parent process does not work after a fork; make a new one in this process");
            Fault::Core(Error::new(ErrorKind::Forked, "use a handle", message))
        }
    }
}

/// Makes a handle of an object.
pub(crate) fn open<H: Handle>(object: H::Object) -> Result<*mut H, Fault> {
    open_pinned(object).map(|(handle, _)| handle)
}

/// Makes a handle of an object and pins the object.
pub(crate) fn open_pinned<H: Handle>(object: H::Object) -> Result<(*mut H, Pinned<H::Object>), Fault> {
    if let Ok((key, pinned)) = H::registry().insert(object) {
        return Ok((pack(key), pinned));
    }
    let message = format!("there is no room for {}: millions of them were not freed", H::TAG.noun());
    Err(Fault::Core(Error::new(ErrorKind::Internal, "make a handle", message)))
}

/// The object behind a handle, kept in place until the guard is dropped.
pub(crate) fn get<H: Handle>(handle: *const H) -> Result<Pinned<H::Object>, Fault> {
    H::registry().pin(unpack(handle)?).map_err(fault::<H>)
}

/// [`get`], also in a forked child: for what only reads the object's plain data.
pub(crate) fn get_inherited<H: Handle>(handle: *const H) -> Result<Pinned<H::Object>, Fault> {
    H::registry().pin_inherited(unpack(handle)?).map_err(fault::<H>)
}

/// Ends a handle; its object is dropped when no call uses it any more.
pub(crate) fn close<H: Handle>(handle: *const H) -> Result<(), Fault> {
    H::registry().close(unpack(handle)?).map_err(fault::<H>)
}

/// Ends a handle on behalf of a function that cannot fail: takes NULL, and what a forked child inherited.
pub(crate) fn free<H: Handle>(function: &'static str, handle: *mut H) {
    if !handle.is_null() {
        infallible(function, (), || match close(handle) {
            Err(Fault::Core(error)) if error.kind() == ErrorKind::Forked => Ok(()),
            outcome => outcome,
        });
    }
}

/// The same object under another type's handle.
pub(crate) fn alias<H: Handle, G: Handle<Object = H::Object>>(handle: *const H) -> Result<*mut G, Fault> {
    unpack(handle).map(pack)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, non_camel_case_types)]

    use super::*;

    struct apple(());
    struct pear(());
    handle!(apple, App, String);
    handle!(pear, Topic, u32);

    fn message<T>(result: Result<T, Fault>) -> String {
        match result {
            Ok(_) => String::new(),
            Err(Fault::Argument(message)) => message,
            Err(Fault::Core(error)) => error.to_string(),
        }
    }

    #[test]
    fn a_handle_leads_to_its_object_and_back_nowhere_once_closed() {
        let handle = open::<apple>("core".to_owned()).map_err(drop).unwrap();
        assert_eq!(*get(handle).map_err(drop).unwrap(), "core");
        close(handle).map_err(drop).unwrap();
        assert_eq!(message(get(handle)), "an app was given that was freed");
        assert_eq!(message(close(handle)), "an app was given that was freed");
    }

    #[test]
    fn null_other_types_and_made_up_values_are_told_apart() {
        let handle = open::<pear>(1).map_err(drop).unwrap();
        assert_eq!(message(get(ptr::null::<apple>())), "NULL was given for an app");
        assert_eq!(message(get(handle.cast::<apple>())), "a topic was given for an app");
        for value in [1, 0x10, 0x7fff_ffff_ffff, usize::MAX, 0xC3 << 56, 0xC3 << 56 | 0xff_ffff, 0xC3 << 56 | 9 << 24] {
            let made_up = ptr::without_provenance::<apple>(value);
            assert_eq!(
                message(get(made_up)),
                "a value that is no handle of libkarafka was given for an app",
                "{value:x}"
            );
        }
        close(handle).map_err(drop).unwrap();
    }

    #[test]
    fn no_handle_is_an_address_that_a_program_can_have() {
        for tag in Tag::ALL {
            assert!(tag as u8 >= 0x80, "{tag:?}");
            assert_eq!(Tag::ALL.iter().filter(|other| **other as u8 == tag as u8).count(), 1);
        }
    }
}
