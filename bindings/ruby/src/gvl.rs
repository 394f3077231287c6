//! Ruby's global lock (the GVL).
//!
//! [`without_gvl`] is how a Ruby thread waits in the core: it gives the lock up, waits, and takes it again, all on the same
//! thread. Whoever calls it holds the GVL, and no Rust lock.

use magnus::RString;
use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A call on its way through Ruby's C interface.
struct Call<W, T> {
    work: Option<W>,
    result: Option<Result<T, Box<dyn Any + Send>>>,
}

unsafe extern "C" fn work_trampoline<W: FnOnce() -> T, T>(call: *mut c_void) -> *mut c_void {
    // SAFETY: `without_gvl` passes its own `Call`, which it neither moves nor touches until this function has returned.
    let call = unsafe { &mut *call.cast::<Call<W, T>>() };
    if let Some(work) = call.work.take() {
        call.result = Some(catch_unwind(AssertUnwindSafe(work)));
    }
    std::ptr::null_mut()
}

unsafe extern "C" fn unblock_trampoline<U: Fn() + Sync>(unblock: *mut c_void) {
    // SAFETY: `without_gvl` passes a reference that outlives its call; Ruby never calls this after it. `U` is `Sync`, since
    // Ruby calls this from other threads.
    let unblock = unsafe { &*unblock.cast::<U>() };
    // There is nobody to tell: a panic here must only not unwind into Ruby.
    drop(catch_unwind(AssertUnwindSafe(unblock)));
}

/// Runs `work` without the GVL, and takes the GVL again. `None` when Ruby has something for this thread to do first (a
/// signal, `Thread#kill`) and did not run it: check for interrupts then.
///
/// `work` must not use Ruby. `unblock` makes it return early; Ruby calls it on another thread, perhaps more than once, so it
/// only sets flags and wakes. A panic in `work` goes on in the caller.
pub fn without_gvl<W, T, U>(work: W, unblock: &U) -> Option<T>
where
    W: FnOnce() -> T,
    U: Fn() + Sync,
{
    let mut call = Call { work: Some(work), result: None };
    // SAFETY: both pointers are valid for the whole call, and have the types that the trampolines expect. This variant
    // of the function raises nothing, so that no Rust frame is jumped over.
    unsafe {
        rb_sys::rb_thread_call_without_gvl2(
            Some(work_trampoline::<W, T>),
            (&raw mut call).cast(),
            Some(unblock_trampoline::<U>),
            std::ptr::from_ref(unblock).cast_mut().cast(),
        );
    }
    match call.result? {
        Ok(value) => Some(value),
        Err(panic) => resume_unwind(panic),
    }
}

/// [`with_bytes`] for a string that may be `nil`.
pub fn with_some<T>(string: Option<RString>, read: impl FnOnce(Option<&[u8]>) -> T) -> T {
    match string {
        Some(string) => with_bytes(string, |bytes| read(Some(bytes))),
        None => read(None),
    }
}

/// Calls `read` with a string's bytes. `read` must not call Ruby.
pub fn with_bytes<T>(string: RString, read: impl FnOnce(&[u8]) -> T) -> T {
    // SAFETY: the bytes stay in place as long as Ruby code does not run and the string is reachable; `read` does not use
    // Ruby, and the value is kept alive below.
    let result = read(unsafe { string.as_slice() });
    // Seen by the garbage collector's scan of the stack until here.
    std::hint::black_box(string);
    result
}
