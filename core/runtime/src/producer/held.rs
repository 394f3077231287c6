//! Records that are held back until the block of their transaction has returned, so that what fails is never sent.
//!
//! Filled by the handler, on its threads, through a producer that sends nothing; emptied once, by whoever commits. Their
//! deliveries end when the commit has, each once; waiting for one before that is refused, as it would wait for itself.

use super::delivery::{Delivery, Outcome};
use super::outbox::{Outbox, Target};
use super::record::{OwnedRecord, Record};
use super::{Producer, ProducerHooks};
use crate::config::ProducerConfig;
use crate::lock::Mutex;
use crate::native::code;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;

/// What a producer holds back; nothing more once it was taken out.
pub(super) struct Holder(Mutex<Option<Records>>);

/// Each with what its handles wait for.
type Records = Vec<(OwnedRecord, Delivery)>;

impl Holder {
    /// Keeps a record.
    pub(super) fn keep(&self, record: &Record<'_>, delivery: Delivery) -> Result<()> {
        let mut kept = self.0.lock();
        let Some(records) = kept.as_mut() else {
            return Err(Error::new(ErrorKind::Transaction, "produce", "the transaction has ended"));
        };
        records.push((record.to_owned_record(), delivery));
        Ok(())
    }
}

/// The records of one transaction, taken out of their producer.
pub(crate) struct Kept {
    outbox: Arc<Outbox>,
    records: Records,
    /// Their deliveries, as far as they were sent, the latest time.
    sent: Mutex<Vec<Delivery>>,
}

impl Producer {
    /// A producer that holds its records back, with all checks of one that sends.
    pub(crate) fn holding(config: ProducerConfig) -> Result<Self> {
        let outbox = Arc::new(Outbox::new(config, ProducerHooks::default(), Arc::default())?);
        outbox.open(Target::Holder(Arc::new(Holder(Mutex::new(Some(Vec::new()))))));
        Ok(Self::of(outbox, true))
    }

    /// Takes out what it holds back; from here on it refuses more.
    pub(crate) fn take_kept(&self) -> Kept {
        let outbox = Arc::clone(&self.0.outbox);
        let records = outbox.holder().and_then(|holder| holder.0.lock().take()).unwrap_or_default();
        Kept { outbox, records, sent: Mutex::default() }
    }
}

impl Kept {
    /// Sends them by another producer, in order.
    pub(crate) fn send(&self, producer: &Producer) -> Result<()> {
        self.sent.lock().clear();
        for (record, _) in &self.records {
            let delivery = record.lend(|record| producer.produce_async(record))?;
            self.sent.lock().push(delivery);
        }
        Ok(())
    }

    /// Tells their ends, once; of what was not committed, that it was given up.
    pub(crate) fn tell(&self, committed: bool) {
        let sent = self.sent.lock();
        for (place, (_, delivery)) in self.records.iter().enumerate() {
            let reported = sent.get(place).filter(|_| committed).and_then(Delivery::reported);
            let outcome: Outcome = reported.unwrap_or(Err(code::PURGED_IN_QUEUE));
            self.outbox.complete(delivery, outcome);
        }
    }
}
