//! A broker inside the process, for trying things out and for tests.
//!
//! Owns `karafka_embedded_broker_t`. Called on any thread.

use crate::boundary::{fallible, infallible};
use crate::error::{c_text, karafka_error_t};
use crate::handle::{self, handle};
use crate::text::{Out, text};
use runtime::EmbeddedBroker;
use std::ffi::{CString, c_char};

/// A broker inside the process: in memory, for trying things out and for tests. It knows no transactions, no access control,
/// no administration and no offsets by time, and keeps at most 5 MiB of each partition.
///
/// Owned by whoever made it, freed by `karafka_embedded_broker_free`. May be used on any thread.
pub struct karafka_embedded_broker_t(());

handle!(karafka_embedded_broker_t, EmbeddedBroker, BrokerObject);

pub(crate) struct BrokerObject {
    broker: EmbeddedBroker,
    bootstrap_servers: CString,
}

/// The broker behind an address that begins with "embedded://"; it is started if it is not there. Apps and producers whose
/// `bootstrap_servers` is the same address use the same broker, which lives as long as the process.
///
/// @param address UTF-8, not ended by NUL: "embedded://" and any name, or none.
/// @param broker Gets the broker, to be freed by `karafka_embedded_broker_free`.
/// Errors: `CONFIG` for another kind of address; `INTERNAL` when it cannot be started; `ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_embedded_broker_named(
    address: *const c_char,
    address_length: usize,
    broker: *mut *mut karafka_embedded_broker_t,
) -> *mut karafka_error_t {
    fallible("karafka_embedded_broker_named", || {
        // SAFETY: the header asks for a pointer with its length and a valid place.
        let (out, address) =
            unsafe { (Out::required(broker, "broker")?, text(address, address_length, "the address")?) };
        let broker = EmbeddedBroker::named(address)?;
        let bootstrap_servers = c_text(&broker.bootstrap_servers());
        out.write(handle::open(BrokerObject { broker, bootstrap_servers })?);
        Ok(())
    })
}

/// Creates a topic. Topics that are only used come into being with four partitions.
///
/// @param name UTF-8, not ended by NUL.
/// @param partitions 1 or more.
/// Errors: `CONFIG` for a wrong name or number; `BROKER` when the topic exists; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_embedded_broker_create_topic(
    broker: *mut karafka_embedded_broker_t,
    name: *const c_char,
    name_length: usize,
    partitions: i32,
) -> *mut karafka_error_t {
    fallible("karafka_embedded_broker_create_topic", || {
        // SAFETY: the header asks for a pointer with its length.
        let name = unsafe { text(name, name_length, "the topic's name")? };
        Ok(handle::get(broker.cast_const())?.broker.create_topic(name, partitions)?)
    })
}

/// The address by which other processes of this machine reach the broker, such as "127.0.0.1:41237".
///
/// Returns: text that ends with NUL and lives as long as the handle; NULL for a value that is no broker.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_embedded_broker_bootstrap_servers(broker: *const karafka_embedded_broker_t) -> *const c_char {
    infallible("karafka_embedded_broker_bootstrap_servers", std::ptr::null(), || {
        Ok(handle::get(broker)?.bootstrap_servers.as_ptr())
    })
}

/// Frees the handle. Takes NULL. The broker itself lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_embedded_broker_free(broker: *mut karafka_embedded_broker_t) {
    handle::free("karafka_embedded_broker_free", broker);
}
