//! `?` gives the first error to the caller.

use shared::multiprocessing::{Error, Pool};

use crate::check::Parcel;

fn price(parcel: Parcel, per_kilo: u32) -> u32 {
    parcel.weigh() * per_kilo
}

fn weigh(parcel: Parcel) -> u32 {
    parcel.weigh()
}

/// Returns the price of each parcel: its weight times what stands beside it.
pub fn prices(parcels: Vec<(Parcel, u32)>) -> Result<Vec<u32>, Error> {
    let p = Pool::new(4)?;
    p.starmap(price, parcels)
}

/// Calls `report` with each weight as soon as it is known.
pub fn report_weights(parcels: Vec<Parcel>, mut report: impl FnMut(u32)) -> Result<(), Error> {
    let p = Pool::new(4)?;
    for weight in p.imap_unordered(weigh, parcels) {
        report(weight?);
    }
    Ok(())
}
