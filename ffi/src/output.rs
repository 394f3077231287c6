//! Which call a thread produces for.
//!
//! Called on any thread, while the call's job has not ended.

use crate::batch::karafka_context_t;
use crate::boundary::fallible;
use crate::context::context_of;
use crate::error::karafka_error_t;
use runtime::Context;

/// From now on, what this thread produces counts for this call, where its topic declares what it `produces`. In the handler it
/// does so anyway: this is for calls that end later, on other threads.
///
/// @param context NULL: what this thread produces counts for no call any more. Say so before the thread does something else.
/// Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_count_outputs(context: *mut karafka_context_t) -> *mut karafka_error_t {
    fallible("karafka_context_count_outputs", || {
        if context.is_null() {
            Context::count_on_this_thread(None);
            return Ok(());
        }
        Context::count_on_this_thread(Some(&context_of(context)?));
        Ok(())
    })
}
