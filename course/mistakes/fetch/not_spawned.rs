// ends with code 0
// en: Calling `fetch` makes a future, and a future does nothing until it is awaited: the second page is asked for only after the first has come. `tokio::spawn` starts it at once, like `create_task`. (A `sleep` stands for the network here.)
// zh: 调用 `fetch` 只是创建一个 future，不等待就什么也不做：第一页拿到了，才去要第二页。`tokio::spawn` 会立刻启动，和 `create_task` 一样。（这里用 `sleep` 代替网络。）

use anyhow::Result;
use std::time::Duration;
use tokio::time::sleep;

async fn fetch(url: String) -> Result<String> {
    println!("Fetching {url}");
    sleep(Duration::from_millis(100)).await; // in the place of the network
    Ok(format!("The page of {url}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let hosts = ["example.com", "example.org", "example.net"];
    let urls = hosts.map(|host| format!("http://{host}"));
    let tasks = urls.map(fetch);
    for task in tasks {
        println!("{}", task.await?);
    }
    Ok(())
}
