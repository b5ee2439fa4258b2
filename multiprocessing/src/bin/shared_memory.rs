//! Let five processes add to a number and to an array that they share.
//!
//! Python: `shared_memory.py`
//! Run: `cargo run -p multiprocessing --bin shared_memory`
//! Differs:
//! - No update is lost, because the lock is held for the whole `+=`. Python
//!   takes it once to read and once more to write, and loses what another
//!   process adds in between.

use shared::multiprocessing::{self, Array, Process, Value};

fn worker(num: i32, shared_num: &Value<i32>, shared_arr: &Array<i32>) {
    // Each statement takes a lock and releases it at its end: at the semicolon,
    // and after the loop. `unwrap`: a process may have died with the lock.
    *shared_num.lock().unwrap() += num;
    for item in shared_arr.lock().unwrap().iter_mut() {
        *item += num;
    }
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls `worker` in here, and exits
    let shared_num = Value::new(0)?;
    let shared_arr = Array::new([1, 2, 3, 4, 5])?;

    let mut processes = Vec::new();
    for i in 0..5 {
        let p = Process::new(worker, (i, &shared_num, &shared_arr));
        processes.push(p.start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("shared_num: {}", shared_num.get());
    println!("shared_arr: {:?}", shared_arr.to_vec());
    Ok(())
}
