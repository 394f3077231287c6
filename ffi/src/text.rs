//! What comes in from C and goes out to it: texts, bytes, times and results.
//!
//! Every pointer that C hands in is checked and read here, for the length of one call.

use crate::error::Fault;
use std::ffi::{c_char, c_void};
use std::time::Duration;

/// Longer than any program runs, short enough to be added to any clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Bytes; NULL is allowed for a length of 0 only.
///
/// # Safety
/// `start` must be NULL or point to `length` bytes that nobody changes while the result is used.
pub(crate) unsafe fn bytes<'a>(start: *const u8, length: usize, what: &str) -> Result<&'a [u8], Fault> {
    if start.is_null() {
        return if length == 0 {
            Ok(&[])
        } else {
            Err(Fault::argument(format!("{what} is NULL and {length} bytes long")))
        };
    }
    if isize::try_from(length).is_err() {
        return Err(Fault::argument(format!("{what} cannot be {length} bytes long")));
    }
    // SAFETY: not NULL, of a possible length; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(start, length) })
}

/// Bytes or nothing: NULL means nothing, which is not the same as no bytes.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn optional_bytes<'a>(
    start: *const u8,
    length: usize,
    what: &str,
) -> Result<Option<&'a [u8]>, Fault> {
    // SAFETY: the caller's promise is the same.
    let bytes = unsafe { bytes(start, length, what)? };
    Ok((!start.is_null()).then_some(bytes))
}

/// Several values in a row; NULL is allowed for none only.
///
/// # Safety
/// `start` must be NULL or point to `count` valid values that nobody changes while the result is used.
pub(crate) unsafe fn array<'a, T>(start: *const T, count: usize, what: &str) -> Result<&'a [T], Fault> {
    if start.is_null() {
        return if count == 0 {
            Ok(&[])
        } else {
            Err(Fault::argument(format!("{what} is NULL and has {count} values")))
        };
    }
    if !start.is_aligned() || count.checked_mul(size_of::<T>()).is_none_or(|size| isize::try_from(size).is_err()) {
        return Err(Fault::argument(format!("{what} is no array of {count} values")));
    }
    // SAFETY: not NULL, aligned, of a possible size; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(start, count) })
}

/// Text: UTF-8, not ended by NUL.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn text<'a>(start: *const c_char, length: usize, what: &str) -> Result<&'a str, Fault> {
    // SAFETY: the caller's promise is the same.
    let bytes = unsafe { bytes(start.cast::<u8>(), length, what)? };
    std::str::from_utf8(bytes)
        .map_err(|error| Fault::argument(format!("{what} is not UTF-8 from byte {} on", error.valid_up_to())))
}

/// A time in milliseconds; -1 is without limit.
pub(crate) fn patience(timeout_ms: i64) -> Result<Option<Duration>, Fault> {
    match u64::try_from(timeout_ms) {
        Ok(timeout) => Ok(Some(Duration::from_millis(timeout).min(FOREVER))),
        Err(_) if timeout_ms == -1 => Ok(None),
        Err(_) => Err(Fault::argument(format!("timeout_ms is {timeout_ms}: take 0 or more, or -1 for no limit"))),
    }
}

/// [`patience`] for calls that know no endless wait: -1 outlives the program.
pub(crate) fn long_patience(timeout_ms: i64) -> Result<Duration, Fault> {
    patience(timeout_ms).map(|timeout| timeout.unwrap_or(FOREVER))
}

/// Where C wants a result: checked when the call begins, written when it has succeeded.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `place` must be NULL or valid for one write until the call returns.
    pub(crate) unsafe fn required(place: *mut T, what: &str) -> Result<Self, Fault> {
        if place.is_null() {
            return Err(Fault::argument(format!("{what}, where the result goes, is NULL")));
        }
        // SAFETY: the caller's promise is the same.
        unsafe { Self::optional(place, what) }
    }

    /// # Safety
    /// As [`Self::required`].
    pub(crate) unsafe fn optional(place: *mut T, what: &str) -> Result<Self, Fault> {
        if place.is_aligned() { Ok(Self(place)) } else { Err(Fault::argument(format!("{what} is not aligned"))) }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        !self.0.is_null()
    }

    pub(crate) fn write(self, value: T) {
        if self.is_wanted() {
            // SAFETY: not NULL, aligned, and valid by the promise made at construction. C's types have no destructors.
            unsafe { self.0.write(value) };
        }
    }
}

