//! Which library this is.

use crate::app::karafka_app_t;
use crate::batch::karafka_batch_t;
use crate::completion::karafka_completion_t;
use crate::config::karafka_config_t;
use crate::embedded::karafka_embedded_broker_t;
use crate::error::{c_text, karafka_error_t};
use crate::event::{karafka_event_t, karafka_events_t};
use crate::handle::Handle;
use crate::producer::{karafka_delivery_t, karafka_producer_t};
use std::ffi::{CString, c_char};
use std::sync::LazyLock;

/// The number of the ABI, as in the file name libkarafka.so.0. Programs work with every library of the same number that is
/// not older than the header they were compiled with.
pub const KARAFKA_ABI_VERSION: u32 = 0;

/// The version of the library that is loaded, such as "0.1.0"; `KARAFKA_VERSION` is that of the header.
///
/// Returns: text that ends with NUL, is never freed and always valid.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_version() -> *const c_char {
    static VERSION: LazyLock<CString> = LazyLock::new(|| c_text(runtime::VERSION));
    VERSION.as_ptr()
}

/// The ABI number of the library that is loaded; `KARAFKA_ABI_VERSION` is that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_abi_version() -> u32 {
    KARAFKA_ABI_VERSION
}

/// The version of librdkafka that is linked in, such as "2.12.1".
///
/// Returns: text that ends with NUL, is never freed and always valid.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_librdkafka_version() -> *const c_char {
    static VERSION: LazyLock<CString> = LazyLock::new(|| c_text(&runtime::librdkafka_version()));
    VERSION.as_ptr()
}

/// How many objects exist that the program has to free: for tests that look for leaks, which leak checkers cannot see, since
/// handles are not addresses. Topics are not counted; batches are, while their jobs run or `karafka_batch_ref` keeps them.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_handle_count() -> usize {
    karafka_error_t::registry().count()
        + karafka_config_t::registry().count()
        + karafka_app_t::registry().count()
        + karafka_batch_t::registry().count()
        + karafka_completion_t::registry().count()
        + karafka_events_t::registry().count()
        + karafka_event_t::registry().count()
        + karafka_producer_t::registry().count()
        + karafka_delivery_t::registry().count()
        + karafka_embedded_broker_t::registry().count()
}
