//! The loop of a Ruby thread that lends itself to the core.
//!
//! 1. Without the GVL, report that the last job succeeded, free what the collector found, and wait for the next job. After a
//!    short job that has another one behind it the GVL is kept for both.
//! 2. With the GVL, call the Ruby side of the app (`handle` or `partition`), which calls user code.
//! 3. Whatever comes out of it, a value, an exception of any class or a thread that is being killed, end the job: it is on
//!    this stack, so it is never forgotten.
//!
//! An exception that concerns the process puts the job back and is given to the app, which stops. A thread that is being
//! killed fails its job and goes on dying; its Ruby side puts another thread in its place.

use crate::error::{Caught, Raise, caught};
use crate::gvl;
use crate::handle::Handle;
use crate::messages::{Messages, bytes, bytes_of};
use crate::waste::Waste;
use karafka::{App, Failure, FilterAnswer, Hook, Job, JobKind, Next, SeatKind, Verdict};
use magnus::error::ErrorType;
use magnus::typed_data::Obj;
use magnus::value::Id;
use magnus::{Error, Exception, RArray, RString, Ruby, Symbol, TryConvert, Value, prelude::*};
use std::sync::Arc;

/// Most messages of a job that is ended with the GVL in hand.
const SHORT: usize = 16;

/// How many jobs a thread runs in a row before it gives the GVL up on its own.
const IN_A_ROW: u32 = 32;

/// The methods of the Ruby side, looked up once a thread.
struct Names {
    judge: Id,
    handle: Id,
    partition: Id,
    unique_values: Id,
    filter: Id,
    hook: Id,
    critical: Id,
}

/// Runs jobs until the app needs this thread no more.
pub fn work(ruby: &Ruby, app: &Handle<App>, waste: &Arc<Waste>, host: Value) -> Result<(), Error> {
    let seat = app.get("take a seat").and_then(|app| app.seat(SeatKind::Thread)).or_raise(ruby)?;
    let interrupter = seat.interrupter();
    let mut seat = Seat::new(seat, Arc::clone(waste));
    let names = Names {
        judge: ruby.intern("judge"),
        handle: ruby.intern("handle"),
        partition: ruby.intern("partition"),
        unique_values: ruby.intern("unique_values"),
        filter: ruby.intern("filter"),
        hook: ruby.intern("hook"),
        critical: ruby.intern("critical"),
    };
    // Reporting frees the job's messages and wakes other threads: nothing to do with the GVL in hand, unless the job was short.
    let mut finished: Option<Job> = None;
    let mut in_a_row = 0;
    loop {
        let waited = match seat.next_job(|seat| next_at_once(seat, &mut finished, &mut in_a_row)) {
            Some(None) => seat.next_job(|seat| {
                let found = gvl::without_gvl(
                    || {
                        report(&mut finished);
                        waste.clear();
                        sized(seat.next())
                    },
                    &|| interrupter.interrupt(),
                );
                report(&mut finished);
                found
            }),
            at_once => at_once,
        };
        match waited {
            None => {
                // A child of the process, whose parent has the job too, and completes it.
                std::mem::forget(finished.take());
                return Ok(());
            }
            Some(None | Some((Next::Interrupted, _))) => ruby.thread_check_ints()?,
            Some(Some((Next::Closed, _))) => return Ok(()),
            Some(Some((Next::Job(job), bytes))) => {
                let messages = Messages::new(ruby, &job, waste, bytes);
                finished = run(ruby, app, job, messages, host, &names)?;
                wipe_stack();
            }
        }
    }
}

/// Overwrites what dead calls have left on this thread's stack. Ruby's collector takes for alive what looks like an object there,
/// and the wait for the next job leaves most of it as it was: each waiting thread would keep the messages of its last job,
/// all of which are marked whenever the collector runs.
#[inline(never)]
fn wipe_stack() {
    std::hint::black_box(&mut [0_u64; 1024]);
}

/// What there is to do without giving the GVL up, after a short job: giving it up and taking it again costs more than freeing
/// such a job's messages, and far more where many threads wait for it.
fn next_at_once(seat: &mut karafka::Seat, finished: &mut Option<Job>, in_a_row: &mut u32) -> Option<(Next, isize)> {
    let short = finished.take_if(|job| *in_a_row < IN_A_ROW && job.batch().len() <= SHORT);
    let Some(job) = short else {
        *in_a_row = 0;
        return None;
    };
    *in_a_row += 1;
    job.done();
    seat.try_next().map(sized)
}

/// What is next, and how many bytes the messages have.
fn sized(next: Next) -> (Next, isize) {
    let bytes = if let Next::Job(job) = &next { bytes_of(job.batch()) } else { 0 };
    (next, bytes)
}

fn report(finished: &mut Option<Job>) {
    if let Some(job) = finished.take() {
        job.done();
    }
}

/// A seat that a forked child, which may have been born in a handler on this very thread, leaks.
struct Seat {
    forks: u32,
    inner: Option<karafka::Seat>,
    waste: Arc<Waste>,
}

impl Seat {
    fn new(seat: karafka::Seat, waste: Arc<Waste>) -> Self {
        waste.enter();
        Self { forks: karafka::fork_epoch(), inner: Some(seat), waste }
    }

    fn is_foreign(&self) -> bool {
        self.forks != karafka::fork_epoch()
    }

