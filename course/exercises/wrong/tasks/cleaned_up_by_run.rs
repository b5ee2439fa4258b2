//! Wrong: `run` cleans up, and not the third task.
//! Fails with: `cleanup` was not called by the third task

use futures::future::{BoxFuture, try_join_all};

pub async fn run(
    worker: fn(u32) -> BoxFuture<'static, ()>,
    background: BoxFuture<'static, ()>,
    cleanup: fn(),
) {
    let third = tokio::spawn(background);
    let tasks = (0..2).map(|i| tokio::spawn(worker(i)));
    try_join_all(tasks).await.unwrap();
    third.abort();
    let _ = third.await;
    cleanup();
}
