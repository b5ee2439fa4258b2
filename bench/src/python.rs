//! Python's side: `contenders.py`, started once for each measurement.

use std::sync::LazyLock;

use tests::python;

use crate::Result;

/// Whether there is one that is new enough.
pub fn exists() -> bool {
    static EXISTS: LazyLock<bool> = LazyLock::new(|| {
        let script = "import sys; assert sys.version_info >= (3, 11)";
        let output = python().args(["-c", script]).output();
        output.is_ok_and(|output| output.status.success())
    });
    *EXISTS
}

pub fn run(function: &str, n: usize) -> Result<f64> {
    let output = python()
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/contenders.py"))
        .args([function, &n.to_string()])
        .output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {stderr}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
