//! The works done with the crates that others would reach for.

use crate::frame::per_operation;
use crate::{MEBIBYTE, Result};

fn square(n: i64) -> i64 {
    n * n
}

/// `std::thread::spawn`'s likeness for processes, and a pool of them.
pub mod procspawn {
    use std::collections::VecDeque;

    use ::procspawn::{JoinHandle, Pool, spawn};

    use super::*;

    /// More tasks than this in flight run out of file descriptors: each has
    /// four.
    const IN_FLIGHT: usize = 64;

    pub fn process_start(n: usize) -> Result<f64> {
        per_operation(n, || {
            for _ in 0..n {
                spawn((), |()| ()).join()?;
            }
            Ok(())
        })
    }

    pub fn pool_life(n: usize) -> Result<f64> {
        per_operation(n, || {
            for _ in 0..n {
                let pool = Pool::new(4)?;
                let handles: Vec<_> = (1..=5).map(|i| pool.spawn(i, square)).collect();
                for (i, handle) in (1..).zip(handles) {
                    assert_eq!(handle.join()?, i * i);
                }
                pool.shutdown();
            }
            Ok(())
        })
    }

    pub fn pool_workers(n: usize) -> Result<f64> {
        per_operation(n, || {
            let pool = Pool::new(n)?;
            map(&pool, n)?;
            pool.shutdown();
            Ok(())
        })
    }

    pub fn pool_map_one_by_one(n: usize) -> Result<f64> {
        let pool = Pool::new(2)?;
        map(&pool, n)?;
        per_operation(n, || map(&pool, n))
    }

    fn map(pool: &Pool, n: usize) -> Result<()> {
        let mut handles = VecDeque::new();
        for i in 0..n as i64 {
            if handles.len() == IN_FLIGHT {
                take_first(&mut handles)?;
            }
            handles.push_back((i, pool.spawn(i, square)));
        }
        while !handles.is_empty() {
            take_first(&mut handles)?;
        }
        Ok(())
    }

    fn take_first(handles: &mut VecDeque<(i64, JoinHandle<i64>)>) -> Result<()> {
        let (i, handle) = handles.pop_front().ok_or("no task in flight")?;
        assert_eq!(handle.join()?, i * i);
        Ok(())
    }

    pub fn pool_apply(n: usize) -> Result<f64> {
        let pool = Pool::new(2)?;
        map(&pool, 2)?;
        per_operation(n, || {
            for i in 0..n as i64 {
                assert_eq!(pool.spawn(i, square).join()?, i * i);
            }
            Ok(())
        })
    }
}

/// Servo's typed channels between processes.
pub mod ipc_channel {
    use std::process::{Child, Stdio};

    use ::ipc_channel::ipc::{
        self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender,
    };
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::child;

    /// Starts a child in the given role, which hands over its ends of the
    /// channels first.
    fn meet<T: Serialize + DeserializeOwned>(role: &str, args: &[&str]) -> Result<(Child, T)> {
        let (server, name) = IpcOneShotServer::<T>::new()?;
        let args = [&[name.as_str()], args].concat();
        let child = child(role, &args, Stdio::null(), Stdio::null())?;
        Ok((child, server.accept()?.1))
    }

    pub fn queue(n: usize) -> Result<f64> {
        let (mut child, receiver): (_, IpcReceiver<i64>) = meet("ipc-produce", &[&n.to_string()])?;
        assert_eq!(receiver.recv()?, -1);
        let elapsed = per_operation(n, || {
            for i in 0..n as i64 {
                assert_eq!(receiver.recv()?, i);
            }
            Ok(())
        })?;
        assert!(child.wait()?.success());
        Ok(elapsed)
    }

    pub fn produce(server: &str, n: &str) -> Result<()> {
        let (sender, receiver) = ipc::channel::<i64>()?;
        IpcSender::connect(server.to_string())?.send(receiver)?;
        sender.send(-1)?;
        for i in 0..n.parse()? {
            sender.send(i)?;
        }
        Ok(())
    }

    pub fn queue_mebibytes(n: usize) -> Result<f64> {
        queue_of_bytes(MEBIBYTE, n)
    }

    pub fn queue_item_size(size: usize) -> Result<f64> {
        queue_of_bytes(size, (256 * MEBIBYTE / size).clamp(8, 50_000))
    }

    fn queue_of_bytes(size: usize, n: usize) -> Result<f64> {
        let args = [&size.to_string()[..], &n.to_string()];
        let (mut child, receiver): (_, IpcBytesReceiver) = meet("ipc-produce-bytes", &args)?;
        assert_eq!(receiver.recv()?, []);
        let elapsed = per_operation(n, || {
            for i in 0..n {
                let item = receiver.recv()?;
                assert_eq!(item.len(), size);
                assert_eq!([item[0], item[size - 1]], [i as u8; 2]);
            }
            Ok(())
        })?;
        assert!(child.wait()?.success());
        Ok(elapsed)
    }

