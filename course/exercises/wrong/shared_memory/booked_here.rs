//! Wrong: the parcels are weighed and booked by threads.
//! Fails with: a parcel was weighed in the parent

use shared::multiprocessing::{Array, Error};
use std::thread;

use crate::check::Parcel;

pub fn book(stock: &Array<u32>, place: usize, weight: u32) {
    let mut stock = stock.lock().unwrap();
    stock[place] += weight;
    *stock.last_mut().unwrap() += weight;
}

pub fn book_all(places: usize, parcels: Vec<(usize, Parcel)>) -> Result<Vec<u32>, Error> {
    let stock = Array::zeroed(places + 1)?;
    thread::scope(|scope| {
        for (place, parcel) in parcels {
            let stock = &stock;
            scope.spawn(move || book(stock, place, parcel.weigh()));
        }
    });
    Ok(stock.to_vec())
}
