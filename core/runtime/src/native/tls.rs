//! OpenSSL's end: never.
//!
//! Called before each client is made. OpenSSL frees what is its own when the process calls `exit`, while clients that nobody closed
//! still connect on threads of theirs: they crash then. What it holds is the system's to take back.

/// Has OpenSSL leave its memory alone at the process's end. Without effect where the program itself began to use it before.
#[cfg(any(feature = "vendored", feature = "system-ssl"))]
pub(super) fn outlive_the_exit() {
    use std::ffi::{c_int, c_void};
    use std::sync::Once;

    /// `OPENSSL_INIT_NO_ATEXIT`.
    const NO_ATEXIT: u64 = 0x0008_0000;
    static ONCE: Once = Once::new();

    unsafe extern "C" {
        fn OPENSSL_init_crypto(options: u64, settings: *const c_void) -> c_int;
    }
    // SAFETY: OpenSSL's own function with its own types, which may be called on any thread; NULL stands for no settings.
    ONCE.call_once(|| unsafe {
        OPENSSL_init_crypto(NO_ATEXIT, std::ptr::null());
    });
}

/// There is no OpenSSL.
#[cfg(not(any(feature = "vendored", feature = "system-ssl")))]
pub(super) fn outlive_the_exit() {}
