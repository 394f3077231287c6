//! Which Kafka a broker is, by the requests that it knows. Asked of a plain listener only: librdkafka keeps the answer for itself.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Version 0 of the question, without a client's name.
const QUESTION: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
/// More than any broker answers.
const MOST: u32 = 1 << 16;

/// Requests by their numbers, the version of them that is the first sign of a release, and the release, newest first.
const SIGNS: [(i16, i16, (u8, u8)); 11] = [
    (68, 1, (4, 0)),
    (1, 17, (3, 9)),
    (68, 0, (3, 7)),
    (1, 15, (3, 5)),
    (1, 13, (3, 1)),
    (65, 0, (3, 0)),
    (60, 0, (2, 8)),
    (50, 0, (2, 7)),
    (28, 3, (2, 5)),
    (47, 0, (2, 4)),
    (0, 3, (0, 11)),
];

/// The release whose requests a broker knows, at least; `None` where it does not say.
pub(super) fn ask(address: &str, timeout: Duration) -> Option<(u8, u8)> {
    let place = address.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&place, timeout).ok()?;
    stream.set_read_timeout(Some(timeout)).ok()?;
    stream.write_all(&QUESTION).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = Some(u32::from_be_bytes(length)).filter(|length| *length <= MOST)?;
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).ok()?;
    release(&answer)
}

/// What an answer tells: behind number of the question, code and count, three numbers for each request.
fn release(answer: &[u8]) -> Option<(u8, u8)> {
    let known: Vec<(i16, i16)> = answer
        .get(10..)?
        .chunks_exact(6)
        .filter_map(|entry| match entry {
            [high, low, _, _, most_high, most_low] => {
                Some((i16::from_be_bytes([*high, *low]), i16::from_be_bytes([*most_high, *most_low])))
            }
            _ => None,
        })
        .collect();
    let shows =
        |(api, version, _): &&(i16, i16, (u8, u8))| known.iter().any(|(one, most)| one == api && most >= version);
    SIGNS.iter().find(shows).map(|(_, _, release)| *release)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(known: &[(i16, i16)]) -> Vec<u8> {
        let entry = |(api, most): &(i16, i16)| [api.to_be_bytes(), [0, 0], most.to_be_bytes()].concat();
        [vec![0; 10], known.iter().flat_map(entry).collect()].concat()
    }

    #[test]
    fn a_release_is_told_by_its_newest_request() {
        assert_eq!(release(&answer(&[(0, 13), (1, 18), (68, 1)])), Some((4, 0)));
        assert_eq!(release(&answer(&[(0, 10), (1, 16), (68, 0)])), Some((3, 7)));
        assert_eq!(release(&answer(&[(0, 7), (28, 2)])), Some((0, 11)));
        assert_eq!((release(&answer(&[])), release(b"short")), (None, None));
    }
}
