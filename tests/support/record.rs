//! What handlers saw: when they began each message, when they finished it, and when their process ended.
//!
//! Filled by handlers from any thread, in this process or in a child (as lines of its output, written before the handler
//! returns, so that what a killed process did is known). Read by the judges of [`crate::oracle`].

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::topics;

/// A message's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

impl From<&topics::Message> for Place {
    fn from(message: &topics::Message) -> Self {
        Self { topic: message.topic.clone(), partition: message.partition, offset: message.offset }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A handler began to work on a message with this key.
    Began(Place, Option<Vec<u8>>),
    /// A handler is done with a message.
    Finished(Place),
    /// A handler failed on a message.
    Failed(Place),
    /// The process is gone, and with it whatever it had begun.
    Ended,
}

/// Something that happened in a process at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since 1970, comparable between the processes of a machine and with the broker's times.
    pub at: u64,
    /// The process id.
    pub process: u32,
    /// What happened.
    pub what: What,
}

impl Event {
    /// Something that happens now in this process.
    pub fn now(what: What) -> Self {
        Self { at: now(), process: std::process::id(), what }
    }

    /// Writes the event as a line to the output, for the parent process. Returns once the line is out.
    pub fn print(&self) {
        let line = format!("{self}\n");
        let mut output = std::io::stdout().lock();
        output.write_all(line.as_bytes()).and_then(|()| output.flush()).expect("nobody reads this program's output");
    }
}

/// This moment, in nanoseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// As a line: `event`, time, process, what, then topic, partition, offset and the key in hexadecimal (`-`: none),
/// separated by tabs.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event\t{}\t{}\t", self.at, self.process)?;
        let mut place =
            |what: &str, place: &Place| write!(f, "{what}\t{}\t{}\t{}", place.topic, place.partition, place.offset);
        match &self.what {
            What::Began(at, key) => {
                place("began", at)?;
                let Some(key) = key else { return f.write_str("\t-") };
                f.write_str("\t")?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            What::Finished(at) => place("finished", at),
            What::Failed(at) => place("failed", at),
            What::Ended => f.write_str("ended"),
        }
    }
}

/// The line is not that of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnEvent;

impl FromStr for Event {
    type Err = NotAnEvent;

    fn from_str(line: &str) -> Result<Self, NotAnEvent> {
        fn number<T: FromStr>(text: &str) -> Result<T, NotAnEvent> {
            text.parse().map_err(|_| NotAnEvent)
        }
        let fields: Vec<_> = line.split('\t').collect();
        let ["event", at, process, what, place @ ..] = fields.as_slice() else { return Err(NotAnEvent) };
        let (place, key) = match place {
            [topic, partition, offset, key @ ..] => {
                let (partition, offset) = (number(partition)?, number(offset)?);
                (Some(Place { topic: (*topic).to_owned(), partition, offset }), key.first().copied())
            }
            _ => (None, None),
        };
        let what = match (*what, place) {
            ("began", Some(place)) => What::Began(place, from_hexadecimal(key.ok_or(NotAnEvent)?)?),
            ("finished", Some(place)) => What::Finished(place),
            ("failed", Some(place)) => What::Failed(place),
            ("ended", None) => What::Ended,
            _ => return Err(NotAnEvent),
        };
        Ok(Self { at: number(at)?, process: number(process)?, what })
    }
}

fn from_hexadecimal(text: &str) -> Result<Option<Vec<u8>>, NotAnEvent> {
    if text == "-" {
        return Ok(None);
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8).ok_or(NotAnEvent);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Ok(digit(*high)? << 4 | digit(*low)?),
        _ => Err(NotAnEvent),
    };
    text.as_bytes().chunks(2).map(byte).collect::<Result<_, _>>().map(Some)
}

/// One handler's work on one message, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The process that did it.
    pub process: u32,
    /// The message.
    pub place: Place,
    /// The message's key.
    pub key: Option<Vec<u8>>,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// When it ended. `None`: it was still running when the record was read.
    pub ended: Option<u64>,
    /// Whether the message was done then.
    pub is_finished: bool,
}

/// Gathers events, from handlers of this process and from the lines of others.
#[derive(Debug, Default)]
pub struct Record {
    events: Mutex<Vec<Event>>,
}

impl Record {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handler of this process begins to work on a message.
    pub fn began(&self, place: Place, key: Option<&[u8]>) {
        self.push(Event::now(What::Began(place, key.map(<[u8]>::to_vec))));
    }

