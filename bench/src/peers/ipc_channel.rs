//! ipc-channel: Servo's typed channels between processes.

use std::process::{Child, Stdio};

use ::ipc_channel::ipc::{
    self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::common::{MEBIBYTE, Result, start_role};
use crate::inputs::Person;
use crate::timing::{let_the_producer_begin, per_operation};

/// Starts a child in the given role and receives its ends of the channels.
fn meet<T: Serialize + DeserializeOwned>(role: &str, args: &[&str]) -> Result<(Child, T)> {
    let (server, name) = IpcOneShotServer::<T>::new()?;
    let args = [&[name.as_str()], args].concat();
    let child = start_role(role, &args, Stdio::null(), Stdio::null())?;
    Ok((child, server.accept()?.1))
}

pub fn queue(n: usize) -> Result<f64> {
    let (mut child, receiver): (_, IpcReceiver<i64>) = meet("ipc-produce", &[&n.to_string()])?;
    assert_eq!(receiver.recv()?, -1);
    let elapsed = per_operation(n, || {
        for i in 0..n as i64 {
            assert_eq!(receiver.recv()?, i);
        }
        Ok(())
    })?;
    assert!(child.wait()?.success());
    Ok(elapsed)
}

pub fn produce(server: &str, n: &str) -> Result<()> {
    let (sender, receiver) = ipc::channel::<i64>()?;
    IpcSender::connect(server.to_string())?.send(receiver)?;
    sender.send(-1)?;
    for i in 0..n.parse()? {
        sender.send(i)?;
    }
    Ok(())
}

pub fn queue_of_people(n: usize) -> Result<f64> {
    type Receiver = IpcReceiver<Option<Person>>;
    let (mut child, receiver): (_, Receiver) = meet("ipc-produce-people", &[&n.to_string()])?;
    assert_eq!(receiver.recv()?, None);
    let elapsed = per_operation(n, || {
        for id in 0..n as i64 {
            let person = receiver.recv()?.ok_or("no person")?;
            assert!(person.is(id, id as u32 % 90));
        }
        Ok(())
    })?;
    assert!(child.wait()?.success());
    Ok(elapsed)
}

pub fn produce_people(server: &str, n: &str) -> Result<()> {
    let (sender, receiver) = ipc::channel::<Option<Person>>()?;
    IpcSender::connect(server.to_string())?.send(receiver)?;
    sender.send(None)?;
    for id in 0..n.parse()? {
        sender.send(Some(Person::new(id)))?;
    }
    Ok(())
}

pub fn queue_of_mebibytes(n: usize) -> Result<f64> {
    queue_of_bytes(MEBIBYTE, n)
}

pub fn queue_of_size(size: usize) -> Result<f64> {
    queue_of_bytes(size, (512 * MEBIBYTE / size).clamp(8, 200_000))
}

fn queue_of_bytes(size: usize, n: usize) -> Result<f64> {
    let args = [&size.to_string()[..], &n.to_string()];
    let (mut child, receiver): (_, IpcBytesReceiver) = meet("ipc-produce-bytes", &args)?;
    assert_eq!(receiver.recv()?, []);
    let_the_producer_begin();
    let elapsed = per_operation(n, || {
        for i in 0..n {
            let item = receiver.recv()?;
            assert_eq!(item.len(), size);
            assert_eq!([item[0], item[size - 1]], [i as u8; 2]);
        }
        Ok(())
    })?;
    assert!(child.wait()?.success());
    Ok(elapsed)
}

pub fn produce_bytes(server: &str, size: &str, n: &str) -> Result<()> {
    let (sender, receiver) = ipc::bytes_channel()?;
    IpcSender::connect(server.to_string())?.send(receiver)?;
    sender.send(&[])?;
    let size = size.parse()?;
    for i in 0..n.parse::<usize>()? {
        sender.send(&vec![i as u8; size])?;
    }
    Ok(())
}

pub fn pipe_round_trip(n: usize) -> Result<f64> {
    type Ends = (IpcSender<i64>, IpcReceiver<i64>);
    let (mut child, (sender, receiver)): (_, Ends) = meet("ipc-echo", &[])?;
    let elapsed = per_operation(n, || {
        for i in 0..n as i64 {
            sender.send(i)?;
            assert_eq!(receiver.recv()?, i);
        }
        Ok(())
    })?;
    drop(sender);
    assert!(child.wait()?.success());
    Ok(elapsed)
}

pub fn echo(server: &str) -> Result<()> {
    let ((to_us, ours), (theirs, from_us)) = (ipc::channel()?, ipc::channel()?);
    IpcSender::connect(server.to_string())?.send((to_us, from_us))?;
    while let Ok(item) = ours.recv() {
        let item: i64 = item;
        theirs.send(item)?;
    }
    Ok(())
}

pub fn pipe_large(n: usize) -> Result<f64> {
    type Ends = (IpcBytesSender, IpcBytesReceiver);
    let (mut child, (sender, receiver)): (_, Ends) = meet("ipc-echo-bytes", &[])?;
    let mut item = vec![0; 16 * MEBIBYTE];
    let elapsed = per_operation(n, || {
        for i in 0..n {
            *item.last_mut().ok_or("no last byte")? = i as u8;
            sender.send(&item)?;
            let answer = receiver.recv()?;
            assert_eq!(answer.len(), item.len());
            assert_eq!(answer.last(), item.last());
        }
        Ok(())
    })?;
    drop(sender);
    assert!(child.wait()?.success());
    Ok(elapsed)
}

pub fn echo_bytes(server: &str) -> Result<()> {
    let ((to_us, ours), (theirs, from_us)) = (ipc::bytes_channel()?, ipc::bytes_channel()?);
    IpcSender::connect(server.to_string())?.send((to_us, from_us))?;
    while let Ok(item) = ours.recv() {
        theirs.send(&item)?;
    }
    Ok(())
}
