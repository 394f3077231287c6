//! What follows a failed call about a transaction: decided here, done by the transaction's owner.
//!
//! Pure functions.

use crate::native::Trouble;

/// The call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Registering with the coordinator, or adding a group's offsets: nothing is ended by it.
    Step,
    /// The commit.
    Commit,
    /// The abort.
    Abort,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The same call again, a little later.
    Again,
    /// Abort the transaction; the client goes on.
    Abort,
    /// Give the client up: its transaction is aborted when the next one registers, unless an end was obeyed: [`is_unknown`].
    Replace,
}

/// What follows a call that failed. `late`: its time is over.
pub(crate) fn next(call: Call, trouble: Trouble, late: bool) -> Next {
    match (call, trouble) {
        (_, Trouble::Retriable) if !late => Next::Again,
        // librdkafka goes on with a commit that was begun, and takes no other call before it is through.
        (Call::Commit, Trouble::Retriable) | (Call::Abort, _) | (_, Trouble::Fatal) => Next::Replace,
        (Call::Step, _) | (Call::Commit, Trouble::Abortable | Trouble::Refused) => Next::Abort,
    }
}

/// Whether a commit that failed may have been obeyed all the same, by how many ends were sent for it, and whether one of them
/// has no answer. An answer that is an error says little: a coordinator that loses its log's replicas or its office may have
/// written the commit down before it refused, and the next one completes it. Only one is final, `fenced`, which refuses an end
/// without looking at it, and only where no other end was sent before.
pub(crate) fn is_unknown(ends_sent: u64, unanswered: bool, fenced: bool) -> bool {
    match ends_sent {
        0 => false,
        1 => unanswered || !fenced,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_known_to_have_failed_only_where_nobody_can_have_obeyed_it() {
        assert!(!is_unknown(0, false, false), "no end was sent");
        assert!(!is_unknown(1, false, true), "another one has its name");
        assert!(is_unknown(1, true, false), "the answer got lost");
        assert!(is_unknown(1, true, true), "what was fenced was not the end");
        assert!(is_unknown(1, false, false), "the coordinator was not available, and may have written it down");
        assert!(is_unknown(2, false, true), "the first may have been obeyed before the second was fenced");
    }

    #[test]
    fn only_what_may_be_repeated_is_and_only_in_time() {
        for call in [Call::Step, Call::Commit, Call::Abort] {
            assert_eq!(next(call, Trouble::Retriable, false), Next::Again);
            assert_ne!(next(call, Trouble::Retriable, true), Next::Again);
            for trouble in [Trouble::Abortable, Trouble::Fatal, Trouble::Refused] {
                assert_eq!(next(call, trouble, false), next(call, trouble, true));
                assert_ne!(next(call, trouble, false), Next::Again);
            }
        }
    }

    #[test]
    fn a_client_that_cannot_end_its_transaction_is_replaced() {
        assert_eq!(next(Call::Commit, Trouble::Retriable, true), Next::Replace);
        assert_eq!(next(Call::Commit, Trouble::Abortable, false), Next::Abort);
        assert_eq!(next(Call::Abort, Trouble::Abortable, false), Next::Replace);
        assert_eq!(next(Call::Step, Trouble::Retriable, true), Next::Abort);
        for call in [Call::Step, Call::Commit, Call::Abort] {
            assert_eq!(next(call, Trouble::Fatal, false), Next::Replace);
        }
    }
}
