//! What was fetched, sorted into batches of one partition each.
//!
//! Called by whoever reads. Moves the places on; says which partitions have come to their end, and which have lost their place.

use super::place::Place;
use crate::batch::{Batch, BatchInner, Group, Groups};
use crate::message::{MessageInner, Stored};
use crate::native::{NativeMessage, code, kind_of};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The place of each partition, by what its messages say.
#[derive(Default)]
pub(super) struct Known(HashMap<(usize, i32), usize>);

/// What came of one fetch.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) batches: Vec<Result<Batch>>,
    /// Places that have come to their end.
    pub(super) ended: Vec<usize>,
    /// Places that are not in their log any more.
    pub(super) gone: Vec<usize>,
}

/// Sorts messages in the order in which they came: neighbours of one partition share a batch.
pub(super) fn sort(messages: Vec<NativeMessage>, places: &mut [Place], known: &mut Known, held: &Arc<()>) -> Sorted {
    let mut sorted = Sorted::default();
    let mut gathered: Vec<MessageInner> = Vec::new();
    let mut current = None;
    for message in messages {
        let partition = message.partition();
        let at = *known.0.entry((message.topic_identity(), partition)).or_insert_with(|| {
            let (topic, partition) = message.place();
            let is_it = |place: &Place| *place.topic == *topic && place.partition == partition;
            places.iter().position(is_it).unwrap_or(usize::MAX)
        });
        if current != Some(at) {
            flush(&mut sorted, &mut gathered, current, places, held);
            current = Some(at);
        }
        let Some(place) = places.get_mut(at).filter(|place| !place.is_done) else { continue };
        match message.code() {
            code::NO_ERROR => {
                let offset = message.offset();
                let is_beyond = place.until == super::ReadUntil::End && offset >= place.end;
                if offset >= place.next && !is_beyond {
                    place.next = offset.saturating_add(1);
                    gathered.push(MessageInner(Stored::Native(message)));
                } else if is_beyond {
                    place.next = place.end;
                }
            }
            code::PARTITION_EOF => place.next = place.next.max(message.offset()),
            code::AUTO_OFFSET_RESET => {
                sorted.gone.push(at);
                continue;
            }
            number => {
                let text = message.error_text();
                let error = Error::new(kind_of(number), super::OPERATION, text).kafka_code(number).retriable();
                let error = error.with("topic", &place.topic).with("partition", partition);
                flush(&mut sorted, &mut gathered, current, places, held);
                sorted.batches.push(Err(error));
                continue;
            }
        }
        place.end_where_nothing_is_left();
        if place.is_done {
            sorted.ended.push(at);
        }
    }
    flush(&mut sorted, &mut gathered, current, places, held);
    sorted
}

fn flush(sorted: &mut Sorted, gathered: &mut Vec<MessageInner>, at: Option<usize>, places: &[Place], held: &Arc<()>) {
    let Some(place) = at.and_then(|at| places.get(at)) else { return };
    if gathered.is_empty() {
        return;
    }
    let messages = std::mem::take(gathered);
    let groups = Groups::One([Group { virtual_partition: 0, start: 0, len: messages.len() }]);
    sorted.batches.push(Ok(Batch(Arc::new(BatchInner {
        held: Arc::clone(held),
        topic: Arc::clone(&place.topic),
        partition: place.partition,
        messages,
        groups,
        attempt: 1,
        attempts: Vec::new(),
        opened: Vec::new(),
        made: Instant::now(),
        end: place.end.max(place.next),
    }))));
}