    /// A handler of this process is done with a message.
    pub fn finished(&self, place: Place) {
        self.push(Event::now(What::Finished(place)));
    }

    /// A handler of this process failed on a message.
    pub fn failed(&self, place: Place) {
        self.push(Event::now(What::Failed(place)));
    }

    /// Another process is gone.
    pub fn ended(&self, process: u32) {
        self.push(Event { at: now(), process, what: What::Ended });
    }

    /// Adds an event.
    pub fn push(&self, event: Event) {
        self.events.lock().push(event);
    }

    /// Adds the events among the lines of a program; other lines are passed over.
    pub fn read<'a>(&self, lines: impl IntoIterator<Item = &'a String>) {
        self.events.lock().extend(lines.into_iter().filter_map(|line| line.parse().ok()));
    }

    /// How many messages were finished, each counted as often as it was.
    pub fn finished_count(&self) -> usize {
        self.events.lock().iter().filter(|event| matches!(event.what, What::Finished(_))).count()
    }

    /// When each process ended, of those that did, in nanoseconds since 1970.
    pub fn ends(&self) -> BTreeMap<u32, u64> {
        let events = self.events.lock();
        let ends = events.iter().filter(|event| event.what == What::Ended);
        ends.map(|event| (event.process, event.at)).collect()
    }

    /// The work seen so far, by its beginning.
    pub fn spans(&self) -> Vec<Span> {
        let mut events = self.events.lock().clone();
        // Of one process the lines are in order already; the sort is stable.
        events.sort_by_key(|event| event.at);
        let mut spans: Vec<Span> = Vec::new();
        let mut open: HashMap<(u32, Place), Vec<usize>> = HashMap::new();
        for Event { at, process, what } in events {
            match what {
                What::Began(place, key) => {
                    open.entry((process, place.clone())).or_default().push(spans.len());
                    spans.push(Span { process, place, key, began: at, ended: None, is_finished: false });
                }
                What::Finished(place) => close(&mut spans, &mut open, &(process, place), at, true),
                What::Failed(place) => close(&mut spans, &mut open, &(process, place), at, false),
                What::Ended => {
                    for (_, numbers) in open.extract_if(|(owner, _), _| *owner == process) {
                        for number in numbers {
                            spans[number].ended = Some(at);
                        }
                    }
                }
            }
        }
        spans
    }
}

fn close(
    spans: &mut [Span],
    open: &mut HashMap<(u32, Place), Vec<usize>>,
    which: &(u32, Place),
    at: u64,
    is_finished: bool,
) {
    let number = open.get_mut(which).filter(|numbers| !numbers.is_empty()).map(|numbers| numbers.remove(0));
    let number = number.unwrap_or_else(|| panic!("process {} ended work on {} twice", which.0, which.1));
    spans[number].ended = Some(at);
    spans[number].is_finished = is_finished;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: i64) -> Place {
        Place { topic: "orders".to_owned(), partition: 1, offset }
    }

    #[test]
    fn an_event_survives_the_way_as_a_line() {
        let keys = [None, Some(Vec::new()), Some(b"\x00tab\t\xff".to_vec())];
        let mut whats: Vec<_> = keys.into_iter().map(|key| What::Began(place(7), key)).collect();
        whats.extend([What::Finished(place(7)), What::Failed(place(8)), What::Ended]);
        for what in whats {
            let event = Event { at: 5, process: 9, what };
            assert_eq!(event.to_string().parse(), Ok(event));
        }
    }

    #[test]
    fn other_lines_are_no_events() {
        for line in ["", "ready", "event", "event\t1\t2\tbegan\torders\t1\tx\t-", "event\t1\t2\tbegan\torders\t1\t7\t0"]
        {
            assert_eq!(line.parse::<Event>(), Err(NotAnEvent), "{line:?}");
        }
    }

    #[test]
    fn a_process_that_ends_ends_what_it_had_begun() {
        let record = Record::new();
        let lines = |at: u64, what| Event { at, process: 9, what }.to_string();
        let key = Some(b"k".to_vec());
        record.read(&[
            lines(1, What::Began(place(1), key.clone())),
            "noise".to_owned(),
            lines(2, What::Finished(place(1))),
            lines(3, What::Began(place(2), key)),
        ]);
        assert_eq!(record.spans()[1].ended, None);
        record.ended(9);
        let spans = record.spans();
        assert_eq!((spans[0].ended, spans[0].is_finished), (Some(2), true));
        assert_eq!((spans[1].ended.is_some(), spans[1].is_finished), (true, false));
        assert_eq!(record.finished_count(), 1);
    }
}
