//! Toxiproxy: a proxy of its own process that delays, resets, slices and starves connections.
//!
//! Called by tests from any thread; one process serves all tests. `tests/setup/install.sh proxy` builds it where there is Go;
//! where there is none, [`shared`] says so and the test has nothing to do. Driven over its HTTP interface.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::broker::free_port;
use crate::process::Program;
use crate::secured::Lane;
use crate::wait;

/// The running Toxiproxy.
#[derive(Debug)]
pub struct Toxiproxy {
    address: String,
    _program: Program,
}

/// A proxy for one lane, at first without any toxic. Dropping it cuts its connections off.
#[derive(Debug)]
pub struct Proxy {
    name: String,
    owner: &'static Toxiproxy,
}

/// The Toxiproxy that all tests of this process share. `None` where it could not be built, which is said on standard error.
pub fn shared() -> Option<&'static Toxiproxy> {
    static SHARED: OnceLock<Option<Toxiproxy>> = OnceLock::new();
    SHARED.get_or_init(Toxiproxy::start).as_ref()
}

impl Toxiproxy {
    fn start() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/toxiproxy/server");
        if !program.exists() {
            eprintln!(
                "SKIPPED: there is no Toxiproxy; with Go on this machine, `tests/setup/install.sh proxy` builds it"
            );
            return None;
        }
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["-host", "127.0.0.1", "-port", &port.to_string()]).env("LOG_LEVEL", "error");
        let toxiproxy = Self { address: format!("127.0.0.1:{port}"), _program: Program::start(&mut command) };
        wait::until(wait::LONG, "Toxiproxy listens", || TcpStream::connect(&toxiproxy.address).is_ok());
        Some(toxiproxy)
    }

    /// A proxy for this lane.
    pub fn proxy(&'static self, lane: Lane) -> Proxy {
        let (listen, upstream) = (lane.bootstrap(), format!("127.0.0.1:{}", lane.broker));
        let name = format!("lane-{}", lane.proxy);
        let what = json!({ "name": name, "listen": listen, "upstream": upstream, "enabled": true });
        self.call("POST", "/proxies", Some(&what));
        Proxy { name, owner: self }
    }

    /// One request in HTTP/1.0, so that the answer ends with the connection.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.address).expect("Toxiproxy does not listen");
        stream.write_all(request.as_bytes()).expect("Toxiproxy takes no request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("Toxiproxy's answer is text");
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "Toxiproxy refused {method} {path} {body}:\n{answer}");
    }
}

impl Proxy {
    /// Adds a toxic to what the broker sends (`downstream`) or to what clients send (`upstream`).
    pub fn add(&self, name: &str, kind: &str, stream: &str, attributes: &Value) {
        let toxic = json!({ "name": name, "type": kind, "stream": stream, "attributes": attributes });
        self.owner.call("POST", &format!("/proxies/{}/toxics", self.name), Some(&toxic));
    }

    /// Takes a toxic away.
    pub fn remove(&self, name: &str) {
        self.owner.call("DELETE", &format!("/proxies/{}/toxics/{name}", self.name), None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.owner.call("DELETE", &format!("/proxies/{}", self.name), None);
        }
    }
}
