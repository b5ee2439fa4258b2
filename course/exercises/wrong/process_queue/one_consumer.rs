//! Wrong: the second consumer starts when the first one has ended.
//! Fails with: the parcels were weighed one after the other

use shared::multiprocessing::{Error, Process, Queue};
use std::time::Duration;

use crate::check::Parcel;

fn consume(q: &Queue<Parcel>) -> Result<u32, Error> {
    let mut weight = 0;
    loop {
        match q.get_timeout(Duration::from_millis(500)) {
            Ok(parcel) => weight += parcel.weigh(),
            Err(Error::Timeout) => return Ok(weight),
            Err(error) => return Err(error),
        }
    }
}

pub fn weigh_all(parcels: impl IntoIterator<Item = Parcel>) -> Result<u32, Error> {
    let q = Queue::new()?;
    let first = Process::new(consume, (&q,)).start()?;
    for parcel in parcels {
        q.put(parcel)?;
    }
    let weight = first.join()??;
    Ok(weight + Process::new(consume, (&q,)).start()?.join()??)
}
