//! Transactions from C.
//!
//! Owns `karafka_transactional_producer_t` and `karafka_transaction_t`. Called on any thread; calls that wait for brokers are
//! refused inside delivery callbacks, where they could wait for themselves.

use crate::batch::karafka_context_t;
use crate::boundary::{fallible, infallible};
use crate::config::{self, karafka_config_t};
use crate::context::context_of;
use crate::error::{Fault, karafka_error_t};
use crate::handle::{self, handle};
use crate::handler::{Inside, inside};
use crate::producer::{karafka_delivery_t, refuse_in_delivery};
use crate::record::{Lent, karafka_record_t};
use crate::text::Out;
use runtime::{ProducerConfig, Transaction, TransactionalProducer};
use std::thread;

/// Produces in transactions: their records become visible together, or not at all.
///
/// Owned by whoever made it, freed by `karafka_transactional_producer_free`. May be used on any thread, by several at once; one
/// transaction is open at a time.
pub struct karafka_transactional_producer_t(());

/// An open transaction.
///
/// Owned by whoever began it, freed by `karafka_transaction_free`, which aborts what was not committed. May be used on any
/// thread, by several at once.
pub struct karafka_transaction_t(());

handle!(karafka_transactional_producer_t, TransactionalProducer, TransactionalProducer);
handle!(karafka_transaction_t, Transaction, Transaction);

/// Makes a producer of transactions. It connects with its first one, and registers its `transactional_id` then: an earlier
/// producer of the same id is fenced by that, and what it left open is aborted.
///
/// @param config The producer's options; `transactional_id` is needed. Read, not kept.
/// @param producer Gets the producer, to be freed by `karafka_transactional_producer_free`.
/// Errors: `CONFIG` with every problem of the configuration; `UNSUPPORTED` for the embedded broker, which keeps no transactions;
/// `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_transactional_producer_new(
    config: *const karafka_config_t,
    producer: *mut *mut karafka_transactional_producer_t,
) -> *mut karafka_error_t {
    fallible("karafka_transactional_producer_new", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(producer, "producer")? };
        let config = ProducerConfig::from_settings(&config::settings(config)?)?;
        out.write(handle::open(TransactionalProducer::new(config)?)?);
        Ok(())
    })
}

/// Closes a producer: waits for an open transaction, at most `transaction_timeout`, and disconnects. Blocks. Closing twice is no
/// error.
///
/// Errors: `TIMEOUT` when a transaction is still open; `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_transactional_producer_close(
    producer: *mut karafka_transactional_producer_t,
) -> *mut karafka_error_t {
    fallible("karafka_transactional_producer_close", || {
        refuse_in_delivery("close a producer")?;
        Ok(handle::get(producer.cast_const())?.close()?)
    })
}

/// Frees a producer. Takes NULL. An open transaction goes on, and ends as its owner says; the connection ends after it, without
/// being waited for. In a forked child it frees nothing.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_transactional_producer_free(producer: *mut karafka_transactional_producer_t) {
    handle::free("karafka_transactional_producer_free", producer);
}

/// Begins a transaction, to be ended by `karafka_transaction_commit` or `_abort`. Waits until an open one of another thread has
/// ended, and for brokers where the producer has to register first. Blocks, at most `transaction_timeout` for each.
///
/// @param transaction Gets the transaction, to be freed by `karafka_transaction_free`.
/// Errors: `TIMEOUT` (retriable); `TRANSACTION` when this thread has one open already; `FENCED` (fatal) when another producer of
/// the same `transactional_id` has taken over; `UNSUPPORTED` for an embedded broker; `AUTH`; `STOPPED` after closing and inside a
/// delivery callback; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_transactional_producer_begin(
    producer: *mut karafka_transactional_producer_t,
    transaction: *mut *mut karafka_transaction_t,
) -> *mut karafka_error_t {
    fallible("karafka_transactional_producer_begin", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(transaction, "transaction")? };
        refuse_in_delivery("begin a transaction")?;
        out.write(handle::open(handle::get(producer.cast_const())?.begin()?)?);
        Ok(())
    })
}

/// Begins a transaction in a handler: what is produced by it and what the call marks while it is open become visible together
/// when it is committed, or not at all. End it before the call ends: what it marks does not count later. Waits for brokers where
/// a producer has to register first. Blocks, at most `transaction_timeout`.
///
/// Marks of `karafka_context_mark_as_consumed` and `karafka_context_acknowledge` belong to the open transaction, too.
///
/// @param transaction Gets the transaction, to be freed by `karafka_transaction_free`.
/// Errors: `NOT_OWNED` when the partition is lost; `TRANSACTION` when the call has one open; `UNSUPPORTED` for the embedded broker,
/// which keeps no transactions, and for topics with `assign`; `TIMEOUT` (retriable), `AUTH`; `ARGUMENT`, also when the job has
/// ended; `FORKED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_context_begin_transaction(
    context: *mut karafka_context_t,
    transaction: *mut *mut karafka_transaction_t,
) -> *mut karafka_error_t {
    fallible("karafka_context_begin_transaction", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::required(transaction, "transaction")? };
        // The job's lock is not held while waiting: it may be completed meanwhile.
        let context = context_of(context)?;
        out.write(handle::open(context.begin_transaction()?)?);
        Ok(())
    })
}

