//! tokio's channels, which take the place of `asyncio`'s queue.

use tokio::sync::mpsc;

use crate::common::Result;
use crate::timing::per_operation_async;

pub fn queue(n: usize) -> Result<f64> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    per_operation_async(n, async move {
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

pub fn queue_of_one(n: usize) -> Result<f64> {
    let (sender, mut receiver) = mpsc::channel(1);
    per_operation_async(n, async move {
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
