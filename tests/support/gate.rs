//! A proxy in this process: passes bytes on, cuts every connection off, or swallows what it gets.
//!
//! Called by tests from any thread. One thread accepts, and two carry each connection's bytes; all end with the gate.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use crate::wait;

/// What happens to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    Open,
    /// Connections are taken and kept, what they send is thrown away, and nobody answers.
    Swallowing,
    /// Nobody listens.
    Shut,
}

#[derive(Debug)]
struct State {
    passage: Passage,
    streams: Vec<TcpStream>,
    /// Rises when the listener's thread has to end.
    listening: u64,
}

/// The proxy. Dropping it cuts everything off.
#[derive(Debug)]
pub struct Gate {
    port: u16,
    to: u16,
    state: Arc<Mutex<State>>,
}

impl Gate {
    /// An open gate from one loopback port to another.
    pub fn open(from: u16, to: u16) -> Self {
        let state = State { passage: Passage::Shut, streams: Vec::new(), listening: 0 };
        let gate = Self { port: from, to, state: Arc::new(Mutex::new(state)) };
        gate.reopen();
        gate
    }

    /// A gate that takes connections and never answers, and its address.
    pub fn silent() -> (Self, String) {
        let port = crate::broker::free_port();
        let gate = Self::open(port, port);
        gate.swallow();
        (gate, format!("127.0.0.1:{port}"))
    }

    /// Closes all connections; new ones are refused.
    pub fn shut(&self) {
        let listened = {
            let mut state = self.state.lock();
            state.listening += 1;
            state.cut();
            std::mem::replace(&mut state.passage, Passage::Shut) != Passage::Shut
        };
        if listened {
            // Wakes the listener's thread, which then ends and lets go of the port; refused once it has.
            while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                thread::yield_now();
            }
        }
    }

    /// Keeps connections and takes new ones, but throws away what comes and answers nothing.
    pub fn swallow(&self) {
        self.listen(Passage::Swallowing);
    }

    /// Passes bytes on again. What was swallowed is gone: those connections are closed.
    pub fn reopen(&self) {
        self.listen(Passage::Open);
    }

    fn listen(&self, passage: Passage) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.passage, passage);
        if before == Passage::Swallowing {
            state.cut();
        }
        if before != Passage::Shut {
            return;
        }
        // A child that was forked a moment ago has every socket of this process until it runs its own program.
        let listener = wait::until_some(wait::LONG, "the gate's port is free", || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).ok()
        });
        let (shared, to, listening) = (Arc::clone(&self.state), self.to, state.listening);
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let mut state = shared.lock();
                if state.listening != listening {
                    return;
                }
                let onwards = match state.passage {
                    Passage::Open => TcpStream::connect((Ipv4Addr::LOCALHOST, to)).ok(),
                    _ => None,
                };
                state.carry(&shared, stream, onwards);
            }
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

impl State {
    fn cut(&mut self) {
        for stream in self.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn carry(&mut self, shared: &Arc<Mutex<Self>>, stream: TcpStream, onwards: Option<TcpStream>) {
        let copy = |stream: &TcpStream| stream.try_clone().expect("a socket to share");
        self.streams.push(copy(&stream));
        if let Some(onwards) = &onwards {
            self.streams.push(copy(onwards));
            let (back, forth) = (copy(onwards), copy(&stream));
            let shared = Arc::clone(shared);
            thread::spawn(move || pump(&shared, back, Some(forth)));
        } else if self.passage == Passage::Open {
            // Nobody is behind the gate.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || pump(&shared, stream, onwards));
    }
}

/// Carries bytes until one side ends.
fn pump(shared: &Mutex<State>, mut from: TcpStream, mut to: Option<TcpStream>) {
    let mut bytes = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if shared.lock().passage == Passage::Swallowing {
            continue;
        }
        let Some(to) = &mut to else { break };
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    if let Some(to) = to {
        let _ = to.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::free_port;
    use std::time::Duration;

    /// A server that sends every byte back.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
            }
        });
        port
    }

    fn connect(port: u16) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        Ok(stream)
    }

    fn talks(stream: &mut TcpStream) -> bool {
        let mut byte = [0];
        stream.write_all(b"a").is_ok() && stream.read_exact(&mut byte).is_ok() && byte == *b"a"
    }

    #[test]
    fn passes_swallows_and_cuts() {
        let port = free_port();
        let gate = Gate::open(port, echo());
        let mut stream = connect(port).unwrap();
        assert!(talks(&mut stream));
        gate.swallow();
        assert!(!talks(&mut stream), "nothing comes back");
        assert!(!talks(&mut connect(port).unwrap()), "nor for a new one");
        gate.reopen();
        assert!(!talks(&mut stream), "what was swallowed from is closed");
        let mut stream = connect(port).unwrap();
        assert!(talks(&mut stream));
        gate.shut();
        assert!(!talks(&mut stream));
        assert!(connect(port).is_err(), "nobody listens");
        gate.reopen();
        assert!(talks(&mut connect(port).unwrap()));
        drop(gate);
        assert!(connect(port).is_err());
    }
}
