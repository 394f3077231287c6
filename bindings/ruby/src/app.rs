//! An app of the core, as `lib/libkarafka/app.rb` drives it.
//!
//! Used with the GVL; what waits does so without it.

use crate::config::settings;
use crate::error::{Raise, exception};
use crate::event::{self, Subscription};
use crate::handle::Handle;
use crate::scheduler::Waiting;
use crate::wait::{Slot, deadline, interruptible, no_thread, seconds};
use crate::waste::Waste;
use crate::worker;
use karafka::{AppConfig, Hook, SeatKind, Signal, TopicConfig, Work};
use magnus::typed_data::TypedData;
use magnus::{Error, Module, Object, RHash, RModule, Ruby, Symbol, Value, function, method};
use std::sync::{Arc, OnceLock};

type Ended = Result<bool, Arc<karafka::Error>>;

#[magnus::wrap(class = "LibKarafka::Native::App", free_immediately, size)]
pub struct App {
    inner: Handle<karafka::App>,
    /// How the app ended, for every thread that waits for it. Filled without Ruby.
    ended: OnceLock<Arc<Slot<Ended>>>,
    waste: Arc<Waste>,
}

impl App {
    fn new(ruby: &Ruby, options: RHash) -> Result<Self, Error> {
        let settings = settings(ruby, options)?;
        let app = AppConfig::from_settings(&settings).and_then(karafka::App::new).or_raise(ruby)?;
        Ok(Self { inner: Handle::new(app), ended: OnceLock::new(), waste: Arc::default() })
    }

    pub(crate) fn get(&self, ruby: &Ruby, operation: &'static str) -> Result<&karafka::App, Error> {
        self.inner.get(operation).or_raise(ruby)
    }

    /// Returns the topic's number, and whether its virtual partitions are few and lasting, so that consumers may stay.
    fn add_topic(
        ruby: &Ruby,
        this: &Self,
        name: String,
        options: RHash,
        hooks: Vec<String>,
    ) -> Result<(usize, bool), Error> {
        let app = this.get(ruby, "add a topic")?;
        let settings = settings(ruby, options)?;
        let config =
            TopicConfig::from_settings(&settings).map_err(|error| error.with("topic", &name)).or_raise(ruby)?;
        let stays = config.keeps_consumers();
        let number = app.add_topic(&name, config, Work::Host, SeatKind::Thread).or_raise(ruby)?;
        let hooks: Vec<Hook> = hooks.into_iter().filter_map(|name| Hook::from_name(&name)).collect();
        app.set_hooks(number, &hooks).or_raise(ruby)?;
        Ok((number, stays))
    }

    fn concurrency(ruby: &Ruby, this: &Self) -> Result<u32, Error> {
        Ok(this.get(ruby, "read the configuration")?.config().concurrency)
    }

    fn phase(ruby: &Ruby, this: &Self) -> Result<Symbol, Error> {
        Ok(ruby.to_symbol(this.get(ruby, "read the phase")?.phase().name()))
    }

    fn start(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        this.get(ruby, "start")?.start_lent().or_raise(ruby)
    }

    fn work(ruby: &Ruby, this: &Self, host: Value) -> Result<(), Error> {
        worker::work(ruby, &this.inner, &this.waste, host)
    }

    fn resize(ruby: &Ruby, this: &Self, concurrency: u32) -> Result<usize, Error> {
        this.get(ruby, "resize")?.resize(concurrency).or_raise(ruby)
    }

    /// Does what a signal of this name asks for.
    fn notice_signal(ruby: &Ruby, this: &Self, name: String) -> Result<(), Error> {
        let app = this.get(ruby, "obey a signal")?.clone();
        match Signal::from_name(&name) {
            Some(signal) => interruptible(ruby, move || app.notice_signal(signal)),
            None => Ok(()),
        }
    }

    fn quiet(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        this.get(ruby, "quiet")?.quiet().or_raise(ruby)
    }

