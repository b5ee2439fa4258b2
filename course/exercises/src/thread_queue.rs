//! Hand items from one producer to two consumers through one queue, from which
//! each consumer takes the next item as soon as it is free. Both consumers end
//! when the producer has ended and the queue is empty.
//!
//! ```python
//! def share_out(items, handle):
//!     q = queue.Queue()
//!     counts = [0, 0]
//!
//!     def produce():
//!         for item in items:
//!             q.put(item)
//!         for _ in range(2):
//!             q.put(None)  # one end mark for each consumer
//!
//!     def consume(i):
//!         while (item := q.get()) is not None:
//!             handle(item)
//!             counts[i] += 1
//!
//!     threads = [threading.Thread(target=produce)]
//!     threads += [threading.Thread(target=consume, args=(i,)) for i in range(2)]
//!     for t in threads:
//!         t.start()
//!     for t in threads:
//!         t.join()
//!     return counts
//! ```
//!
//! Hint: a `crossbeam_channel::Receiver` can be cloned. No end mark is needed,
//! because a channel closes when its last sender is dropped.

/// Calls `handle` once for each item, and returns how many items each of the
/// two consumers has handled.
pub fn share_out(items: Box<dyn Iterator<Item = u32> + Send>, handle: fn(u32)) -> [usize; 2] {
    todo!()
}
