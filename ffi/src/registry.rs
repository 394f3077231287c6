//! Where the objects behind C handles live.
//!
//! A registry owns the objects of one type and names them by keys: a slot's index and the slot's generation. C never gets
//! an address, so that a handle that was freed, freed twice or made up is found out without touching memory. Called on any
//! thread; lock-free, so that a fork in the middle of a call leaves nothing locked in the child. Slots are never given back
//! to the allocator: a stale key always finds a slot, and the slot's generation tells that it is stale.
//!
//! # A slot's state
//!
//! One word holds generation, live bit and pins.
//! 1. Free: not live, no pins, linked in the free list. The generation is that of the next object.
//! 2. [`Registry::insert`] takes it out, writes the object, then publishes it live with one pin, the handle's own.
//! 3. [`Registry::pin`] adds a pin if the key's generation is the slot's and it is live; the pin keeps the object in place.
//! 4. [`Registry::close`] clears the live bit, which only one caller can, and takes the handle's own pin away.
//! 5. Whoever takes the last pin away drops the object, raises the generation and links the slot into the free list.

use crate::fork;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

const FIRST_CHUNK: u32 = 64;
const CHUNKS: usize = 18;
/// Objects that a registry holds at most; an index fits in 24 bits.
const CAPACITY: u32 = FIRST_CHUNK * ((1 << CHUNKS) - 1);

const LIVE: u64 = 1 << 31;
const PINS: u64 = LIVE - 1;

const fn generation_of(state: u64) -> u32 {
    (state >> 32) as u32
}

/// Names an object: valid until it is closed, never again after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) generation: u32,
    pub(crate) index: u32,
}

/// Why a key names no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It was closed.
    Closed,
    /// No object ever had this key.
    Unknown,
    /// It belongs to the parent of this forked process.
    Forked,
}

struct Slot<T> {
    state: AtomicU64,
    /// The process epoch in which the object was made; see `fork`.
    epoch: AtomicU32,
    /// Index + 1 of the next free slot while this one is free; 0 ends the list.
    next: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// Objects of one type. Made for statics: guards borrow it for good.
pub(crate) struct Registry<T: 'static> {
    chunks: [AtomicPtr<Slot<T>>; CHUNKS],
    /// How many slots were ever used.
    used: AtomicU32,
    /// The free list: index + 1 of its first slot, and a count of its changes, which tells a list that was emptied and
    /// filled again from one that stayed.
    free: AtomicU64,
    count: AtomicUsize,
}

// SAFETY: objects are handed out by shared reference on any thread, and dropped on any thread.
unsafe impl<T: Send + Sync> Sync for Registry<T> {}

