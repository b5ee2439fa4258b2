//! Let five processes add to a number and to an array that they share.
//!
//! Python: `shared_memory.py`
//! Run: `cargo run -p multiprocessing --bin shared_memory`
//! Differs:
//! - No update is lost: one guard spans the whole `+=`. Python's takes the
//!   lock to read and again to write, and what others add in between is lost.

use shared::multiprocessing::{self, Array, Process, Value};

fn worker(num: i32, shared_num: &Value<i32>, shared_arr: &Array<i32>) {
    // A guard lives as long as its statement: this line, and all of the loop.
    *shared_num.lock().unwrap() += num;
    for item in shared_arr.lock().unwrap().iter_mut() {
        *item += num;
    }
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init();
    let shared_num = Value::new(0)?;
    let shared_arr = Array::new([1, 2, 3, 4, 5])?;

    let mut processes = Vec::new();
    for i in 0..5 {
        let p = Process::new(worker, (i, &shared_num, &shared_arr)).start()?;
        processes.push(p);
    }

    for p in processes {
        p.join()?;
    }

    println!("shared_num: {}", shared_num.get());
    println!("shared_arr: {:?}", shared_arr.to_vec());
    Ok(())
}
