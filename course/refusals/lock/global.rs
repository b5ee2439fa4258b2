// line 6: error[E0133]
// en: This is Python's `global counter` without its lock: two threads read the same number, and increments are lost. In Rust it would be a data race, after which anything may happen.
// zh: 这就是没有锁的 `global counter`：两个线程读到同一个数，就会丢失更新。在 Rust 里这是数据竞争（data race），之后会发生什么都没有保证。

use std::thread;

static mut COUNTER: i32 = 0;

fn increment_counter() {
    COUNTER += 1;
}

fn main() {
    let mut threads = Vec::new();
    for _ in 0..1000 {
        let t = thread::spawn(increment_counter);
        threads.push(t);
    }

    for t in threads {
        t.join().unwrap();
    }
}