impl<T: Send + Sync + 'static> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            used: AtomicU32::new(0),
            free: AtomicU64::new(0),
            count: AtomicUsize::new(0),
        }
    }

    /// How many objects are open. Whoever counts none sees what was done by whoever closed them: that a handler that was left
    /// behind has returned, no other call tells.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Keeps an object and pins it. Gives it back when there are too many.
    pub(crate) fn insert(&'static self, value: T) -> Result<(Key, Pinned<T>), T> {
        let Some((index, slot)) = self.take_free().or_else(|| self.take_unused()) else { return Err(value) };
        // SAFETY: a slot that is not in the free list and not live belongs to whoever took it.
        unsafe { (*slot.value.get()).write(value) };
        slot.epoch.store(fork::epoch(), Ordering::Relaxed);
        let generation = generation_of(slot.state.load(Ordering::Relaxed));
        // One pin is the handle's own, one the caller's.
        slot.state.store(u64::from(generation) << 32 | LIVE | 2, Ordering::Release);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok((Key { generation, index }, Pinned { registry: self, slot, index }))
    }

    /// The object, kept in place until the guard is dropped.
    pub(crate) fn pin(&'static self, key: Key) -> Result<Pinned<T>, Absent> {
        let pinned = self.pin_inherited(key)?;
        if pinned.slot.epoch.load(Ordering::Relaxed) == fork::epoch() { Ok(pinned) } else { Err(Absent::Forked) }
    }

    /// [`Self::pin`], also of an object of the parent process: for what only reads its plain data.
    pub(crate) fn pin_inherited(&'static self, key: Key) -> Result<Pinned<T>, Absent> {
        let slot = self.slot(key.index).ok_or(Absent::Unknown)?;
        let mut state = slot.state.load(Ordering::Acquire);
        loop {
            check(state, key)?;
            if state & PINS == PINS {
                return Err(Absent::Unknown);
            }
            match slot.state.compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        Ok(Pinned { registry: self, slot, index: key.index })
    }

    /// Ends a key. The object is dropped with its last pin; one of a parent process never is.
    pub(crate) fn close(&'static self, key: Key) -> Result<(), Absent> {
        let slot = self.slot(key.index).ok_or(Absent::Unknown)?;
        let mut state = slot.state.load(Ordering::Acquire);
        loop {
            check(state, key)?;
            match slot.state.compare_exchange_weak(state, state & !LIVE, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        self.count.fetch_sub(1, Ordering::Release);
        if slot.epoch.load(Ordering::Relaxed) != fork::epoch() {
            // The threads that the object relies on stayed in the parent: leaked, by keeping the handle's pin.
            return Err(Absent::Forked);
        }
        self.unpin(slot, key.index);
        Ok(())
    }

    fn unpin(&self, slot: &Slot<T>, index: u32) {
        let state = slot.state.fetch_sub(1, Ordering::AcqRel);
        if state & PINS != 1 {
            return;
        }
        // SAFETY: no pin is left and none can be added, since only a live object is pinned, and a live one has a pin of its
        // own: the object is ours alone.
        unsafe { (*slot.value.get()).assume_init_drop() };
        let next = generation_of(state).wrapping_add(1).max(1);
        slot.state.store(u64::from(next) << 32, Ordering::Release);
        self.give_free(slot, index);
    }

    fn slot(&self, index: u32) -> Option<&'static Slot<T>> {
        if index >= CAPACITY {
            return None;
        }
        let place = index + FIRST_CHUNK;
        let chunk = (place.ilog2() - FIRST_CHUNK.ilog2()) as usize;
        let start = self.chunks.get(chunk)?.load(Ordering::Acquire);
        // SAFETY: a chunk holds `FIRST_CHUNK << chunk` slots, which is more than the offset, and is never freed.
        (!start.is_null()).then(|| unsafe { &*start.add((place - (FIRST_CHUNK << chunk)) as usize) })
    }

    fn take_unused(&self) -> Option<(u32, &'static Slot<T>)> {
        let below = |used: u32| (used < CAPACITY).then_some(used + 1);
        let index = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        if let Some(slot) = self.slot(index) {
            return Some((index, slot));
        }
        let chunk = ((index + FIRST_CHUNK).ilog2() - FIRST_CHUNK.ilog2()) as usize;
        let slots: Box<[Slot<T>]> = (0..FIRST_CHUNK << chunk)
            .map(|_| Slot {
                state: AtomicU64::new(1 << 32),
                epoch: AtomicU32::new(0),
                next: AtomicU32::new(0),
                value: UnsafeCell::new(MaybeUninit::uninit()),
            })
            .collect();
        let size = slots.len();
        let fresh = Box::into_raw(slots).cast::<Slot<T>>();
        let place = self.chunks.get(chunk)?;
        if place.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: another thread was first; nobody has seen ours, which was a box of this many slots.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(fresh, size)) });
        }
        self.slot(index).map(|slot| (index, slot))
    }

    fn take_free(&self) -> Option<(u32, &'static Slot<T>)> {
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            let index = (head as u32).checked_sub(1)?;
            let slot = self.slot(index)?;
            let next = slot.next.load(Ordering::Relaxed);
            let new = changed(head) | u64::from(next);
            match self.free.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some((index, slot)),
                Err(now) => head = now,
            }
        }
    }

    fn give_free(&self, slot: &Slot<T>, index: u32) {
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            slot.next.store(head as u32, Ordering::Relaxed);
            let new = changed(head) | u64::from(index + 1);
            match self.free.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }
}

/// The free list's count of changes, one up, without an index.
const fn changed(head: u64) -> u64 {
    ((head >> 32) as u32).wrapping_add(1) as u64 * (1 << 32)
}

fn check(state: u64, key: Key) -> Result<(), Absent> {
    let generation = generation_of(state);
    if generation == key.generation && state & LIVE != 0 {
        Ok(())
    } else if key.generation != 0 && key.generation <= generation {
        Err(Absent::Closed)
    } else {
        Err(Absent::Unknown)
    }
}

/// An object that stays in place while this guard lives, also when its handle is freed meanwhile.
pub(crate) struct Pinned<T: Send + Sync + 'static> {
    registry: &'static Registry<T>,
    slot: &'static Slot<T>,
    index: u32,
}

// SAFETY: a guard gives shared access to an object that any thread may use and drop.
unsafe impl<T: Send + Sync> Send for Pinned<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Pinned<T> {}

impl<T: Send + Sync> Deref for Pinned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the pin keeps the object initialised and in place.
        unsafe { (*self.slot.value.get()).assume_init_ref() }
    }
}

impl<T: Send + Sync> Drop for Pinned<T> {
    fn drop(&mut self) {
        self.registry.unpin(self.slot, self.index);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn registry<T: Send + Sync>() -> &'static Registry<T> {
        Box::leak(Box::new(Registry::new()))
    }

    fn insert<T: Send + Sync>(registry: &'static Registry<T>, value: T) -> Key {
        registry.insert(value).map(|(key, _)| key).map_err(drop).unwrap()
    }

    #[test]
    fn a_key_finds_its_object_until_closed() {
        let registry = registry();
        let key = insert(registry, "first".to_owned());
        assert_eq!(&*registry.pin(key).map_err(drop).unwrap(), "first");
        assert_eq!(registry.count(), 1);
        assert_eq!(registry.close(key), Ok(()));
        assert_eq!(registry.pin(key).map(drop), Err(Absent::Closed));
        assert_eq!(registry.close(key), Err(Absent::Closed));
        assert_eq!(registry.count(), 0);
    }

