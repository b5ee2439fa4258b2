// line 6: error[E0368]
// en: Python runs it: a lock that nobody takes protects nothing, and increments are lost. Here the counter is inside the lock, and there is no other way to it.
// zh: Python 照样运行：没人拿的锁什么也保护不了，会丢失更新。这里计数器在锁里面，没有别的路可走。

use std::{sync::Mutex, thread};

static COUNTER: Mutex<i32> = Mutex::new(0);

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

    println!("Final counter value: {}", COUNTER.lock().unwrap());
}