/// Marks a message of the handler's call, and everything before it in its virtual partition, as part of the transaction that the
/// call has open: it counts when the transaction is committed.
///
/// @param index The message's index in the batch.
/// Errors: `NOT_OWNED` when the partition is lost: the commit will abort; `TRANSACTION` when the transaction has ended, or is none of
/// a handler; `ARGUMENT`, `FORKED`. The commit fails for an index that is not in the batch.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_transaction_mark_as_consumed(
    transaction: *mut karafka_transaction_t,
    index: usize,
) -> *mut karafka_error_t {
    fallible("karafka_transaction_mark_as_consumed", || {
        Ok(handle::get(transaction.cast_const())?.mark_index(index, true)?)
    })
}

/// Marks one message and no other. Otherwise as `karafka_transaction_mark_as_consumed`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_transaction_acknowledge(
    transaction: *mut karafka_transaction_t,
    index: usize,
) -> *mut karafka_error_t {
    fallible("karafka_transaction_acknowledge", || Ok(handle::get(transaction.cast_const())?.mark_index(index, false)?))
}

/// Sends a record as part of the transaction, and returns at once. When the local queue is full, waits for room until
/// `queue_full_timeout`. The commit waits for the acknowledgement, and aborts without it.
///
/// @param delivery Gets the delivery, to be freed by `karafka_delivery_free`. May be NULL.
/// Errors: `TRANSACTION` when it has ended; as `karafka_producer_produce_async`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn karafka_transaction_produce_async(
    transaction: *mut karafka_transaction_t,
    record: *const karafka_record_t,
    delivery: *mut *mut karafka_delivery_t,
) -> *mut karafka_error_t {
    fallible("karafka_transaction_produce_async", || {
        // SAFETY: the header asks for NULL or a valid place.
        let out = unsafe { Out::optional(delivery, "delivery")? };
        if record.is_null() {
            return Err(Fault::argument("the record is NULL"));
        }
        let transaction = handle::get(transaction.cast_const())?;
        // SAFETY: the header asks for a valid record whose own pointers are valid.
        let lent = unsafe { Lent::one(record)? };
        let sent = transaction.produce_async(&lent.record())?;
        if out.is_wanted() {
            out.write(handle::open(sent)?);
        }
        Ok(())
    })
}

/// Waits until everything that was produced is acknowledged, and commits: it becomes visible together. Blocks, at most
/// `transaction_timeout`.
///
/// Errors: the transaction was aborted: `TRANSACTION` or `TIMEOUT` (retriable: do the whole again), `FENCED` (fatal): another
/// producer of the same `transactional_id` has taken over. `TRANSACTION` with "unknown" in its message, never retriable: the
/// answer got lost, so it may have been committed; only the topics can tell. `TRANSACTION` when it has ended before; `STOPPED`
/// inside a delivery callback; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_transaction_commit(transaction: *mut karafka_transaction_t) -> *mut karafka_error_t {
    fallible("karafka_transaction_commit", || {
        refuse_in_delivery("commit a transaction")?;
        Ok(handle::get(transaction.cast_const())?.commit()?)
    })
}

/// Aborts: nothing of the transaction will ever be visible. Blocks, at most `transaction_timeout`.
///
/// Errors: `TRANSACTION` when it has ended before; `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_transaction_abort(transaction: *mut karafka_transaction_t) -> *mut karafka_error_t {
    fallible("karafka_transaction_abort", || {
        refuse_in_delivery("abort a transaction")?;
        Ok(handle::get(transaction.cast_const())?.abort()?)
    })
}

/// Frees a transaction. Takes NULL. What was neither committed nor aborted is aborted, which blocks; inside a delivery callback
/// that happens meanwhile. In a forked child it frees nothing.
#[unsafe(no_mangle)]
pub extern "C" fn karafka_transaction_free(transaction: *mut karafka_transaction_t) {
    const FUNCTION: &str = "karafka_transaction_free";
    let Ok(object) = handle::get(transaction.cast_const()) else {
        // NULL, misused, or the parent's.
        handle::free(FUNCTION, transaction);
        return;
    };
    infallible(FUNCTION, (), || {
        handle::close(transaction)?;
        if inside() == Inside::Delivery {
            // The producer's own thread cannot wait for what only it can do.
            let closing = thread::Builder::new().name("karafka-close".to_owned()).spawn(move || drop(object));
            closing.map_err(|_| Fault::stopped("free a transaction", "the system gave no thread for it"))?;
        } else {
            drop(object);
        }
        Ok(())
    });
}
