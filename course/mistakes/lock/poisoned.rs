// ends with code 101: PoisonError
// en: A thread that panics while it holds the lock may have left the counter half changed, so the lock is poisoned, and `unwrap` makes the next thread panic, too. Python's `with` releases the lock, and nobody learns of it. `unwrap_or_else(PoisonError::into_inner)` goes on as Python does.
// zh: 线程拿着锁时发生 panic，计数器可能只改了一半，于是锁中毒（poisoned），`unwrap` 让下一个线程也发生 panic。Python 的 `with` 只是释放锁，没人知道出过错。要像 Python 那样继续，用 `unwrap_or_else(PoisonError::into_inner)`。

use std::{sync::Mutex, thread};

static COUNTER: Mutex<i32> = Mutex::new(0);

fn increment_counter() {
    // Locked until `counter` goes out of scope, as in the block of `with`.
    // `lock` returns an error if a thread panicked while it held the lock.
    let mut counter = COUNTER.lock().unwrap();
    let mut temp = *counter;
    temp += 1;
    *counter = temp;
    assert!(*counter != 1, "the first thread fails");
}

fn main() {
    for _ in 0..2 {
        let t = thread::spawn(increment_counter);
        let _ = t.join();
    }

    println!("Final counter value: {}", COUNTER.lock().unwrap());
}
