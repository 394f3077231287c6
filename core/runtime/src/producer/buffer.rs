//! Records that wait for a flush.
//!
//! Owned by a producer; filled and flushed by any thread. Who flushes takes all of it out, and puts back, in front, what could
//! not be sent.

use super::Producer;
use super::deliveries::Deliveries;
use super::delivery::{DeliveryReport, refuse_inside_callback};
use super::record::{OwnedRecord, Record};
use crate::Result;
use crate::event::Event;
use crate::lock::Mutex;
use crate::output;
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Buffer(Mutex<VecDeque<OwnedRecord>>);

impl Buffer {
    pub(super) fn add(&self, records: impl IntoIterator<Item = OwnedRecord>) {
        self.0.lock().extend(records);
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Throws the records away and returns how many.
    pub(super) fn clear(&self) -> usize {
        std::mem::take(&mut *self.0.lock()).len()
    }

    /// Sends one after another, until one cannot be sent: it and those behind it stay, in front of what came meanwhile.
    pub(super) fn flush<T>(&self, mut pass: impl FnMut(&OwnedRecord) -> Result<T>) -> Result<Vec<T>> {
        let mut records = std::mem::take(&mut *self.0.lock());
        let mut sent = Vec::with_capacity(records.len());
        while let Some(record) = records.pop_front() {
            // It was counted when it came into the buffer.
            match output::uncounted(|| pass(&record)) {
                Ok(delivery) => sent.push(delivery),
                Err(error) => {
                    records.push_front(record);
                    let mut buffer = self.0.lock();
                    records.append(&mut buffer);
                    *buffer = records;
                    return Err(error.with("sent", sent.len()));
                }
            }
        }
        Ok(sent)
    }
}

impl Producer {
    /// Keeps a record until [`Self::flush_buffer_async`], [`Self::flush_buffer_sync`] or [`Self::close`].
    ///
    /// # Errors
    /// `Config` for a record that can never be sent, `Stopped` after closing, `Forked` in a child process.
    pub fn buffer(&self, record: &Record<'_>) -> Result<()> {
        self.buffer_many(std::slice::from_ref(record))
    }

    /// Keeps many records, in order, or none of them.
    ///
    /// # Errors
    /// As [`Self::buffer`], for the first record that is refused.
    pub fn buffer_many(&self, records: &[Record<'_>]) -> Result<()> {
        // Before they are copied.
        let most = self.0.outbox.config.max_payload_bytes;
        records.iter().try_for_each(|record| record.check_all(most))?;
        self.buffer_owned(records.iter().map(Record::to_owned_record).collect())
    }

    /// [`Self::buffer_many`] for records with memory of their own.
    ///
    /// # Errors
    /// As [`Self::buffer_many`].
    pub fn buffer_owned(&self, records: Vec<OwnedRecord>) -> Result<()> {
        let outbox = &self.0.outbox;
        outbox.owns("buffer a record")?;
        outbox.is_open("buffer a record")?;
        let most = outbox.config.max_payload_bytes;
        records.iter().try_for_each(|record| record.lend(|record| record.check_all(most)))?;
        let topics = records.iter().map(|record| record.topic.as_str());
        output::counted(topics, || outbox.is_recording(), || Ok(()))?;
        self.0.buffer.add(records);
        Ok(())
    }

    /// How many records are in the buffer.
    pub fn buffered(&self) -> usize {
        if self.0.outbox.is_own() { self.0.buffer.len() } else { 0 }
    }

    /// Sends what is in the buffer, in order, and returns the handles.
    ///
    /// # Errors
    /// As [`Self::produce_async`], for the first record that was not sent: it and those behind it stay in the buffer. `sent`
    /// in the context counts those before it.
    pub fn flush_buffer_async(&self) -> Result<Deliveries> {
        let outbox = &self.0.outbox;
        outbox.owns("flush a buffer")?;
        let sent = self.0.buffer.flush(|record| record.lend(|record| self.produce_async(record)))?;
        if !sent.is_empty() {
            outbox.publisher.publish(&Event::BufferFlushed { messages: sent.len() as u64 });
        }
        Ok(sent.into_iter().collect())
    }

    /// Sends what is in the buffer, in order, and waits until all of it was acknowledged.
    ///
    /// # Errors
    /// As [`Self::flush_buffer_async`] and [`Delivery::wait`]: what was sent and then given up is in the buffer no more.
    pub fn flush_buffer_sync(&self) -> Result<Vec<DeliveryReport>> {
        refuse_inside_callback("flush a buffer")?;
        self.wait_all(&self.flush_buffer_async()?)
    }

    /// Throws away what is in the buffer, and returns how many records that was.
    ///
    /// # Errors
    /// `Forked` in a child process.
    pub fn clear_buffer(&self) -> Result<usize> {
        self.0.outbox.owns("clear a buffer")?;
        Ok(self.0.buffer.clear())
    }
}
