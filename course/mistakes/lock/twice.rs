// never ends
// en: The thread waits for a lock that it holds itself: a deadlock. `threading.Lock` does the same; Python's `RLock` may be taken twice by one thread, and std has no public counterpart. Print `counter` instead.
// zh: 线程在等自己手里的锁：死锁（deadlock）。`threading.Lock` 也一样；Python 的 `RLock` 可以被同一个线程拿两次，标准库没有公开的对应类型。打印 `counter` 就行。

use std::{sync::Mutex, thread};

static COUNTER: Mutex<i32> = Mutex::new(0);

fn increment_counter() {
    // Locked until `counter` goes out of scope, as in the block of `with`.
    // `lock` returns an error if a thread panicked while it held the lock.
    let mut counter = COUNTER.lock().unwrap();
    let mut temp = *counter;
    temp += 1;
    *counter = temp;
    println!("Counting to {counter}");
    println!("The counter is {}", COUNTER.lock().unwrap());
}

fn main() {
    let t = thread::spawn(increment_counter);
    t.join().unwrap();
}