    #[test]
    fn who_counts_none_sees_what_was_done_before_they_were_closed() {
        for _ in 0..if cfg!(miri) { 20 } else { 1000 } {
            let (registry, told) = (registry(), Arc::new(AtomicU32::new(0)));
            let (key, teller) = (insert(registry, ()), Arc::clone(&told));
            let worker = thread::spawn(move || {
                // Not by itself seen by others in order.
                teller.store(1, Ordering::Relaxed);
                registry.close(key)
            });
            while registry.count() > 0 {
                thread::yield_now();
            }
            assert_eq!(told.load(Ordering::Relaxed), 1);
            assert_eq!(worker.join().unwrap(), Ok(()));
        }
    }

    #[test]
    fn a_used_again_slot_does_not_answer_to_old_keys() {
        let registry = registry();
        let old = insert(registry, 1);
        registry.close(old).unwrap();
        let new = insert(registry, 2);
        assert_eq!(old.index, new.index);
        assert_eq!(registry.pin(old).map(drop), Err(Absent::Closed));
        assert_eq!(*registry.pin(new).map_err(drop).unwrap(), 2);
    }

    #[test]
    fn keys_that_were_never_given_are_unknown() {
        let registry = registry();
        let key = insert(registry, ());
        for index in [1, 63, 64, CAPACITY - 1, CAPACITY, u32::MAX] {
            let made_up = Key { generation: 7, index };
            assert_eq!(registry.pin(made_up).map(drop), Err(Absent::Unknown), "index {index}");
            assert_eq!(registry.close(made_up), Err(Absent::Unknown), "index {index}");
        }
        assert_eq!(registry.pin(Key { generation: 0, ..key }).map(drop), Err(Absent::Unknown));
        assert_eq!(registry.pin(Key { generation: 2, ..key }).map(drop), Err(Absent::Unknown));
    }

    #[test]
    fn an_object_is_dropped_once_with_its_last_pin() {
        let registry = registry();
        let object = Arc::new(());
        let key = insert(registry, Arc::clone(&object));
        let pinned = registry.pin(key).map_err(drop).unwrap();
        registry.close(key).unwrap();
        assert_eq!(Arc::strong_count(&object), 2, "pinned");
        drop(pinned);
        assert_eq!(Arc::strong_count(&object), 1, "unpinned");
    }

    #[test]
    fn many_objects_fill_several_chunks_and_come_out_again() {
        let registry = registry();
        let count = if cfg!(miri) { 200 } else { 5000 };
        let keys: Vec<_> = (0..count).map(|number| insert(registry, number)).collect();
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(*registry.pin(*key).map_err(drop).unwrap(), number);
        }
        for key in &keys {
            registry.close(*key).unwrap();
        }
        let again: Vec<_> = (0..count).map(|number| insert(registry, number)).collect();
        assert!(again.iter().all(|key| (key.index as usize) < count), "slots are used again");
    }

    #[test]
    fn threads_insert_pin_and_close_at_once() {
        let registry = registry();
        let object = Arc::new(());
        let rounds = if cfg!(miri) { 20 } else { 5000 };
        let shared = insert(registry, (Arc::clone(&object), 0));
        thread::scope(|scope| {
            for thread in 1..=4 {
                let object = &object;
                scope.spawn(move || {
                    for _ in 0..rounds {
                        let key = insert(registry, (Arc::clone(object), thread));
                        assert_eq!(registry.pin(key).map_err(drop).unwrap().1, thread);
                        assert_eq!(registry.pin(shared).map_err(drop).unwrap().1, 0);
                        registry.close(key).unwrap();
                    }
                });
            }
        });
        assert_eq!((registry.count(), Arc::strong_count(&object)), (1, 2));
    }

    #[test]
    fn of_many_closers_one_wins() {
        let registry = registry();
        for _ in 0..if cfg!(miri) { 5 } else { 200 } {
            let key = insert(registry, String::from("object"));
            let closed: usize = thread::scope(|scope| {
                let closers: Vec<_> = (0..4).map(|_| scope.spawn(move || registry.close(key).is_ok())).collect();
                closers.into_iter().map(|closer| usize::from(closer.join().unwrap())).sum()
            });
            assert_eq!(closed, 1);
        }
    }

    #[test]
    fn objects_of_the_parent_process_are_refused_and_never_dropped() {
        let registry = registry();
        let object = Arc::new(());
        let key = insert(registry, Arc::clone(&object));
        let slot = registry.slot(key.index).unwrap();
        slot.epoch.store(fork::epoch().wrapping_sub(1), Ordering::Relaxed);
        assert_eq!(registry.pin(key).map(drop), Err(Absent::Forked));
        assert_eq!(registry.close(key), Err(Absent::Forked));
        assert_eq!(registry.close(key), Err(Absent::Closed));
        assert_eq!(Arc::strong_count(&object), 2);
    }
}
