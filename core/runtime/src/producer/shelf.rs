//! Cells of records whose ends were told, kept for the next records.
//!
//! Owned by an outbox. The thread that tells ends puts them here, those who send take them, each under a lock that is held for a
//! moment. A record of which nobody holds the handle costs no allocation so, and none that one thread makes and another frees,
//! where allocators wait for each other. Guarantees: what is taken has no other holder; memory is bounded.

use super::delivery::Cell;
use parking_lot::Mutex;
use std::sync::Arc;

/// Cells kept, of some 150 bytes: about as many as one answer of a broker acknowledges.
const KEPT: usize = 8_192;

#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<Arc<Cell>>>);

impl Shelf {
    /// A cell that nobody else holds, if there is one.
    pub(super) fn take(&self) -> Option<Arc<Cell>> {
        self.0.lock().pop()
    }

    /// Keeps cells that nobody else holds, as far as there is room, and lets go of the others.
    pub(super) fn put(&self, cells: &mut Vec<Arc<Cell>>) {
        {
            let mut kept = self.0.lock();
            let room = KEPT.saturating_sub(kept.len()).min(cells.len());
            kept.extend(cells.drain(cells.len() - room..));
        }
        cells.clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::delivery::{Delivery, Hook};
    use super::*;

    fn cell(topic: &Arc<str>, hook: Option<Hook>) -> Arc<Cell> {
        Arc::new(Cell::new(Arc::clone(topic), Some("label"), hook))
    }

    #[test]
    fn only_a_record_of_which_nobody_wants_to_hear_is_forgotten() {
        let topic: Arc<str> = Arc::from("topic");
        let mut kept = cell(&topic, None);
        let handle = Delivery(Arc::clone(&kept));
        assert!(!Cell::is_forgotten(&mut kept));
        drop(handle);
        assert!(Cell::is_forgotten(&mut kept));
        assert!(!Cell::is_forgotten(&mut cell(&topic, Some(Hook::Callback(Box::new(|_| ()))))));
    }

    #[test]
    fn a_cell_from_the_shelf_has_nothing_of_its_last_record() {
        let (topic, other): (Arc<str>, Arc<str>) = (Arc::from("topic"), Arc::from("other"));
        let shelf = Shelf::default();
        shelf.put(&mut vec![cell(&topic, None)]);
        let cell = Cell::renewed(shelf.take().unwrap(), &other, None, None);
        assert_eq!((&**cell.topic(), cell.label(), cell.has_callback()), ("other", None, false));
        assert!(Delivery(cell).outcome().is_none());
        assert!(shelf.take().is_none());
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let topic: Arc<str> = Arc::from("topic");
        let shelf = Shelf::default();
        let mut many: Vec<_> = (0..KEPT + 10).map(|_| cell(&topic, None)).collect();
        shelf.put(&mut many);
        assert!(many.is_empty());
        assert_eq!(std::iter::from_fn(|| shelf.take()).count(), KEPT);
    }
}
