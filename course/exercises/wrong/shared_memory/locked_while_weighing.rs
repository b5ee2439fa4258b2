//! Wrong: a process holds the lock while it weighs its parcel.
//! Fails with: the parcels were weighed one after the other

use shared::multiprocessing::{Array, Error, Process};

use crate::check::Parcel;

pub fn book(stock: &Array<u32>, place: usize, weight: u32) {
    let mut stock = stock.lock().unwrap();
    stock[place] += weight;
    *stock.last_mut().unwrap() += weight;
}

fn weigh_and_book(stock: &Array<u32>, place: usize, parcel: Parcel) {
    let mut stock = stock.lock().unwrap();
    let weight = parcel.weigh();
    stock[place] += weight;
    *stock.last_mut().unwrap() += weight;
}

pub fn book_all(places: usize, parcels: Vec<(usize, Parcel)>) -> Result<Vec<u32>, Error> {
    let stock = Array::zeroed(places + 1)?;
    let mut processes = Vec::new();
    for (place, parcel) in parcels {
        let p = Process::new(weigh_and_book, (&stock, place, parcel));
        processes.push(p.start()?);
    }
    for p in processes {
        p.join()?;
    }
    Ok(stock.to_vec())
}
