//! Wrong: the third task is awaited and not cancelled.
//! Fails with: `run` did not return

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
    let third = tokio::spawn(async move {
        let _cleanup = Cleanup(cleanup);
        background.await;
    });
    let tasks = (0..2).map(|i| tokio::spawn(worker(i)));
    try_join_all(tasks).await.unwrap();
    third.await.unwrap();
}
