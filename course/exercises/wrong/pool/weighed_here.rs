//! Wrong: the parent weighs the parcels, and the pool only multiplies.
//! Fails with: the four parcels were not weighed at the same time

use shared::multiprocessing::{Error, Pool};

use crate::check::Parcel;

fn price(weight: u32, per_kilo: u32) -> u32 {
    weight * per_kilo
}

fn weigh(parcel: Parcel) -> u32 {
    parcel.weigh()
}

pub fn prices(parcels: Vec<(Parcel, u32)>) -> Result<Vec<u32>, Error> {
    let p = Pool::new(4)?;
    let weights = parcels.into_iter();
    let weights = weights.map(|(parcel, per_kilo)| (parcel.weigh(), per_kilo));
    p.starmap(price, weights)
}

pub fn report_weights(parcels: Vec<Parcel>, mut report: impl FnMut(u32)) -> Result<(), Error> {
    let p = Pool::new(4)?;
    for weight in p.imap_unordered(weigh, parcels) {
        report(weight?);
    }
    Ok(())
}
