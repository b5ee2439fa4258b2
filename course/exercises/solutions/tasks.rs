//! An aborted task has ended when its handle has been awaited.

use futures::future::{BoxFuture, try_join_all};

/// Calls a function when it is dropped, as `finally` does.
struct Cleanup(fn());

impl Drop for Cleanup {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `worker(0)`, `worker(1)` and `background` until both workers have
/// ended. Returns when `cleanup` has been called.
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
    third.abort();
    // The error says that the task was cancelled, as it should be.
    let _ = third.await;
}
