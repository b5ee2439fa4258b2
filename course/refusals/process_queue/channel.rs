// line 15: error[E0277]
// en: A channel is memory of one process, so the child would send into a channel that nobody reads. For the same reason Python refuses to pickle a `queue.Queue`: `TypeError: cannot pickle '_thread.lock' object`.
// zh: 通道只是一个进程自己的内存，子进程发送的元素没有人读得到。同样的道理，Python 也不能用 pickle 序列化 `queue.Queue`：`TypeError: cannot pickle '_thread.lock' object`。

use shared::multiprocessing::{self, Process};
use std::sync::mpsc::{Sender, channel};

fn producer(q: Sender<i32>) {
    for i in 0..5 {
        q.send(i).unwrap();
        println!("Produced {i}");
    }
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls its target in here, and exits
    let (sender, receiver) = channel();

    let p1 = Process::new(producer, (sender,));

    let p1 = p1.start()?;
    p1.join()?;

    for item in receiver {
        println!("Consumed {item}");
    }
    Ok(())
}
