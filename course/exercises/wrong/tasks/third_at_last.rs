//! Wrong: the third task is started when the workers have ended.
//! Fails with: the third task was not at work beside the workers

use futures::future::{BoxFuture, try_join_all};

struct Cleanup(fn());

impl Drop for Cleanup {
    fn drop(&mut self) {
        (self.0)();
    }
}

pub async fn run(
    worker: fn(u32) -> BoxFuture<'static, ()>,
    background: BoxFuture<'static, ()>,
    cleanup: fn(),
) {
    let tasks = (0..2).map(|i| tokio::spawn(worker(i)));
    try_join_all(tasks).await.unwrap();
    let third = tokio::spawn(async move {
        let _cleanup = Cleanup(cleanup);
        background.await;
    });
    tokio::task::yield_now().await;
    third.abort();
    let _ = third.await;
}
