// ends with code 0
// en: A panic in a call is kept in its future until somebody asks for the `result`. `let _` throws the future away, so the program exits 0. Python does not even print the message.
// zh: 调用里的 panic 存在它的 future 里，有人取 `result` 才看得到。`let _` 把 future 丢了，程序的退出码就是 0。Python 连错误信息都不打印。

use shared::concurrent::futures::ThreadPoolExecutor;

fn square(n: i32) -> i32 {
    assert!(n != 3, "{n} has no square");
    n * n
}

fn main() {
    // Dropping the executor waits for its threads, as leaving `with` does.
    let executor = ThreadPoolExecutor::new(4);
    for n in [1, 2, 3, 4, 5] {
        let _ = executor.submit(move || square(n));
    }
    println!("All squares are submitted.");
}
