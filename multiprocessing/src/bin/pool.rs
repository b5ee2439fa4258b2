//! Hand five numbers to a pool of four processes.
//!
//! Python: `pool.py`
//! Run: `cargo run -p multiprocessing --bin pool`

use shared::multiprocessing::{self, Pool};

fn square(n: i32) -> i32 {
    n * n
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child runs its tasks in here, and exits
    // Dropping the pool ends its processes, as leaving `with` does.
    let p = Pool::new(4)?;
    let results = p.map(square, [1, 2, 3, 4, 5])?;
    println!("{results:?}");
    Ok(())
}
