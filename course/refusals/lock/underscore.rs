// line 11: error: non-binding let on a synchronization lock
// en: The guard would be dropped at once, at the semicolon, and the counter would change without the lock. The name must be `_guard`, because `_` keeps nothing. Python's counterpart is `with lock: pass`.
// zh: 守卫（guard）在分号处就被丢弃，修改计数器时已经没有锁。名字要写成 `_guard`，因为 `_` 什么也不留。相当于 Python 的 `with lock: pass`。

use std::sync::{
    Mutex,
    atomic::{AtomicI32, Ordering::Relaxed},
};
use std::thread;

static COUNTER: AtomicI32 = AtomicI32::new(0);
static LOCK: Mutex<()> = Mutex::new(());

fn increment_counter() {
    let _ = LOCK.lock().unwrap();
    let mut temp = COUNTER.load(Relaxed);
    temp += 1;
    COUNTER.store(temp, Relaxed);
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

    println!("Final counter value: {}", COUNTER.load(Relaxed));
}
