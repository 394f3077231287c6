//! A proxy that reads Kafka's frames: it throws answers of one kind away, or holds requests of one kind back, and cuts the
//! client's connection off each time, as a bad network would.
//!
//! Called by tests from any thread. One thread accepts, and two carry each connection's frames; all end with the censor.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::secured::Lane;
use crate::wait;

/// Kafka's number of the request that ends a transaction.
pub const END_TRANSACTION: i16 = 26;
/// Kafka's number of the request by which a producer registers.
pub const REGISTER_PRODUCER: i16 = 22;
/// Kafka's number of the request that sends records.
pub const PRODUCE: i16 = 0;
/// Kafka's number of the request that adds partitions to a transaction.
pub const ADD_PARTITIONS: i16 = 24;
/// Kafka's number of the request that adds a group to a transaction.
pub const ADD_OFFSETS: i16 = 25;
/// Kafka's number of the request that commits a group's offsets in a transaction.
pub const COMMIT_OFFSETS: i16 = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The request arrives, its answer does not.
    LoseAnswer,
    /// The request waits on its way.
    HoldRequest,
}

#[derive(Debug, Default)]
struct State {
    rule: Option<(i16, Rule)>,
    /// How often the rule still holds.
    left: usize,
    applied: usize,
    /// Requests that have passed or were held, by their kind.
    seen: BTreeMap<i16, usize>,
    held: Vec<(TcpStream, Vec<u8>)>,
    answered_late: usize,
    /// By how many milliseconds times in answers are moved.
    clock: i64,
    has_ended: bool,
}

/// The proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Censor {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Censor {
    /// A proxy for one lane that lets everything pass at first.
    pub fn open(lane: Lane) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, lane.proxy)).expect("the lane's port is free");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                if shared.lock().has_ended {
                    return;
                }
                if let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, lane.broker)) {
                    carry(&shared, &client, &broker);
                }
            }
        });
        Self { port: lane.proxy, state }
    }

    /// The next `times` answers to requests of this kind get lost.
    pub fn lose_answers(&self, api: i16, times: usize) {
        self.rule(api, Rule::LoseAnswer, times);
    }

    /// The next `times` requests of this kind are held back until [`release`](Self::release).
    pub fn hold_requests(&self, api: i16, times: usize) {
        self.rule(api, Rule::HoldRequest, times);
    }

    fn rule(&self, api: i16, rule: Rule, times: usize) {
        let mut state = self.state.lock();
        (state.rule, state.left) = (Some((api, rule)), times);
    }

    /// Lets the held requests arrive, as far as their brokers still listen, and waits for nothing: how many there were.
    pub fn let_go(&self) -> usize {
        let held = std::mem::take(&mut self.state.lock().held);
        for (broker, request) in &held {
            let _ = (&*broker).write_all(request);
            let _ = broker.shutdown(Shutdown::Write);
        }
        held.len()
    }

    /// Moves every time of this minute in the broker's answers: its clock seems to be ahead by so much.
    pub fn shift_clock(&self, by: Duration) {
        self.state.lock().clock = by.as_millis() as i64;
    }

    /// How often any rule was applied.
    pub fn applied(&self) -> usize {
        self.state.lock().applied
    }

    /// How often the rule was not applied yet.
    pub fn left(&self) -> usize {
        self.state.lock().left
    }

    /// How many requests of a kind have come.
    pub fn seen(&self, api: i16) -> usize {
        self.state.lock().seen.get(&api).copied().unwrap_or(0)
    }

    /// Lets the held requests arrive, and returns once the broker has answered them: how many there were.
    pub fn release(&self) -> usize {
        let held = std::mem::take(&mut self.state.lock().held);
        for (broker, request) in &held {
            (&*broker).write_all(request).expect("the broker takes what was held");
        }
        wait::until(wait::LONG, "the broker answers what was held", || self.state.lock().answered_late >= held.len());
        for (broker, _) in &held {
            let _ = broker.shutdown(Shutdown::Both);
        }
        held.len()
    }
}

impl Drop for Censor {
    fn drop(&mut self) {
        self.state.lock().has_ended = true;
        // Wakes the listener's thread.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl State {
    /// Whether the rule holds for this request.
    fn takes(&mut self, api: i16, wanted: Rule) -> bool {
        let applies = self.left > 0 && self.rule == Some((api, wanted));
        self.left -= usize::from(applies);
        self.applied += usize::from(applies);
        applies
    }
}

/// What becomes of an answer, by the correlation id of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Late,
}

fn carry(shared: &Arc<Mutex<State>>, client: &TcpStream, broker: &TcpStream) {
    let copy = |stream: &TcpStream| stream.try_clone().expect("a socket to share");
    let fates: Arc<Mutex<HashMap<i32, Fate>>> = Arc::default();
    let (mut from, mut to, marked, state) = (copy(client), copy(broker), Arc::clone(&fates), Arc::clone(shared));
    thread::spawn(move || {
        while let Some(frame) = read_frame(&mut from) {
            let (api, correlation) = (number::<2>(&frame, 4) as i16, number::<4>(&frame, 8));
            let mut state = state.lock();
            *state.seen.entry(api).or_default() += 1;
            if state.takes(api, Rule::HoldRequest) {
                marked.lock().insert(correlation, Fate::Late);
                state.held.push((to, frame));
                let _ = from.shutdown(Shutdown::Both);
                // The broker's side stays open for it.
                return;
            }
            if state.takes(api, Rule::LoseAnswer) {
                marked.lock().insert(correlation, Fate::Lost);
            }
            drop(state);
            if to.write_all(&frame).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to, shared) = (copy(broker), copy(client), Arc::clone(shared));
    thread::spawn(move || {
        while let Some(mut frame) = read_frame(&mut from) {
            shift_times(&mut frame, shared.lock().clock);
            match fates.lock().remove(&number::<4>(&frame, 4)) {
                Some(Fate::Lost) => break,
                Some(Fate::Late) => shared.lock().answered_late += 1,
                None => {
                    // A client that is gone has nothing to do with what is held.
                    let _ = to.write_all(&frame);
                }
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

/// Moves what looks like a time of this minute.
fn shift_times(frame: &mut [u8], by: i64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_millis() as i64;
    let mut at = 8;
    while let Some(Ok(bytes)) = frame.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let time = i64::from_be_bytes(bytes);
        if by != 0 && time.abs_diff(now) < 60_000 {
            frame[at..at + 8].copy_from_slice(&(time + by).to_be_bytes());
            at += 7;
        }
        at += 1;
    }
}

/// A frame with its length in front.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).ok()?;
    let length = usize::try_from(number::<4>(&frame, 0)).ok()?;
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// A signed number of two or four bytes, as far as the frame has it.
fn number<const BYTES: usize>(frame: &[u8], at: usize) -> i32 {
    let bytes = frame.get(at..at + BYTES).unwrap_or(&[0; BYTES]);
    bytes.iter().fold(0, |number, byte| (number << 8) | i32::from(*byte))
}