/// C's `user_data` with its destructor, which runs when this is dropped: once, whatever happens.
pub(crate) struct UserData {
    data: *mut c_void,
    destroy: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

// SAFETY: the header says that the program's data is used on the core's threads, and destroyed on any.
unsafe impl Send for UserData {}
// SAFETY: the header says that handlers may run on several threads at once with the same data.
unsafe impl Sync for UserData {}

impl UserData {
    /// # Safety
    /// `destroy` must be NULL or a function that may be called with `data` once, on any thread.
    pub(crate) unsafe fn new(data: *mut c_void, destroy: Option<unsafe extern "C" fn(user_data: *mut c_void)>) -> Self {
        Self { data, destroy }
    }

    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: promised at construction; a value is dropped once.
            unsafe { destroy(self.data) };
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::ptr;

    fn message<T>(result: Result<T, Fault>) -> String {
        result.err().map(|fault| fault.text("f")).unwrap_or_default()
    }

    #[test]
    fn texts_are_checked() {
        let read = |start: *const u8, length| {
            // SAFETY: every pointer below is NULL or has at least that many bytes.
            unsafe { text(start.cast(), length, "name") }
        };
        assert_eq!(read("orders".as_ptr(), 5).map_err(drop), Ok("order"));
        assert_eq!(read(ptr::null(), 0).map_err(drop), Ok(""));
        assert_eq!(message(read(ptr::null(), 3)), "f: name is NULL and 3 bytes long");
        assert_eq!(message(read(b"ab\xff".as_ptr(), 3)), "f: name is not UTF-8 from byte 2 on");
        assert_eq!(message(read(b"ab".as_ptr(), usize::MAX)), format!("f: name cannot be {} bytes long", usize::MAX));
    }

    #[test]
    fn nothing_is_not_the_same_as_no_bytes() {
        // SAFETY: no byte is read of either.
        unsafe {
            assert_eq!(optional_bytes(ptr::null(), 0, "payload").map_err(drop), Ok(None));
            assert_eq!(optional_bytes(b"".as_ptr(), 0, "payload").map_err(drop), Ok(Some(&[][..])));
        }
    }

    #[test]
    fn times_are_checked() {
        assert_eq!(patience(-1).map_err(drop), Ok(None));
        assert_eq!(patience(0).map_err(drop), Ok(Some(Duration::ZERO)));
        assert_eq!(patience(i64::MAX).map_err(drop), Ok(Some(FOREVER)));
        assert!(message(patience(-2)).contains("timeout_ms is -2"));
        assert_eq!(long_patience(-1).map_err(drop), Ok(FOREVER));
    }

    #[test]
    fn results_are_written_only_where_there_is_a_place() {
        let mut place = 1;
        // SAFETY: the place is valid, the other pointers are NULL or refused.
        unsafe {
            Out::required(&raw mut place, "out").map_err(drop).unwrap().write(2);
            assert_eq!(message(Out::<u32>::required(ptr::null_mut(), "out")), "f: out, where the result goes, is NULL");
            Out::<u32>::optional(ptr::null_mut(), "out").map_err(drop).unwrap().write(3);
            assert!(message(Out::<u32>::required(ptr::without_provenance_mut(3), "out")).contains("not aligned"));
        }
        assert_eq!(place, 2);
    }

    #[test]
    fn a_destructor_runs_once() {
        unsafe extern "C" fn count(data: *mut c_void) {
            // SAFETY: the test hands in a pointer to a number that outlives the value.
            unsafe { *data.cast::<u32>() += 1 };
        }
        let mut destroyed = 0_u32;
        // SAFETY: `count` may be called with a pointer to the number.
        let data = unsafe { UserData::new((&raw mut destroyed).cast(), Some(count)) };
        drop(data);
        // SAFETY: NULL stands for no destructor.
        drop(unsafe { UserData::new(ptr::null_mut(), None) });
        assert_eq!(destroyed, 1);
    }
}
