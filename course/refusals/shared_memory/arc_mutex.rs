// line 20: error[E0277]
// en: An `Arc` points into the memory of one process. Another process has no such memory, so each child would count in a copy of its own and the parent would print 0, as Python does for a global variable.
// zh: `Arc` 指向一个进程自己的内存，别的进程没有这块内存。每个子进程只会在自己的副本里计数，父进程打印 0，和 Python 的全局变量一样。

use shared::multiprocessing::{self, Array, Process};
use std::sync::{Arc, Mutex};

fn worker(num: i32, shared_num: Arc<Mutex<i32>>, shared_arr: &Array<i32>) {
    // Each statement takes a lock and releases it at its end: at the semicolon,
    // and after the loop. `unwrap`: a process may have died with the lock.
    *shared_num.lock().unwrap() += num;
    for item in shared_arr.lock().unwrap().iter_mut() {
        *item += num;
    }
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls `worker` in here, and exits
    let shared_num = Arc::new(Mutex::new(0));
    let shared_arr = Array::new([1, 2, 3, 4, 5])?;

    let mut processes = Vec::new();
    for i in 0..5 {
        let p = Process::new(worker, (i, shared_num.clone(), &shared_arr));
        processes.push(p.start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("shared_num: {}", shared_num.lock().unwrap());
    println!("shared_arr: {:?}", shared_arr.to_vec());
    Ok(())
}
