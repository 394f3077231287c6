//! A client in an open transaction, and how that ends.
//!
//! Used by whoever has the transaction, on a thread that may wait: for brokers, and, where the result of a commit with offsets is
//! unknown, until the group's coordinator knows it.

use super::client::{Client, End};
use super::producer::Inner;
use super::turn::Turn;
use crate::native::{PartitionOffset, code};
use crate::{Error, ErrorKind, Result};
use karafka_engine::TransactionEnd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks for what became of a transaction.
const PAUSE: Duration = Duration::from_millis(200);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

/// The open transaction of a producer; its owner has to end it.
pub(super) struct Open {
    pub(super) owner: Arc<Inner>,
    pub(super) client: Client,
    pub(super) begun: Instant,
}

impl Open {
    /// Waits for what was produced, and commits.
    pub(super) fn commit(self) -> Result<()> {
        let Self { owner, client, begun } = self;
        let (end, client) = client.commit();
        ended(&owner, begun, end, client)
    }

    pub(super) fn abort(self) {
        self.owner.release(self.client.abort(), None);
    }

    /// Gives it up because of this.
    pub(super) fn abort_with<T>(self, error: Error) -> Result<T> {
        self.abort();
        Err(error)
    }

    /// Commits with the offsets whose turn it is; says there how it ended.
    pub(super) fn commit_with(self, turn: &mut Turn) -> Result<()> {
        if let Err(error) = self.add_offsets(turn) {
            if error.kafka() == Some(code::OFFSET_METADATA_TOO_LARGE) {
                turn.end = TransactionEnd::MetadataTooLarge;
            }
            return self.abort_with(error);
        }
        let Self { owner, client, begun } = self;
        match client.commit() {
            (End::Committed, client) => {
                turn.end = TransactionEnd::Committed;
                owner.release(client, None);
                Ok(())
            }
            (End::Unknown(error), _) => {
                let Some((is_committed, client)) = find_out(&owner, turn) else {
                    owner.release(None, None);
                    return Err(turn.lost());
                };
                owner.release(Some(client), None);
                if !is_committed {
                    return Err(error.retriable());
                }
                turn.end = TransactionEnd::Committed;
                Ok(())
            }
            (end, client) => ended(&owner, begun, end, client),
        }
    }

    fn add_offsets(&self, turn: &Turn) -> Result<()> {
        let deadline = Instant::now() + self.owner.patience();
        // In this order: who is a member still and owns the partitions afterwards, is a member of a generation that owns them.
        let member = turn.cluster.member();
        let Some(member) = member.filter(|_| turn.is_owned()) else { return Err(turn.lost()) };
        let offsets: Vec<PartitionOffset> = turn.parts.iter().map(|part| part.offset.clone()).collect();
        self.client.step(deadline, |native, wait| native.send_offsets(&offsets, &member, wait))
    }
}

fn ended(owner: &Inner, begun: Instant, end: End, client: Option<Client>) -> Result<()> {
    let ended = owner.ended_by(&end, begun);
    owner.release(client, ended);
    match end {
        End::Committed => Ok(()),
        End::Aborted(error) => Err(error),
        End::Unknown(error) => Err(unknown(&error)),
    }
}

/// What became of a commit whose answer got lost: a new epoch ends the transaction one way or the other, and then the group
/// says which; where it cannot tell, what may be repeated is not lost. `None` when all partitions are lost, whose next owners find
/// it out in the same way.
fn find_out(owner: &Inner, turn: &Turn) -> Option<(bool, Client)> {
    let mut client = None;
    let telling = || turn.parts.iter().filter(|part| part.is_owned()).max_by_key(|part| part.is_distinct);
    while let Some(part) = telling() {
        if client.is_none() {
            client = owner.register().ok();
        }
        let Some(registered) = &client else {
            thread::park_timeout(PAUSE);
            continue;
        };
        let (of, sent) = (&part.owner, &part.offset);
        match registered.native().stable_offset(&of.group, &of.topic, of.partition, LOOK) {
            // Of a partition that went meanwhile the next owner may have said it: it is told by another one.
            Ok(_) if !part.is_owned() => {}
            Ok(found) => {
                let text = |offset: &PartitionOffset| offset.metadata.clone().unwrap_or_default();
                let is_ours = part.is_distinct && found.offset == sent.offset && text(&found) == text(sent);
                return client.map(|client| (is_ours, client));
            }
            Err(error) => {
                tracing::warn!(%error, "a transaction's result is still unknown");
                // A client goes on asking the coordinator that it has found first.
                client.take().into_iter().for_each(Client::retire);
                thread::park_timeout(PAUSE);
            }
        }
    }
    client.into_iter().for_each(Client::retire);
    None
}

fn unknown(cause: &Error) -> Error {
    let message = format!(
        "the result is unknown: the coordinator's answer got lost ({}), so the transaction may have been committed or aborted; \
         look at its topics before doing it again",
        cause.message()
    );
    let error = Error::new(ErrorKind::Transaction, super::COMMIT, message);
    cause.kafka().into_iter().fold(error, Error::kafka_code)
}
