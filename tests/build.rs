//! Makes the private functions of examples available to `pressure.rs`:
//! `include!` takes a file only without its `//!` header.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    for example in [
        "multiprocessing/src/bin/shared_memory.rs",
        "threading/src/bin/lock.rs",
        "threading/src/bin/thread_queue.rs",
    ] {
        let path = Path::new("..").join(example);
        println!("cargo::rerun-if-changed={}", path.display());
        let source = fs::read_to_string(&path)?;
        let body: Vec<_> = source
            .lines()
            .filter(|line| !line.starts_with("//!"))
            .collect();
        fs::write(
            Path::new(&out).join(path.file_name().expect("a file")),
            body.join("\n"),
        )?;
    }
    Ok(())
}
