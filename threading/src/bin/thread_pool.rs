//! Hand five numbers to a pool of four threads.
//!
//! Python: `thread_pool.py`
//! Run: `cargo run -p threading --bin thread_pool`

use shared::concurrent::futures::ThreadPoolExecutor;

fn square(n: i32) -> i32 {
    n * n
}

fn main() {
    // Dropping the executor waits for its threads, as leaving `with` does.
    let executor = ThreadPoolExecutor::new(4);
    let results: Vec<i32> = executor.map(square, [1, 2, 3, 4, 5]).collect();
    println!("{results:?}");
}
