// line 6: error[E0277]
// en: A `Vec` is an address and a length; in another process that address leads to other memory, or to none. Python's `Value` refuses a list as well, with `TypeError` when the program runs.
// zh: `Vec` 由一个地址和一个长度组成，到了别的进程，这个地址指向别的内存，或者什么也没有。Python 的 `Value` 也不收列表，但要到运行时才抛出 `TypeError`。

use shared::multiprocessing::{self, Value};

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls `worker` in here, and exits
    let shared_num = Value::new(0)?;
    let shared_arr = Value::new(vec![1, 2, 3, 4, 5])?;

    println!("shared_num: {}", shared_num.get());
    Ok(())
}
