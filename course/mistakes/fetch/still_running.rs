// ends with code 0
// en: `try_join_all` returns at the first failure and drops the other handles. That does not cancel their tasks: two pages are fetched for nobody. `asyncio.gather` leaves them running, too. `asyncio.TaskGroup` cancels them, and so does a `JoinSet` when it is dropped.
// zh: `try_join_all` 遇到第一个失败就返回，并丢弃其余的句柄。任务并不会因此取消：两个页面白取了。`asyncio.gather` 也让它们继续运行。`asyncio.TaskGroup` 会取消它们，`JoinSet` 丢弃时也会。

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use std::time::Duration;
use tokio::{sync::Semaphore, time::sleep};

static FETCHED: Semaphore = Semaphore::const_new(0);

async fn fetch(url: String) -> Result<String> {
    ensure!(!url.ends_with(".org"), "cannot fetch {url}");
    sleep(Duration::from_millis(100)).await; // in the place of the network
    println!("Fetched {url}");
    FETCHED.add_permits(1);
    Ok(url)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let hosts = ["example.com", "example.org", "example.net"];
    let urls = hosts.map(|host| format!("http://{host}"));
    let tasks = urls.map(fetch).map(tokio::spawn);
    if let Err(error) = try_join_all(tasks.map(async |task| task.await?)).await {
        println!("Given up: {error}");
    }
    // The program goes on, and so do two tasks.
    let _fetched = FETCHED.acquire_many(2).await?;
    Ok(())
}
