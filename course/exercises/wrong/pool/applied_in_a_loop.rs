//! Wrong: `apply` waits for each price before the next one is asked for.
//! Fails with: the four parcels were not weighed at the same time

use shared::multiprocessing::{Error, Pool};

use crate::check::Parcel;

fn price(parcel: Parcel, per_kilo: u32) -> u32 {
    parcel.weigh() * per_kilo
}

fn weigh(parcel: Parcel) -> u32 {
    parcel.weigh()
}

pub fn prices(parcels: Vec<(Parcel, u32)>) -> Result<Vec<u32>, Error> {
    let p = Pool::new(4)?;
    let prices = parcels.into_iter().map(|parcel| p.apply(price, parcel));
    prices.collect()
}

pub fn report_weights(parcels: Vec<Parcel>, mut report: impl FnMut(u32)) -> Result<(), Error> {
    let p = Pool::new(4)?;
    for weight in p.imap_unordered(weigh, parcels) {
        report(weight?);
    }
    Ok(())
}
