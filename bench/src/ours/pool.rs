//! `shared::multiprocessing::Pool`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;

use shared::multiprocessing::{Error, Pool};

use crate::common::Result;
use crate::inputs::{LINES, Person, WORDS, birthday, count_words, square, text};
use crate::timing::per_operation;

pub fn life(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            let pool = Pool::new(4)?;
            assert_eq!(pool.map(square, [1, 2, 3, 4, 5])?, [1, 4, 9, 16, 25]);
        }
        Ok(())
    })
}

pub fn workers(n: usize) -> Result<f64> {
    per_operation(n, || {
        let pool = Pool::new(n)?;
        let results = pool.map_chunked(square, 0..n as i64, 1)?;
        assert!(results.into_iter().eq((0..n as i64).map(square)));
        Ok(())
    })
}

/// Maps `n` numbers on a warm pool, repeated `times` times.
fn map_on(
    workers: usize,
    times: usize,
    n: usize,
    do_map: impl Fn(&Pool, Range<i64>) -> std::result::Result<Vec<i64>, Error>,
) -> Result<f64> {
    let pool = Pool::new(workers)?;
    let mut results = do_map(&pool, 0..n as i64)?;
    let elapsed = per_operation(times * n, || {
        for _ in 0..times {
            results = do_map(&pool, 0..n as i64)?;
        }
        Ok(())
    })?;
    assert!(results.into_iter().eq((0..n as i64).map(square)));
    Ok(elapsed)
}

pub fn map_often(times: usize) -> Result<f64> {
    map_on(2, times, 200_000, |pool, items| pool.map(square, items))
}

pub fn map(n: usize) -> Result<f64> {
    map_on(2, 1, n, |pool, items| pool.map(square, items))
}

pub fn map_one_by_one(n: usize) -> Result<f64> {
    map_on(2, 1, n, |pool, items| pool.map_chunked(square, items, 1))
}

pub fn tasks_on_workers(workers: usize) -> Result<f64> {
    map_on(workers, 1, 200_000, |pool, items| {
        pool.map_chunked(square, items, 1)
    })
}

pub fn apply(n: usize) -> Result<f64> {
    let pool = Pool::new(2)?;
    assert_eq!(pool.apply(square, (3,))?, 9);
    per_operation(n, || {
        for i in 0..n as i64 {
            assert_eq!(pool.apply(square, (i,))?, i * i);
        }
        Ok(())
    })
}

/// Maps 20 000 people on a warm pool, repeated `times` times.
pub fn map_people(times: usize) -> Result<f64> {
    const PEOPLE: i64 = 20_000;
    let pool = Pool::new(2)?;
    let people: Vec<Person> = (0..PEOPLE).map(Person::new).collect();
    let mut results = pool.map(birthday, people.clone())?;
    let copies = vec![people; times];
    let elapsed = per_operation(times * PEOPLE as usize, || {
        for people in copies {
            results = pool.map(birthday, people)?;
        }
        Ok(())
    })?;
    assert_eq!(results.len(), PEOPLE as usize);
    for (id, person) in (0..).zip(results) {
        assert!(person.is(id, Person::new(id).age + 1));
    }
    Ok(elapsed)
}

fn lines() -> Result<impl Iterator<Item = String>> {
    Ok(BufReader::new(File::open(text()?)?)
        .lines()
        .map(|line| line.unwrap()))
}

/// Counts the words of a whole file.
pub fn imap_lines(_: usize) -> Result<f64> {
    let pool = Pool::new(2)?;
    assert_eq!(pool.apply(square, (3,))?, 9);
    per_operation(1, || {
        let counts = pool.imap(count_words, lines()?);
        let counts: Vec<usize> = counts.collect::<std::result::Result<_, _>>()?;
        assert_eq!(counts.len(), LINES);
        assert_eq!(counts.into_iter().sum::<usize>(), WORDS);
        Ok(())
    })
}

/// Counts the words of a whole file whose lines are all in memory.
pub fn map_lines(_: usize) -> Result<f64> {
    let pool = Pool::new(2)?;
    assert_eq!(pool.apply(square, (3,))?, 9);
    per_operation(1, || {
        let counts = pool.map(count_words, lines()?)?;
        assert_eq!(counts.len(), LINES);
        assert_eq!(counts.into_iter().sum::<usize>(), WORDS);
        Ok(())
    })
}
