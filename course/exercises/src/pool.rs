//! Compute the prices of parcels in a pool of four processes, and then report
//! the weights of parcels as soon as each is known, whatever the order.
//!
//! ```python
//! def price(parcel, per_kilo):
//!     return parcel.weigh() * per_kilo
//!
//! def weigh(parcel):
//!     return parcel.weigh()
//!
//! def prices(parcels):
//!     with Pool(4) as p:
//!         return p.starmap(price, parcels)
//!
//! def report_weights(parcels, report):
//!     with Pool(4) as p:
//!         for weight in p.imap_unordered(weigh, parcels):
//!             report(weight)
//! ```
//!
//! Hint: a worker owns the parcel that it was sent, so `price` and `weigh` take
//! a `Parcel` and not a reference. What `imap_unordered` returns is an iterator
//! of results, because a task may fail. If one does, so does
//! `report_weights`.

use shared::multiprocessing::Error;

use crate::check::Parcel;

/// Returns the price of each parcel: its weight times what stands beside it.
pub fn prices(parcels: Vec<(Parcel, u32)>) -> Result<Vec<u32>, Error> {
    todo!()
}

/// Calls `report` with each weight as soon as it is known.
pub fn report_weights(parcels: Vec<Parcel>, report: impl FnMut(u32)) -> Result<(), Error> {
    todo!()
}
