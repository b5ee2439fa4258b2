//! `shared::asyncio::Queue`, and tokio's tasks, which are asyncio's in Rust.

use std::sync::Arc;

use shared::asyncio::Queue;
use tokio::task::yield_now;

use crate::common::Result;
use crate::timing::per_operation_async;

fn through(queue: Queue<usize>, n: usize) -> Result<f64> {
    let queue = Arc::new(queue);
    per_operation_async(n, async move {
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

pub fn queue(n: usize) -> Result<f64> {
    through(Queue::new(), n)
}

pub fn queue_of_one(n: usize) -> Result<f64> {
    through(Queue::with_maxsize(1), n)
}

pub fn tasks(n: usize) -> Result<f64> {
    async fn worker(num: usize) -> usize {
        yield_now().await;
        num
    }
    per_operation_async(n, async move {
        let tasks: Vec<_> = (0..n).map(|i| tokio::spawn(worker(i))).collect();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), i);
        }
    })
}
