//! Wrong: each worker is awaited before the next one starts.
//! Fails with: the workers ran one after the other

use futures::future::BoxFuture;

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
    for i in 0..2 {
        tokio::spawn(worker(i)).await.unwrap();
    }
    third.abort();
    let _ = third.await;
}
