//! Wrong: the prices come in the order in which they are known.
//! Fails with: a price is wrong, or not in the place of its parcel

use shared::multiprocessing::{Error, Pool};

use crate::check::Parcel;

fn price((parcel, per_kilo): (Parcel, u32)) -> u32 {
    parcel.weigh() * per_kilo
}

fn weigh(parcel: Parcel) -> u32 {
    parcel.weigh()
}

pub fn prices(parcels: Vec<(Parcel, u32)>) -> Result<Vec<u32>, Error> {
    let p = Pool::new(4)?;
    p.imap_unordered(price, parcels).collect()
}

pub fn report_weights(parcels: Vec<Parcel>, mut report: impl FnMut(u32)) -> Result<(), Error> {
    let p = Pool::new(4)?;
    for weight in p.imap_unordered(weigh, parcels) {
        report(weight?);
    }
    Ok(())
}