    pub fn produce_bytes(server: &str, size: &str, n: &str) -> Result<()> {
        let (sender, receiver) = ipc::bytes_channel()?;
        IpcSender::connect(server.to_string())?.send(receiver)?;
        sender.send(&[])?;
        let size = size.parse()?;
        for i in 0..n.parse::<usize>()? {
            sender.send(&vec![i as u8; size])?;
        }
        Ok(())
    }

    pub fn pipe_round_trip(n: usize) -> Result<f64> {
        type Ends = (IpcSender<i64>, IpcReceiver<i64>);
        let (mut child, (sender, receiver)): (_, Ends) = meet("ipc-echo", &[])?;
        let elapsed = per_operation(n, || {
            for i in 0..n as i64 {
                sender.send(i)?;
                assert_eq!(receiver.recv()?, i);
            }
            Ok(())
        })?;
        drop(sender);
        assert!(child.wait()?.success());
        Ok(elapsed)
    }

    pub fn echo(server: &str) -> Result<()> {
        let ((to_us, ours), (theirs, from_us)) = (ipc::channel()?, ipc::channel()?);
        IpcSender::connect(server.to_string())?.send((to_us, from_us))?;
        while let Ok(item) = ours.recv() {
            let item: i64 = item;
            theirs.send(item)?;
        }
        Ok(())
    }

    pub fn pipe_large(n: usize) -> Result<f64> {
        type Ends = (IpcBytesSender, IpcBytesReceiver);
        let (mut child, (sender, receiver)): (_, Ends) = meet("ipc-echo-bytes", &[])?;
        let mut item = vec![0; 16 * MEBIBYTE];
        let elapsed = per_operation(n, || {
            for i in 0..n {
                *item.last_mut().ok_or("no last byte")? = i as u8;
                sender.send(&item)?;
                let answer = receiver.recv()?;
                assert_eq!(answer.len(), item.len());
                assert_eq!(answer.last(), item.last());
            }
            Ok(())
        })?;
        drop(sender);
        assert!(child.wait()?.success());
        Ok(elapsed)
    }

    pub fn echo_bytes(server: &str) -> Result<()> {
        let ((to_us, ours), (theirs, from_us)) = (ipc::bytes_channel()?, ipc::bytes_channel()?);
        IpcSender::connect(server.to_string())?.send((to_us, from_us))?;
        while let Ok(item) = ours.recv() {
            theirs.send(&item)?;
        }
        Ok(())
    }
}

/// A pool of threads whose tasks send their results through a channel, as its
/// documentation has it.
pub mod threadpool {
    use std::sync::mpsc::channel;

    use ::threadpool::ThreadPool;

    use super::*;

    pub fn executor_map(n: usize) -> Result<f64> {
        let pool = ThreadPool::new(4);
        let mut results = vec![0; n];
        let elapsed = per_operation(n, || {
            let (sender, receiver) = channel();
            for i in 0..n {
                let sender = sender.clone();
                pool.execute(move || sender.send((i, square(i as i64))).unwrap());
            }
            for (i, result) in receiver.iter().take(n) {
                results[i] = result;
            }
            Ok(())
        })?;
        assert!(results.into_iter().eq((0..n as i64).map(square)));
        Ok(elapsed)
    }

    pub fn executor_submit(n: usize) -> Result<f64> {
        let pool = ThreadPool::new(4);
        per_operation(n, || {
            for i in 0..n as i64 {
                let (sender, receiver) = channel();
                pool.execute(move || sender.send(square(i)).unwrap());
                assert_eq!(receiver.recv()?, i * i);
            }
            Ok(())
        })
    }
}

/// The channels that tokio has where `asyncio` has a queue.
pub mod tokio_mpsc {
    use tokio::sync::mpsc;

    use super::*;
    use crate::ours::running;

    pub fn asyncio_queue(n: usize) -> Result<f64> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        running(n, async move {
            let producer = tokio::spawn(async move {
                for i in 0..n {
                    sender.send(i).unwrap();
                }
            });
            let consumer = tokio::spawn(async move {
                for i in 0..n {
                    assert_eq!(receiver.recv().await, Some(i));
                }
            });
            producer.await.unwrap();
            consumer.await.unwrap();
        })
    }

    pub fn asyncio_queue_of_one(n: usize) -> Result<f64> {
        let (sender, mut receiver) = mpsc::channel(1);
        running(n, async move {
            let producer = tokio::spawn(async move {
                for i in 0..n {
                    sender.send(i).await.unwrap();
                }
            });
            let consumer = tokio::spawn(async move {
                for i in 0..n {
                    assert_eq!(receiver.recv().await, Some(i));
                }
            });
            producer.await.unwrap();
            consumer.await.unwrap();
        })
    }
}
