//! Waiting for an effect, with a deadline.
//!
//! Called by tests from any thread. A wait returns as soon as the effect is there; past the deadline it panics and names
//! what was awaited.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a test waits for what normally takes less than a second, on a machine that is busy.
pub const LONG: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Returns once `condition` holds. Panics when it does not within `deadline`, naming `what`.
pub fn until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    until_some(deadline, what, || condition().then_some(()));
}

/// Returns the first value that `look` finds. Panics when it finds none within `deadline`, naming `what`.
pub fn until_some<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < deadline, "within {deadline:?} this did not happen: {what}");
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// Runs a future to its end on this thread, which parks meanwhile. For the few answers of Kafka's administration.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_as_soon_as_the_effect_is_there() {
        let mut looks = 0;
        until(LONG, "the third look", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    #[should_panic(expected = "this did not happen: the moon falls")]
    fn names_what_did_not_happen() {
        until(Duration::from_millis(20), "the moon falls", || false);
    }

    #[test]
    fn runs_a_future_that_is_woken_from_another_thread() {
        let mut first = true;
        let answer = block_on(std::future::poll_fn(move |context| {
            if !first {
                return Poll::Ready(7);
            }
            first = false;
            let waker = context.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        }));
        assert_eq!(answer, 7);
    }
}
