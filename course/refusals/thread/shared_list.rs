// line 26: error[E0382]
// en: In Python all threads append to the same list, and the GIL keeps the list whole. Here `move` gives the list to the first thread, so the second has none: share an `Arc<Mutex<Vec<i32>>>`, or return a value from each thread.
// zh: Python 里所有线程往同一个列表追加，由全局解释器锁（GIL）保证列表不坏。这里 `move` 把列表交给了第一个线程，第二个就没有了：可以共享 `Arc<Mutex<Vec<i32>>>`，也可以让每个线程返回一个值。

use std::thread;

/// The task that each thread runs.
fn worker(num: i32) {
    println!("Worker {num} is running");
}

fn main() {
    let mut threads = Vec::new();
    let mut finished = Vec::new();
    for i in 0..5 {
        // `move` copies `i` into the closure: the thread may outlive the loop.
        let t = thread::spawn(move || {
            worker(i);
            finished.push(i);
        });
        threads.push(t); // already running, because `spawn` starts it
    }

    // A thread that is not joined ends when `main` returns. Python would
    // still wait for it.
    for t in threads {
        t.join().unwrap();
    }

    println!("{finished:?} have finished.");
}