    fn next_job<T>(&mut self, wait: impl FnOnce(&mut karafka::Seat) -> T) -> Option<T> {
        if self.is_foreign() { None } else { self.inner.as_mut().map(wait) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_foreign() {
            std::mem::forget(self.inner.take());
        } else {
            self.waste.leave();
        }
    }
}

/// Calls user code. Returns the job when it succeeded and has to be reported. In a frame of its own, which has the only reference
/// to the messages.
#[inline(never)]
fn run(
    ruby: &Ruby,
    app: &Handle<App>,
    job: Job,
    messages: Messages,
    host: Value,
    names: &Names,
) -> Result<Option<Job>, Error> {
    let messages = ruby.obj_wrap(messages);
    let method = match job.kind() {
        JobKind::Handle => names.handle,
        JobKind::Key => names.partition,
        JobKind::Unique => names.unique_values,
        JobKind::Filter => names.filter,
        JobKind::Tick | JobKind::Eofed | JobKind::Revoked | JobKind::Shutdown => names.hook,
    };
    let result = match Hook::of(job.kind()) {
        Some(hook) => host.funcall(method, (job.topic_index(), ruby.to_symbol(hook.name()), messages)),
        None => host.funcall::<_, _, Value>(method, (job.topic_index(), messages)),
    };
    if app.is_foreign() {
        // The handler forked, and this is the child: the job is the parent's.
        std::mem::forget(job);
        return result.map(|_| None);
    }
    let error = match (result, job.kind()) {
        (Ok(keys), JobKind::Key | JobKind::Unique) => match RArray::try_convert(keys).and_then(keys_of) {
            Ok(keys) => {
                job.complete_keys(&keys);
                return Ok(None);
            }
            Err(error) => error,
        },
        (Ok(answers), JobKind::Filter) => {
            match RArray::try_convert(answers).and_then(|given| answers_of(ruby, given)) {
                Ok((answers, failure)) => {
                    job.complete_filter(answers, failure);
                    return Ok(None);
                }
                Err(error) => error,
            }
        }
        (Ok(_), _) => return Ok(Some(job)),
        (Err(error), _) => error,
    };
    let exception = match error.error_type() {
        ErrorType::Exception(exception) => Some(*exception),
        _ => None,
    };
    match caught(ruby, error) {
        Caught::Failure(mut failure) => {
            if let Some(exception) = exception.filter(|_| job.kind() == JobKind::Handle) {
                failure.verdict = judge(ruby, &job, &failure, (host, names.judge), exception, messages)?;
            }
            job.fail(failure);
            Ok(None)
        }
        Caught::Unwinding(failure, error) => {
            job.fail(failure);
            Err(error)
        }
        Caught::Critical(exception) => {
            // First the app is told to stop: the job must not be handed out again.
            let told = host.funcall::<_, _, Value>(names.critical, (exception,));
            if Hook::of(job.kind()).is_some() {
                // It would come again, and nothing of it waits to be handled.
                job.done();
            } else {
                job.put_back();
            }
            told.map(|_| None)
        }
    }
}

/// What the Ruby side says is to happen after an exception. Should it raise all the same, the options decide; where the
/// thread is being killed, the job fails as it is dropped.
fn judge(
    ruby: &Ruby,
    job: &Job,
    failure: &Failure,
    (host, judge): (Value, Id),
    exception: Exception,
    messages: Obj<Messages>,
) -> Result<Verdict, Error> {
    let earlier = ruby.ary_new();
    let asked = job.asks_strategy(failure).then_some(messages);
    if asked.is_some() {
        for before in job.earlier_failures() {
            earlier.push((before.class.as_str(), before.message.as_str()))?;
        }
    }
    let answer = match host.funcall::<_, _, Value>(judge, (job.topic_index(), exception, asked, earlier)) {
        Ok(answer) => answer,
        Err(error) if matches!(error.error_type(), ErrorType::Jump(_)) => return Err(error),
        Err(_) => return Ok(Verdict::Unsaid),
    };
    if let Some(topic) = RString::from_value(answer) {
        return Ok(Verdict::DeadLetter { topic: Some(Arc::from(topic.to_string()?)) });
    }
    let Some(word) = Symbol::from_value(answer) else { return Ok(Verdict::Unsaid) };
    Ok(match word.name()?.as_ref() {
        "retry" => Verdict::Retry,
        "dispatch" => Verdict::DeadLetter { topic: None },
        "discard" => Verdict::Discard,
        _ => Verdict::Unsaid,
    })
}

/// What the filter said of each message, nil where it raised, and what it raised first.
fn answers_of(ruby: &Ruby, given: RArray) -> Result<(Vec<FilterAnswer>, Option<Failure>), Error> {
    let answer = |value: Option<bool>| match value {
        Some(true) => FilterAnswer::Keep,
        Some(false) => FilterAnswer::Skip,
        None => FilterAnswer::Failed,
    };
    let answers = given.entry::<RArray>(0)?.into_iter().map(|value| Option::<bool>::try_convert(value).map(answer));
    let answers = answers.collect::<Result<Vec<_>, Error>>()?;
    let failure = given.entry::<Option<Exception>>(1)?.map(|exception| match caught(ruby, Error::from(exception)) {
        Caught::Failure(failure) | Caught::Unwinding(failure, _) => failure,
        Caught::Critical(_) => Failure::new("Critical", "the filter asked the program to end"),
    });
    Ok((answers, failure))
}

fn keys_of(keys: RArray) -> Result<Vec<Vec<u8>>, Error> {
    keys.into_iter().map(|key| RString::try_convert(key).map(bytes)).collect()
}
