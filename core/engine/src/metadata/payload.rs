//! The three ways to write runs of done offsets relative to a commit position, and the choice between them. Called by the
//! metadata codec only. Reading bounds memory and time by fixed limits and gives `None` for anything a writer would not
//! have written.

use std::ops::Range;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::varint;
use crate::ledger::DoneOffsets;

const BIT_MAP: u8 = 0;
pub(super) const RUN_LENGTHS: u8 = 1;
const DEFLATED_BIT_MAP: u8 = 2;

/// The longest bit map: 131,072 offsets, eight times the default window of a partition.
const MAX_BIT_MAP_BYTES: usize = 16 * 1024;

/// The most runs: what alternating offsets make of twice the default window, a quarter of a megabyte in memory.
const MAX_RUNS: usize = 16 * 1024;

/// Payloads up to this size are not worth the time that deflating takes.
const SMALL_BYTES: usize = 256;

/// The middle level of DEFLATE: the higher ones take longer and gain next to nothing on bit maps.
const LEVEL: u8 = 6;

/// The smallest payload for `runs` (ascending, not adjacent, at or beyond `position`) and its encoding; `None` with too many
/// of them or a negative position.
pub(super) fn smallest(position: i64, runs: &[Range<i64>]) -> Option<(u8, Vec<u8>)> {
    if position < 0 || runs.len() > MAX_RUNS {
        return None;
    }
    let mut best = (RUN_LENGTHS, write_run_lengths(position, runs)?);
    let Some((lead, bits)) = write_bit_map(position, runs) else {
        return Some(best);
    };
    let mut offer = |encoding: u8, bytes: &[u8]| {
        if lead.len() + bytes.len() < best.1.len() {
            best = (encoding, [lead.as_slice(), bytes].concat());
        }
        best.1.len()
    };
    if offer(BIT_MAP, &bits) > SMALL_BYTES {
        offer(DEFLATED_BIT_MAP, &compress_to_vec(&bits, LEVEL));
    }
    Some(best)
}

/// The runs of a payload.
pub(super) fn read(encoding: u8, position: i64, mut payload: &[u8]) -> Option<DoneOffsets> {
    if position < 0 && !payload.is_empty() {
        return None;
    }
    match encoding {
        RUN_LENGTHS => read_run_lengths(position, payload),
        BIT_MAP | DEFLATED_BIT_MAP => {
            let lead = i64::try_from(varint::read(&mut payload)?).ok()?;
            let first = position.checked_add(lead)?;
            if encoding == BIT_MAP {
                return read_bit_map(first, payload);
            }
            read_bit_map(first, &decompress_to_vec_with_limit(payload, MAX_BIT_MAP_BYTES).ok()?)
        }
        _ => None,
    }
}

fn write_run_lengths(position: i64, runs: &[Range<i64>]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(runs.len() * 2);
    let mut end = position;
    for run in runs {
        varint::write(&mut bytes, u64::try_from(run.start.checked_sub(end)?).ok()?);
        varint::write(&mut bytes, u64::try_from(run.end.checked_sub(run.start)?).ok()?);
        end = run.end;
    }
    Some(bytes)
}

fn read_run_lengths(position: i64, mut payload: &[u8]) -> Option<DoneOffsets> {
    let mut runs = Vec::new();
    let mut end = position;
    while !payload.is_empty() {
        let undone = i64::try_from(varint::read(&mut payload)?).ok()?;
        let done = i64::try_from(varint::read(&mut payload)?).ok()?;
        if done == 0 || (undone == 0 && !runs.is_empty()) {
            return None;
        }
        let start = end.checked_add(undone)?;
        end = start.checked_add(done)?;
        runs.push(start..end);
    }
    Some(DoneOffsets::from_ascending(runs))
}

/// The bit map from the first done offset on, and the number that leads to that offset; `None` when it is too long.
fn write_bit_map(position: i64, runs: &[Range<i64>]) -> Option<(Vec<u8>, Vec<u8>)> {
    let first = runs.first()?.start;
    let span = usize::try_from(runs.last()?.end.checked_sub(first)?).ok()?;
    if span > MAX_BIT_MAP_BYTES * 8 {
        return None;
    }
    let mut bits = vec![0_u8; span.div_ceil(8)];
    for run in runs {
        let mut index = usize::try_from(run.start.checked_sub(first)?).ok()?;
        let end = usize::try_from(run.end.checked_sub(first)?).ok()?;
        while index < end {
            let count = (8 - index % 8).min(end - index);
            *bits.get_mut(index / 8)? |= (((1_u16 << count) - 1) << (index % 8)) as u8;
            index += count;
        }
    }
    let mut lead = Vec::with_capacity(varint::MAX_BYTES);
    varint::write(&mut lead, u64::try_from(first.checked_sub(position)?).ok()?);
    Some((lead, bits))
}

fn read_bit_map(first: i64, bits: &[u8]) -> Option<DoneOffsets> {
    if bits.len() > MAX_BIT_MAP_BYTES {
        return None;
    }
    let mut runs: Vec<Range<i64>> = Vec::new();
    for (index, byte) in bits.iter().enumerate() {
        let offset = first.checked_add(index as i64 * 8)?;
        let mut place = 0;
        while place < 8 && byte >> place != 0 {
            place += (byte >> place).trailing_zeros();
            let count = (byte >> place).trailing_ones();
            let start = offset.checked_add(i64::from(place))?;
            let end = start.checked_add(i64::from(count))?;
            place += count;
            if let Some(last) = runs.last_mut().filter(|last| last.end == start) {
                last.end = end;
            } else if runs.len() < MAX_RUNS {
                runs.push(start..end);
            } else {
                return None;
            }
        }
    }
    Some(DoneOffsets::from_ascending(runs))
}
