use shared::multiprocessing::{self, Pool};
use std::time::*;
pub fn square(n: i64) -> i64 { n * n }
fn main() {
    multiprocessing::init();
    let pool = Pool::new(2).unwrap();
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let s = Instant::now();
    for _ in 0..n { let r = pool.map(square, 0..200_000i64).unwrap(); assert_eq!(r.len(), 200_000); }
    eprintln!("{} M/s", 0.2 * n as f64 / s.elapsed().as_secs_f64());
}
