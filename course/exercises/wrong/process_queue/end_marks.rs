//! Wrong: a consumer ends at an end mark, however long that takes.
//! Fails with: a consumer waited for more than half a second

use shared::multiprocessing::{Error, Process, Queue};

use crate::check::Parcel;

fn consume(q: &Queue<Option<Parcel>>) -> Result<u32, Error> {
    let mut weight = 0;
    while let Some(parcel) = q.get()? {
        weight += parcel.weigh();
    }
    Ok(weight)
}

pub fn weigh_all(parcels: impl IntoIterator<Item = Parcel>) -> Result<u32, Error> {
    let q = Queue::new()?;
    let first = Process::new(consume, (&q,)).start()?;
    let second = Process::new(consume, (&q,)).start()?;
    for parcel in parcels {
        q.put(Some(parcel))?;
    }
    for _ in 0..2 {
        q.put(None)?;
    }
    Ok(first.join()?? + second.join()??)
}