    fn resume(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        this.get(ruby, "resume")?.resume().or_raise(ruby)
    }

    /// Asks the app to stop, and returns at once.
    fn stop(ruby: &Ruby, this: &Self, timeout: Option<f64>) -> Result<(), Error> {
        let app = this.get(ruby, "stop")?;
        match timeout {
            Some(timeout) => app.stop_within(seconds(timeout).or_raise(ruby)?),
            None => app.stop(),
        }
        Ok(())
    }

    /// Waits until the app has stopped; false when it has not in time.
    fn join(ruby: &Ruby, this: &Self, timeout: Option<f64>) -> Result<bool, Error> {
        let app = this.get(ruby, "join")?;
        // What is kept below is the end of an app that was started.
        app.check_started().or_raise(ruby)?;
        let deadline = deadline(timeout).or_raise(ruby)?;
        let ended = if let Some(ended) = this.ended.get() {
            ended
        } else {
            let (slot, app) = (Slot::new(), app.clone());
            let own = Arc::clone(&slot);
            let run = move || own.fill(app.join(None).map_err(Arc::new));
            let spawned = std::thread::Builder::new().name("karafka-wait".to_owned()).spawn(run);
            spawned.map_err(no_thread).or_raise(ruby)?;
            this.ended.get_or_init(|| slot)
        };
        match ended.await_copy(ruby, deadline)? {
            Some(Ok(ended)) => Ok(ended),
            Some(Err(error)) => Err(exception(ruby, &error)),
            None => Ok(false),
        }
    }

    /// Subscribes to events of these names; to all but those of single calls without names.
    fn lend_scheduler(ruby: &Ruby, this: &Self) -> Result<Waiting, Error> {
        Ok(Waiting::new(this.get(ruby, "set a scheduler")?.lend_scheduler().or_raise(ruby)?))
    }

    fn events(ruby: &Ruby, this: &Self, names: Option<Vec<String>>) -> Result<Subscription, Error> {
        let app = this.get(ruby, "subscribe to events")?;
        let events = names.map_or_else(|| Ok(app.events()), |names| app.events_of(&names));
        Ok(Subscription::new(events.or_raise(ruby)?))
    }

    /// How the app does now, as the fields of an event.
    fn statistics(ruby: &Ruby, this: &Self, timeout: f64) -> Result<RHash, Error> {
        let (app, timeout) = (this.get(ruby, "read statistics")?.clone(), seconds(timeout).or_raise(ruby)?);
        let statistics = interruptible(ruby, move || app.statistics(timeout))?.or_raise(ruby)?;
        event::fields(ruby, &karafka::Event::Statistics(Arc::new(statistics)))
    }
}

pub fn define(ruby: &Ruby, native: RModule) -> Result<(), Error> {
    let class = native.define_class("App", ruby.class_object())?;
    App::class(ruby);
    class.define_singleton_method("new", function!(App::new, 1))?;
    class.define_method("add_topic", method!(App::add_topic, 3))?;
    class.define_method("lend_scheduler", method!(App::lend_scheduler, 0))?;
    class.define_method("concurrency", method!(App::concurrency, 0))?;
    class.define_method("phase", method!(App::phase, 0))?;
    class.define_method("start", method!(App::start, 0))?;
    class.define_method("work", method!(App::work, 1))?;
    class.define_method("resize", method!(App::resize, 1))?;
    class.define_method("notice_signal", method!(App::notice_signal, 1))?;
    class.define_method("quiet", method!(App::quiet, 0))?;
    class.define_method("resume", method!(App::resume, 0))?;
    class.define_method("stop", method!(App::stop, 1))?;
    class.define_method("join", method!(App::join, 1))?;
    crate::scheduled::define_for_app(class)?;
    crate::recurring::define_for_app(class)?;
    class.define_method("events", method!(App::events, 1))?;
    class.define_method("statistics", method!(App::statistics, 1))
}
