use std::time::Duration;

use exercises::async_queue::collect;
use exercises::check::paused;
use shared::asyncio::Queue;
use tokio::time::{Instant, sleep, timeout};

const STUCK: &str = "`collect` did not return: does `get` have a limit?";
const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn items_are_collected_as_long_as_they_come() {
    paused(STUCK, || async {
        let queue = Queue::new();
        let start = Instant::now();
        let produce = async {
            for i in 0..5 {
                sleep(Duration::from_millis(600)).await;
                queue.put(i).await;
            }
        };
        let ((), items) = tokio::join!(produce, collect(&queue, PATIENCE));
        assert_eq!(
            items,
            [0, 1, 2, 3, 4],
            "an item that came in time was left in the queue"
        );
        let waited = start.elapsed();
        assert_eq!(
            waited.as_millis(),
            5 * 600 + 1000,
            "`collect` did not return a second after the last item"
        );
    });
}

#[test]
fn an_item_that_comes_too_late_stays_in_the_queue() {
    paused(STUCK, || async {
        let queue = Queue::new();
        let produce = async {
            queue.put(1).await;
            sleep(Duration::from_secs(2)).await;
            queue.put(2).await;
        };
        let ((), items) = tokio::join!(produce, collect(&queue, PATIENCE));
        assert_eq!(items, [1], "`collect` waited too long");
        assert_eq!(queue.try_get().ok(), Some(2), "the late item is lost");
    });
}

#[test]
fn each_item_is_done() {
    paused(STUCK, || async {
        let queue = Queue::new();
        for i in 0..3 {
            queue.put(i).await;
        }
        let joined = async { timeout(Duration::from_secs(60), queue.join()).await.is_ok() };
        let (joined, _) = tokio::join!(joined, collect(&queue, PATIENCE));
        assert!(
            joined,
            "`join` waits for an item that was taken: call `task_done` for each"
        );
    });
}
