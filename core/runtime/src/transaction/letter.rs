//! The copy of a message that was given up, and the passing of its offset, in one transaction.
//!
//! Called on the thread that sends such copies, which waits for brokers.

use super::producer::TransactionalProducer;
use super::turn::{self, LOST, Unanswered, Word};
use crate::context::Assignment;
use crate::producer::{Delivery, DeliveryReport, Producer};
use crate::report::Report;
use crate::shared::Shared;
use crate::{Error, ErrorKind, Result};
use karafka_engine::LetterId;
use std::sync::Arc;

/// Sends a copy, and commits it with the offset of its original. After an error nothing of it is there, or ever will be, unless
/// the partition was lost while the result was unknown: then its next owner knows.
pub(crate) fn dispatch(
    producer: &TransactionalProducer,
    shared: &Arc<Shared>,
    owner: &Assignment,
    id: LetterId,
    send: impl FnOnce(&Producer) -> Result<Delivery>,
) -> Result<DeliveryReport> {
    let transaction = producer.begin()?;
    let delivery = send(&transaction.producer()?)?;
    let Some(open) = transaction.take_open() else { return Err(super::over("dispatch a dead letter")) };
    open.client.flush();
    let patience = open.owner.patience();
    let ask = |ask| Report::LetterTransaction { assignment: owner.id, id, ask };
    let mut turn = match turn::take(shared, patience, None, ask) {
        Ok(Word::Turn(turn)) => turn,
        Err(Unanswered::Late) => return open.abort_with(turn::too_late(patience)),
        Ok(Word::Ended(_)) | Err(Unanswered::Refused) => {
            return open.abort_with(Error::new(ErrorKind::NotOwned, "dispatch a dead letter", LOST));
        }
    };
    open.commit_with(&mut turn)?;
    let gone = || Error::new(ErrorKind::Internal, "dispatch a dead letter", "a copy was committed and not reported");
    delivery.outcome().ok_or_else(gone)?
}
