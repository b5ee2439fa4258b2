//! Two processes weigh parcels that they take from one queue, until none has
//! come for half a second.
//!
//! ```python
//! def consume(q, results):
//!     weight = 0
//!     while True:
//!         try:
//!             parcel = q.get(timeout=0.5)
//!         except queue.Empty:
//!             break
//!         weight += parcel.weigh()
//!     results.put(weight)
//!
//! def weigh_all(parcels):
//!     q, results = Queue(), Queue()
//!     consumers = [Process(target=consume, args=(q, results)) for _ in range(2)]
//!     for p in consumers:
//!         p.start()
//!     for parcel in parcels:
//!         q.put(parcel)
//!     total = results.get() + results.get()
//!     for p in consumers:
//!         p.join()
//!     return total
//! ```
//!
//! Hint: a process of Python returns nothing, so the Python has a second queue;
//! in Rust, `join` returns what the target returned. `get_timeout` fails with
//! `Error::Timeout`.

use shared::multiprocessing::Error;

use crate::check::Parcel;

/// Returns the weight of all parcels together.
pub fn weigh_all(parcels: impl IntoIterator<Item = Parcel>) -> Result<u32, Error> {
    todo!()
}
