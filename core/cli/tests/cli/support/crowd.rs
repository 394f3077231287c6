//! A broker that is made up: it has many topics, and answers nothing but questions about them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

const METADATA: i16 = 3;
const VERSIONS: i16 = 18;
const UNSUPPORTED_VERSION: i16 = 35;

/// Its address. It lives as long as the test's process.
pub fn open(topics: i32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            thread::spawn(move || serve(stream, topics, i32::from(address.port())));
        }
    });
    address.to_string()
}

fn serve(mut stream: TcpStream, topics: i32, port: i32) {
    while let Some(request) = read(&mut stream) {
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let mut answer = request[4..8].to_vec();
        match (number(0), number(2)) {
            // The error has the client ask in the oldest version.
            (VERSIONS, version) => versions(&mut answer, if version == 0 { 0 } else { UNSUPPORTED_VERSION }),
            (METADATA, _) => metadata(&mut answer, topics, port),
            _ => return,
        }
        let length = u32::try_from(answer.len()).unwrap();
        if stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request).ok()?;
    Some(request)
}

fn versions(answer: &mut Vec<u8>, code: i16) {
    answer.extend(code.to_be_bytes());
    answer.extend(2_i32.to_be_bytes());
    for (api, from, to) in [(METADATA, 0_i16, 2_i16), (VERSIONS, 0, 0)] {
        answer.extend([api.to_be_bytes(), from.to_be_bytes(), to.to_be_bytes()].concat());
    }
}

/// The second version: one broker, the cluster's name, and topics of one partition.
fn metadata(answer: &mut Vec<u8>, topics: i32, port: i32) {
    let numbers =
        |answer: &mut Vec<u8>, numbers: &[i32]| numbers.iter().for_each(|one| answer.extend(one.to_be_bytes()));
    numbers(answer, &[1, 1]);
    text(answer, "127.0.0.1");
    numbers(answer, &[port]);
    // No rack.
    answer.extend((-1_i16).to_be_bytes());
    text(answer, "crowd");
    numbers(answer, &[1, topics]);
    for topic in 0..topics {
        answer.extend(0_i16.to_be_bytes());
        // librdkafka sets memory aside by the length of the answer: too little for many short names in this version.
        text(answer, &format!("a-topic-whose-name-is-not-short-{topic:032}"));
        // Not internal.
        answer.push(0);
        numbers(answer, &[1]);
        answer.extend(0_i16.to_be_bytes());
        numbers(answer, &[0, 1, 1, 1, 1, 1]);
    }
}

fn text(answer: &mut Vec<u8>, text: &str) {
    answer.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    answer.extend(text.as_bytes());
}
