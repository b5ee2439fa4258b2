//! Wrong: the error of a process is thrown away.
//! Fails with: a process died, and nobody was told

use shared::multiprocessing::{Array, Error, Process};

use crate::check::Parcel;

pub fn book(stock: &Array<u32>, place: usize, weight: u32) {
    let mut stock = stock.lock().unwrap();
    stock[place] += weight;
    *stock.last_mut().unwrap() += weight;
}

fn weigh_and_book(stock: &Array<u32>, place: usize, parcel: Parcel) {
    book(stock, place, parcel.weigh());
}

pub fn book_all(places: usize, parcels: Vec<(usize, Parcel)>) -> Result<Vec<u32>, Error> {
    let stock = Array::zeroed(places + 1)?;
    let mut processes = Vec::new();
    for (place, parcel) in parcels {
        let p = Process::new(weigh_and_book, (&stock, place, parcel));
        processes.push(p.start()?);
    }
    for p in processes {
        let _ = p.join();
    }
    Ok(stock.to_vec())
}
