//! Wrong: `get` waits for ever.
//! Fails with: the consumers did not end

use shared::multiprocessing::{Error, Process, Queue};

use crate::check::Parcel;

fn consume(q: &Queue<Parcel>) -> Result<u32, Error> {
    let mut weight = 0;
    while let Ok(parcel) = q.get() {
        weight += parcel.weigh();
    }
    Ok(weight)
}

pub fn weigh_all(parcels: impl IntoIterator<Item = Parcel>) -> Result<u32, Error> {
    let q = Queue::new()?;
    let first = Process::new(consume, (&q,)).start()?;
    let second = Process::new(consume, (&q,)).start()?;
    for parcel in parcels {
        q.put(parcel)?;
    }
    Ok(first.join()?? + second.join()??)
}
