//! Book parcels in a shared array. It has a number for each place, the weight of
//! what lies there, and last the weight of all. Each parcel is weighed and booked
//! by a process of its own.
//!
//! ```python
//! def book(stock, place, weight):
//!     with stock.get_lock():
//!         stock[place] += weight
//!         stock[-1] += weight
//!
//! def weigh_and_book(stock, place, parcel):
//!     book(stock, place, parcel.weigh())
//!
//! def book_all(places, parcels):
//!     stock = Array("I", places + 1)
//!     processes = []
//!     for place, parcel in parcels:
//!         p = Process(target=weigh_and_book, args=(stock, place, parcel))
//!         processes.append(p)
//!         p.start()
//!     for p in processes:
//!         p.join()
//!     return list(stock)
//! ```
//!
//! Hint: `Array::zeroed` makes an array of zeros. `lock` gives it as a slice, for
//! as long as its result is kept; `stock.set(i, stock.get(i) + weight)` takes the
//! lock twice. A slice has no index -1, but it has `last_mut`. If a process
//! fails, so does `book_all`.

use shared::multiprocessing::{Array, Error};

use crate::check::Parcel;

/// Adds `weight` to the number of `place` and to the last one.
pub fn book(stock: &Array<u32>, place: usize, weight: u32) {
    todo!()
}

/// Books each parcel at its place, all at the same time, and returns the array.
pub fn book_all(places: usize, parcels: Vec<(usize, Parcel)>) -> Result<Vec<u32>, Error> {
    todo!()
}
