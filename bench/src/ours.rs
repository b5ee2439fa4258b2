//! The works done with `shared`.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::ops::Range;
use std::process::id;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::asyncio;
use shared::concurrent::futures::ThreadPoolExecutor;
use shared::multiprocessing::{Connection, Error, Pool, Process, Queue, Value, pipe};
use tokio::runtime;
use tokio::task::yield_now;

use crate::frame::per_operation;
use crate::{MEBIBYTE, Result};

fn empty() {}

fn square(n: i64) -> i64 {
    n * n
}

// Processes

pub fn process_start(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            Process::new(empty, ()).start()?.join()?;
        }
        Ok(())
    })
}

pub fn pool_life(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            let pool = Pool::new(4)?;
            assert_eq!(pool.map(square, [1, 2, 3, 4, 5])?, [1, 4, 9, 16, 25]);
        }
        Ok(())
    })
}

pub fn pool_workers(n: usize) -> Result<f64> {
    per_operation(n, || {
        let pool = Pool::new(n)?;
        let results = pool.map_chunked(square, 0..n as i64, 1)?;
        assert!(results.into_iter().eq((0..n as i64).map(square)));
        Ok(())
    })
}

/// Maps `n` numbers so many times on a warm pool.
fn map_on(
    workers: usize,
    times: usize,
    n: usize,
    map: impl Fn(&Pool, Range<i64>) -> std::result::Result<Vec<i64>, Error>,
) -> Result<f64> {
    let pool = Pool::new(workers)?;
    let mut results = map(&pool, 0..n as i64)?;
    let elapsed = per_operation(times * n, || {
        for _ in 0..times {
            results = map(&pool, 0..n as i64)?;
        }
        Ok(())
    })?;
    assert!(results.into_iter().eq((0..n as i64).map(square)));
    Ok(elapsed)
}

pub fn pool_map_often(times: usize) -> Result<f64> {
    map_on(2, times, 200_000, |pool, items| pool.map(square, items))
}

pub fn pool_map(n: usize) -> Result<f64> {
    map_on(2, 1, n, |pool, items| pool.map(square, items))
}

pub fn pool_map_one_by_one(n: usize) -> Result<f64> {
    map_on(2, 1, n, |pool, items| pool.map_chunked(square, items, 1))
}

pub fn pool_tasks_on_workers(n: usize) -> Result<f64> {
    map_on(n, 1, 200_000, |pool, items| {
        pool.map_chunked(square, items, 1)
    })
}

pub fn pool_apply(n: usize) -> Result<f64> {
    let pool = Pool::new(2)?;
    assert_eq!(pool.apply(square, (3,))?, 9);
    per_operation(n, || {
        for i in 0..n as i64 {
            assert_eq!(pool.apply(square, (i,))?, i * i);
        }
        Ok(())
    })
}

fn produce(q: &Queue<i64>, n: i64) {
    q.put(-1).unwrap();
    for i in 0..n {
        q.put(i).unwrap();
    }
}

pub fn queue(n: usize) -> Result<f64> {
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

pub fn queue_many(n: usize) -> Result<f64> {
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

fn produce_bytes(q: &Queue<Vec<u8>>, size: usize, n: usize) {
    q.put(Vec::new()).unwrap();
    for i in 0..n {
        q.put(vec![i as u8; size]).unwrap();
    }
}

fn queue_of_bytes(size: usize, n: usize) -> Result<f64> {
    let q = Queue::with_maxsize(8.max(8 * MEBIBYTE / size))?;
    let p = Process::new(produce_bytes, (&q, size, n)).start()?;
    assert_eq!(q.get()?, []);
    let elapsed = per_operation(n, || {
        for i in 0..n {
            let item = q.get()?;
            assert_eq!(item.len(), size);
            assert_eq!([item[0], item[size - 1]], [i as u8; 2]);
        }
        Ok(())
    })?;
    p.join()?;
    Ok(elapsed)
}

pub fn queue_mebibytes(n: usize) -> Result<f64> {
    queue_of_bytes(MEBIBYTE, n)
}

pub fn queue_item_size(size: usize) -> Result<f64> {
    queue_of_bytes(size, (256 * MEBIBYTE / size).clamp(8, 50_000))
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

/// In a process of its own, as Python's, for the memory that is measured.
fn backlog_in_a_process(n: usize) -> Result<(f64, f64)> {
    Ok(Process::new(backlog, (n,)).start()?.join()?)
}

pub fn queue_backlog(n: usize) -> Result<f64> {
    Ok(backlog_in_a_process(n)?.0)
}

pub fn queue_backlog_memory(n: usize) -> Result<f64> {
    Ok(backlog_in_a_process(n)?.1)
}

fn echo<T: Serialize + DeserializeOwned + 'static>(connection: Connection<T, T>) {
    while let Ok(item) = connection.recv() {
        connection.send(item).unwrap();
    }
}

pub fn pipe_round_trip(n: usize) -> Result<f64> {
    let (left, right) = pipe::<i64, i64>()?;
    let p = Process::new(echo::<i64>, (right,)).start()?;
    left.send(0)?;
    left.recv()?;
    let elapsed = per_operation(n, || {
        for i in 0..n as i64 {
            left.send(i)?;
            assert_eq!(left.recv()?, i);
        }
        Ok(())
    })?;
    drop(left);
    p.join()?;
    Ok(elapsed)
}

pub fn pipe_large(n: usize) -> Result<f64> {
    let (left, right) = pipe::<Vec<u8>, Vec<u8>>()?;
    let p = Process::new(echo::<Vec<u8>>, (right,)).start()?;
    let size = 16 * MEBIBYTE;
    let mut item = vec![0; size];
    let elapsed = per_operation(n, || {
        for i in 0..n {
            item[size - 1] = i as u8;
            left.send(item)?;
            item = left.recv()?;
            assert_eq!(item.len(), size);
            assert_eq!(item[size - 1], i as u8);
        }
        Ok(())
    })?;
    drop(left);
    p.join()?;
    Ok(elapsed)
}

fn increment(value: &Value<i32>, n: usize) {
    for _ in 0..n {
        *value.lock().unwrap() += 1;
    }
}

pub fn value_alone(n: usize) -> Result<f64> {
    let value = Value::new(0)?;
    let elapsed = per_operation(n, || {
        increment(&value, n);
        Ok(())
    })?;
    assert_eq!(value.get(), n as i32);
    Ok(elapsed)
}

fn increment_on_signal(value: &Value<i32>, n: usize, connection: Connection<(), ()>) {
    connection.send(()).unwrap();
    connection.recv().unwrap();
    increment(value, n);
    connection.send(()).unwrap();
}

pub fn value_shared(n: usize) -> Result<f64> {
    let value = Value::new(0)?;
    let (left, right) = pipe::<(), ()>()?;
    let p = Process::new(increment_on_signal, (&value, n, right)).start()?;
    left.recv()?;
    let elapsed = per_operation(2 * n, || {
        left.send(())?;
        increment(&value, n);
        Ok(left.recv()?)
    })?;
    p.join()?;
    assert_eq!(value.get(), 2 * n as i32);
    Ok(elapsed)
}

/// The CPU time that processes take in a second.
fn idle(pids: &[u32]) -> Result<f64> {
    let taken = || -> nix::Result<Duration> {
        let mut sum = Duration::ZERO;
        for &pid in pids {
            let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid as i32))?;
            sum += clock.now()?.into();
        }
        Ok(sum)
    };
    sleep(Duration::from_millis(100));
    let before = taken()?;
    sleep(Duration::from_secs(1));
    Ok((taken()? - before).as_secs_f64())
}

