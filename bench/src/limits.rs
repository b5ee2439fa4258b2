//! The works done with bare system calls. They give none of the guarantees of
//! `shared`, so they show how fast the machine can be.

use std::fs::File;
use std::hint::black_box;
use std::io::{ErrorKind, Read, Write, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::common::{MEBIBYTE, Result, start_role};
use crate::robust::Counter;
use crate::timing::per_operation;

pub fn process_start(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            run_side_by_side(1)?;
        }
        Ok(())
    })
}

pub fn pool_life(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            run_side_by_side(4)?;
        }
        Ok(())
    })
}

pub fn pool_workers(n: usize) -> Result<f64> {
    per_operation(n, || run_side_by_side(n))
}

fn run_side_by_side(processes: usize) -> Result<()> {
    let children: Vec<Child> = (0..processes)
        .map(|_| start_role("exit", &[], Stdio::null(), Stdio::null()))
        .collect::<Result<_>>()?;
    for mut child in children {
        assert!(child.wait()?.success());
    }
    Ok(())
}

pub fn copies_of_a_mebibyte(n: usize) -> Result<f64> {
    copy_in_and_out(MEBIBYTE, n)
}

pub fn copies_of_size(size: usize) -> Result<f64> {
    copy_in_and_out(size, (256 * MEBIBYTE / size).min(MEBIBYTE))
}

/// The two copies that no queue of bytes can do without: into shared memory and
/// out of it.
fn copy_in_and_out(size: usize, n: usize) -> Result<f64> {
    let (mut put, mut ring, mut got) = (vec![0; size], vec![0; size], vec![0; size]);
    per_operation(n, || {
        for i in 0..n {
            put[0] = i as u8;
            black_box(&mut ring).copy_from_slice(black_box(&put));
            black_box(&mut got).copy_from_slice(black_box(&ring));
            assert_eq!(got[0], i as u8);
        }
        Ok(())
    })
}

/// A backlog of 256 MiB in fresh shared memory, written and read with system
/// calls and never mapped, which is the cheapest way that is known. Memory that
/// has been read is given back to the system.
pub fn backlog_of_size(size: usize) -> Result<f64> {
    let n = 256 * MEBIBYTE / size;
    let file = File::from(memfd_create("backlog", MFdFlags::MFD_CLOEXEC)?);
    let (mut put, mut got) = (vec![0; size], vec![0; size]);
    let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    per_operation(n, || {
        for i in 0..n {
            // To make the item is a part of the work of a queue's user.
            put.fill(i as u8);
            file.write_all_at(&put, (i * size) as u64)?;
        }
        for i in 0..n {
            file.read_exact_at(&mut got, (i * size) as u64)?;
            assert_eq!(got[0], i as u8);
            fallocate(&file, punch, (i * size) as i64, size as i64)?;
        }
        Ok(())
    })
}

pub fn pipe_round_trip(n: usize) -> Result<f64> {
    echo_of(8, n)
}

pub fn pipe_large(n: usize) -> Result<f64> {
    echo_of(16 * MEBIBYTE, n)
}

fn echo_of(size: usize, n: usize) -> Result<f64> {
    let (mut socket, theirs) = UnixStream::pair()?;
    let mut child = start_role(
        "echo",
        &[&size.to_string()],
        OwnedFd::from(theirs),
        Stdio::null(),
    )?;
    let (mut item, mut answer) = (vec![1; size], vec![0; size]);
    socket.write_all(&item)?;
    socket.read_exact(&mut answer)?;
    let elapsed = per_operation(n, || {
        for i in 0..n {
            item[size - 1] = i as u8;
            socket.write_all(&item)?;
            socket.read_exact(&mut answer)?;
            assert_eq!(answer[size - 1], i as u8);
        }
        Ok(())
    })?;
    drop(socket);
    assert!(child.wait()?.success());
    Ok(elapsed)
}

/// Runs in the child, whose stdin is the socket.
pub fn echo(size: &str) -> Result<()> {
    let mut socket = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    let mut item = vec![0; size.parse()?];
    loop {
        match socket.read_exact(&mut item) {
            Ok(()) => socket.write_all(&item)?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

pub fn value_alone(n: usize) -> Result<f64> {
    let counter = Counter::create(&shared_file()?)?;
    let elapsed = per_operation(n, || increment(&counter, n))?;
    assert_eq!(counter.increment()?, n as i32 + 1);
    Ok(elapsed)
}

pub fn value_shared(n: usize) -> Result<f64> {
    let file = shared_file()?;
    let counter = Counter::create(&file)?;
    let (mut socket, theirs) = UnixStream::pair()?;
    let mut child = start_role("increment", &[&n.to_string()], OwnedFd::from(theirs), file)?;
    let mut signal = [0];
    socket.read_exact(&mut signal)?;
    let elapsed = per_operation(2 * n, || {
        socket.write_all(&signal)?;
        increment(&counter, n)?;
        Ok(socket.read_exact(&mut signal)?)
    })?;
    assert!(child.wait()?.success());
    assert_eq!(counter.increment()?, 2 * n as i32 + 1);
    Ok(elapsed)
}

/// Runs in the child, whose stdin is the socket and whose stdout is the shared
/// file.
pub fn increment_on_signal(n: &str) -> Result<()> {
    let mut socket = UnixStream::from(stdin().as_fd().try_clone_to_owned()?);
    let counter = Counter::open(&stdout().as_fd().try_clone_to_owned()?.into())?;
    let mut signal = [0];
    socket.write_all(&signal)?;
    socket.read_exact(&mut signal)?;
    increment(&counter, n.parse()?)?;
    Ok(socket.write_all(&signal)?)
}

fn increment(counter: &Counter, n: usize) -> Result<()> {
    (0..n).try_for_each(|_| counter.increment().map(drop))
}

fn shared_file() -> Result<File> {
    let file = File::from(memfd_create("counter", MFdFlags::MFD_CLOEXEC)?);
    file.set_len(Counter::SIZE)?;
    Ok(file)
}
