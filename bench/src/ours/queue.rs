//! `shared::multiprocessing::Queue`.

use std::fs::read_to_string;
use std::time::Instant;

use shared::multiprocessing::{Process, Queue};

use crate::common::{MEBIBYTE, Result};
use crate::inputs::Person;
use crate::timing::{let_the_producer_begin, per_operation};

fn produce(q: &Queue<i64>, n: i64) {
    q.put(-1).unwrap();
    for i in 0..n {
        q.put(i).unwrap();
    }
}

pub fn one_to_one(n: usize) -> Result<f64> {
    let q = Queue::new()?;
    let p = Process::new(produce, (&q, n as i64)).start()?;
    assert_eq!(q.get()?, -1);
    let elapsed = per_operation(n, || {
        for i in 0..n as i64 {
            assert_eq!(q.get()?, i);
        }
        Ok(())
    })?;
    p.join()?;
    Ok(elapsed)
}

fn produce_share(q: &Queue<i64>, share: i64, ready: &Queue<i64>, go: &Queue<i64>) {
    ready.put(0).unwrap();
    go.get().unwrap();
    for i in 0..share {
        q.put(i).unwrap();
    }
}

fn consume_share(q: &Queue<i64>, share: i64, ready: &Queue<i64>, go: &Queue<i64>) {
    ready.put(0).unwrap();
    go.get().unwrap();
    ready
        .put((0..share).map(|_| q.get().unwrap()).sum())
        .unwrap();
}

pub fn many_to_many(n: usize) -> Result<f64> {
    let share = n as i64 / 4;
    let (q, ready, go) = (Queue::new()?, Queue::new()?, Queue::new()?);
    let mut processes = Vec::new();
    for _ in 0..4 {
        let args = (&q, share, &ready, &go);
        processes.push(Process::new(produce_share, args).start()?);
        processes.push(Process::new(consume_share, args).start()?);
    }
    for _ in 0..8 {
        ready.get()?;
    }
    let mut total = 0;
    let elapsed = per_operation(4 * share as usize, || {
        for _ in 0..8 {
            go.put(0)?;
        }
        for _ in 0..4 {
            total += ready.get()?;
        }
        Ok(())
    })?;
    for p in processes {
        p.join()?;
    }
    assert_eq!(total, 4 * (share * (share - 1) / 2));
    Ok(elapsed)
}

fn produce_people(q: &Queue<Option<Person>>, n: i64) {
    q.put(None).unwrap();
    for id in 0..n {
        q.put(Some(Person::new(id))).unwrap();
    }
}

pub fn people(n: usize) -> Result<f64> {
    let q = Queue::new()?;
    let p = Process::new(produce_people, (&q, n as i64)).start()?;
    assert_eq!(q.get()?, None);
    let elapsed = per_operation(n, || {
        for id in 0..n as i64 {
            let person = q.get()?.ok_or("no person")?;
            assert!(person.is(id, id as u32 % 90));
        }
        Ok(())
    })?;
    p.join()?;
    Ok(elapsed)
}

fn produce_bytes(q: &Queue<Vec<u8>>, size: usize, n: usize) {
    q.put(Vec::new()).unwrap();
    for i in 0..n {
        q.put(vec![i as u8; size]).unwrap();
    }
}

fn get_bytes(q: &Queue<Vec<u8>>, size: usize, n: usize) -> Result<()> {
    for i in 0..n {
        let item = q.get()?;
        assert_eq!(item.len(), size);
        assert_eq!([item[0], item[size - 1]], [i as u8; 2]);
    }
    Ok(())
}

fn bytes_through(q: &Queue<Vec<u8>>, size: usize, n: usize) -> Result<f64> {
    let p = Process::new(produce_bytes, (q, size, n)).start()?;
    assert_eq!(q.get()?, []);
    let_the_producer_begin();
    let elapsed = per_operation(n, || get_bytes(q, size, n))?;
    p.join()?;
    Ok(elapsed)
}

/// The bound lets the producer be at most 8 MiB ahead.
pub fn bounded_mebibytes(n: usize) -> Result<f64> {
    bytes_through(&Queue::with_maxsize(8)?, MEBIBYTE, n)
}

/// Steady traffic of 512 MiB. The queue has no bound, so how much memory it takes
/// depends on nothing but its own behaviour.
pub fn bytes_of_size(size: usize) -> Result<f64> {
    let n = (512 * MEBIBYTE / size).clamp(8, 1_000_000);
    bytes_through(&Queue::new()?, size, n)
}

fn put_bytes(q: &Queue<Vec<u8>>, size: usize, n: usize) -> f64 {
    let start = Instant::now();
    for i in 0..n {
        q.put(vec![i as u8; size]).unwrap();
    }
    start.elapsed().as_secs_f64() / n as f64
}

/// A backlog of 256 MiB: everything is put before anything is got.
pub fn backlog_of_size(size: usize) -> Result<f64> {
    let n = 256 * MEBIBYTE / size;
    let q = Queue::new()?;
    let put = Process::new(put_bytes, (&q, size, n)).start()?.join()?;
    Ok(put + per_operation(n, || get_bytes(&q, size, n))?)
}

fn resident() -> usize {
    let smaps = read_to_string("/proc/self/smaps_rollup").unwrap();
    let rss = smaps.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kibibytes = rss.unwrap().trim_end_matches("kB").trim();
    kibibytes.parse::<usize>().unwrap() * 1024
}

fn backlog(n: usize) -> (f64, f64) {
    let q = Queue::new().unwrap();
    q.put(-1).unwrap();
    assert_eq!(q.get().unwrap(), -1);
    let before = resident();
    let start = Instant::now();
    for i in 0..n as i64 {
        q.put(i).unwrap();
    }
    let put = start.elapsed();
    let memory = resident().saturating_sub(before);
    let start = Instant::now();
    for i in 0..n as i64 {
        assert_eq!(q.get().unwrap(), i);
    }
    let time = put + start.elapsed();
    (time.as_secs_f64() / n as f64, memory as f64 / n as f64)
}

/// Runs in a process of its own, as Python does, because the memory of the
/// whole process is measured.
fn backlog_in_a_process(n: usize) -> Result<(f64, f64)> {
    Ok(Process::new(backlog, (n,)).start()?.join()?)
}

pub fn backlog_time(n: usize) -> Result<f64> {
    Ok(backlog_in_a_process(n)?.0)
}

pub fn backlog_memory(n: usize) -> Result<f64> {
    Ok(backlog_in_a_process(n)?.1)
}
