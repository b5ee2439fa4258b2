//! Wrong: the line after the `await` is never reached.
//! Fails with: the third task did not clean up

use futures::future::{BoxFuture, try_join_all};

pub async fn run(
    worker: fn(u32) -> BoxFuture<'static, ()>,
    background: BoxFuture<'static, ()>,
    cleanup: fn(),
) {
    let third = tokio::spawn(async move {
        background.await;
        cleanup();
    });
    let tasks = (0..2).map(|i| tokio::spawn(worker(i)));
    try_join_all(tasks).await.unwrap();
    third.abort();
    let _ = third.await;
}
