// ends with code 0
// en: The guard of the first statement is dropped at its semicolon, so the lock is free between reading and writing. The barrier makes every thread read before any of them writes; without it that happens now and then.
// zh: 第一条语句的守卫（guard）在分号处就丢弃了，读和写之间没有锁。这里用屏障让所有线程都读完再写；没有屏障，这种情况也会偶尔发生。

use std::{
    sync::{Barrier, Mutex},
    thread,
};

static COUNTER: Mutex<i32> = Mutex::new(0);
static ALL_HAVE_READ: Barrier = Barrier::new(100);

fn increment_counter() {
    let temp = *COUNTER.lock().unwrap();
    ALL_HAVE_READ.wait();
    *COUNTER.lock().unwrap() = temp + 1;
}

fn main() {
    let mut threads = Vec::new();
    for _ in 0..100 {
        let t = thread::spawn(increment_counter);
        threads.push(t);
    }

    for t in threads {
        t.join().unwrap();
    }

    println!("Final counter value: {} of 100", COUNTER.lock().unwrap());
}