fn put_and_get(started: &Queue<()>, q: &Queue<()>) {
    started.put(()).unwrap();
    q.get().unwrap();
}

pub fn idle_get(_: usize) -> Result<f64> {
    let (started, q) = (Queue::new()?, Queue::new()?);
    let p = Process::new(put_and_get, (&started, &q)).start()?;
    started.get()?;
    let taken = idle(&[p.pid()])?;
    q.put(())?;
    p.join()?;
    Ok(taken)
}

fn hold_pool(connection: Connection<Vec<u32>, ()>) {
    let pool = Pool::new(2).unwrap();
    let mut pids = BTreeSet::from([id()]);
    while pids.len() < 3 {
        pids.extend(pool.map_chunked(|_: i64| id(), 0..100, 1).unwrap());
    }
    connection.send(Vec::from_iter(pids)).unwrap();
    connection.recv().unwrap();
}

pub fn idle_pool(_: usize) -> Result<f64> {
    let (left, right) = pipe::<(), Vec<u32>>()?;
    let p = Process::new(hold_pool, (right,)).start()?;
    let taken = idle(&left.recv()?)?;
    left.send(())?;
    p.join()?;
    Ok(taken)
}

// Threads

pub fn executor_map(n: usize) -> Result<f64> {
    let executor = ThreadPoolExecutor::new(4);
    let mut results = Vec::new();
    let elapsed = per_operation(n, || {
        results = executor.map(square, 0..n as i64).collect();
        Ok(())
    })?;
    assert!(results.into_iter().eq((0..n as i64).map(square)));
    Ok(elapsed)
}

pub fn executor_submit(n: usize) -> Result<f64> {
    let executor = ThreadPoolExecutor::new(4);
    per_operation(n, || {
        for i in 0..n as i64 {
            assert_eq!(executor.submit(move || square(i)).result()?, i * i);
        }
        Ok(())
    })
}

// asyncio

/// Times a future of `n` operations, in a runtime of one thread.
pub fn running(n: usize, main: impl Future<Output = ()>) -> Result<f64> {
    runtime::Builder::new_current_thread()
        .build()?
        .block_on(async {
            let start = Instant::now();
            main.await;
            Ok(start.elapsed().as_secs_f64() / n as f64)
        })
}

fn asyncio_queue_of(queue: asyncio::Queue<usize>, n: usize) -> Result<f64> {
    let queue = Arc::new(queue);
    running(n, async move {
        let ours = queue.clone();
        let producer = tokio::spawn(async move {
            for i in 0..n {
                ours.put(i).await;
            }
        });
        let consumer = tokio::spawn(async move {
            for i in 0..n {
                assert_eq!(queue.get().await, i);
            }
        });
        producer.await.unwrap();
        consumer.await.unwrap();
    })
}

pub fn asyncio_queue(n: usize) -> Result<f64> {
    asyncio_queue_of(asyncio::Queue::new(), n)
}

pub fn asyncio_queue_of_one(n: usize) -> Result<f64> {
    asyncio_queue_of(asyncio::Queue::with_maxsize(1), n)
}

pub fn asyncio_tasks(n: usize) -> Result<f64> {
    async fn worker(num: usize) -> usize {
        yield_now().await;
        num
    }
    running(n, async move {
        let tasks: Vec<_> = (0..n).map(|i| tokio::spawn(worker(i))).collect();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), i);
        }
    })
}
