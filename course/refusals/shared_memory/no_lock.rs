// line 4: error[E0368]
// en: This would be the Python program: one process reads, another reads, both write, and an update is lost. A `Value` gives its number only to a caller that locks it.
// zh: 那就成了 Python 的程序：一个进程读，另一个进程也读，两边都写回，丢了一次更新。不加锁，`Value` 就不交出里面的数。

use shared::multiprocessing::{self, Array, Process, Value};

fn worker(num: i32, shared_num: &Value<i32>, shared_arr: &Array<i32>) {
    *shared_num += num;
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
