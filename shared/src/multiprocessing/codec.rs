//! Values as bytes, and the handles among them as descriptors.
//!
//! A *handle* is a [`Value`](super::Value), an [`Array`](super::Array), a
//! [`Queue`](super::Queue) or a [`Connection`](super::Connection): it refers to
//! memory or to a socket that several processes use.
//!
//! What is sent of a call to another process:
//!
//! - Of the target: the offset of its [`entry`](super::entry), and nothing else.
//! - Of an argument: its bytes, in the [`format`](super::format) of this crate. Of a
//!   reference, the bytes of what it refers to.
//! - Of a handle, as an argument or deep inside one: a duplicate of its descriptor,
//!   which travels beside the bytes, and among the bytes its number in the list of
//!   descriptors.
//!
//! A handle cannot be an item of a queue or an argument of a pool's task, because
//! these go through shared memory, which cannot carry a descriptor. Messages and
//! results could carry one, but follow the same rule.
//!
//! A handle is encoded by serde, which calls it from within the code of other
//! types and passes it nothing but a serializer of an unknown type. So the list of
//! descriptors is in a thread-local variable, `HANDLES`, while a value is encoded
//! or decoded. It is filled by [`collect_handles`] and read in
//! [`provide_handles`].
//!
//! Every module that sends values is above this one; below it is the format.

use std::any::{Any, TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};

use bytemuck::allocation::pod_collect_to_vec;
use bytemuck::{bytes_of, cast_slice, try_pod_read_unaligned};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::allocation::too_large;
use super::error::{Error, system};
use super::format::{Decoder, Encoder, Fault};

/// Appends the bytes of `value` to `buffer`.
pub(super) fn encode<T: Serialize>(value: &T, buffer: &mut Vec<u8>) -> Result<(), Error> {
    encode_next(value, &mut Encoder::new(buffer))
}

/// Appends `value` to a stream of values.
pub(super) fn encode_next<T: Serialize + ?Sized>(
    value: &T,
    encoder: &mut Encoder<'_>,
) -> Result<(), Error> {
    encoder
        .value(value)
        .map_err(|fault| Error::Encode(with_type::<T>(fault)))
}

/// Decodes the value at the front of `bytes`, and removes its bytes.
pub(super) fn decode<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, Error> {
    let mut decoder = decoder::<T>(bytes)?;
    let value = decode_next(&mut decoder)?;
    *bytes = decoder.rest();
    Ok(value)
}

/// Starts to decode a stream of values; an error names the type `T`.
pub(super) fn decoder<T>(bytes: &[u8]) -> Result<Decoder<'_>, Error> {
    Decoder::new(bytes).map_err(decode_error::<T>)
}

/// Decodes the next value of a stream.
pub(super) fn decode_next<'de, T: Deserialize<'de>>(
    decoder: &mut Decoder<'de>,
) -> Result<T, Error> {
    decoder.value().map_err(decode_error::<T>)
}

/// Decodes the next values of a stream, as many as the tuple has.
pub(super) fn decode_args<T: DeserializeOwned>(decoder: &mut Decoder<'_>) -> Result<T, Error> {
    decoder.tuple().map_err(decode_error::<T>)
}

/// Returns an error if anything follows the last value of a stream.
pub(super) fn expect_end<T>(decoder: &Decoder<'_>) -> Result<(), Error> {
    match decoder.rest().len() {
        0 => Ok(()),
        more => Err(Error::Decode(format!(
            "{}: {more} bytes are left over",
            type_name::<T>()
        ))),
    }
}

fn decode_error<T>(fault: Fault) -> Error {
    Error::Decode(with_type::<T>(fault))
}

/// What serde said, after the name of the type.
fn with_type<T: ?Sized>(fault: Fault) -> String {
    format!("{}: {fault}", type_name::<T>())
}

/// Calls a macro with the types of numbers. A message that is one number or one
/// vector of numbers consists of their own bytes, without tags.
macro_rules! for_each_number {
    ($do:ident) => {
        $do! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }
    };
}

/// Returns the bytes of a whole message. Those of a number and of a vector of
/// numbers are the value's own, because encoding them one by one would cost more
/// than all the rest of sending them. Another value is encoded into `buffer`.
pub(super) fn encode_message<'a, T: Serialize + 'static>(
    value: &'a T,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], Error> {
    let value = value as &dyn Any;
    macro_rules! bytes_of {
        ($($number:ty)*) => {
            $(if let Some(number) = value.downcast_ref::<$number>() {
                return Ok(bytes_of(number));
            }
            if let Some(numbers) = value.downcast_ref::<Vec<$number>>() {
                return Ok(cast_slice(numbers));
            })*
        };
    }
    for_each_number!(bytes_of);
    let value: &T = value.downcast_ref().expect("it is a T");
    encode(value, buffer)?;
    Ok(buffer)
}

/// Decodes a whole message. A `Vec<u8>` is `buffer` itself, which is empty then.
pub(super) fn decode_message<T: DeserializeOwned + 'static>(
    buffer: &mut Vec<u8>,
) -> Result<T, Error> {
    // A `Vec<u8>` is the buffer.
    if let Some(bytes) = same_type(|| mem::take(buffer)) {
        return Ok(bytes);
    }
    check_memory("a value", buffer.len())?;
    let wrong_length = || {
        let (name, len) = (type_name::<T>(), buffer.len());
        Error::Decode(format!("{name}: the message has {len} bytes"))
    };
    macro_rules! from_bytes {
        ($($number:ty)*) => {
            $(if TypeId::of::<T>() == TypeId::of::<$number>() {
                let number = try_pod_read_unaligned::<$number>(buffer).map_err(|_| wrong_length())?;
                return same_type(|| number).ok_or_else(wrong_length);
            }
            if TypeId::of::<T>() == TypeId::of::<Vec<$number>>() {
                if !buffer.len().is_multiple_of(size_of::<$number>()) {
                    return Err(wrong_length());
                }
                let numbers: Vec<$number> = pod_collect_to_vec(buffer);
                return same_type(|| numbers).ok_or_else(wrong_length);
            })*
        };
    }
    for_each_number!(from_bytes);
    let mut decoder = decoder::<T>(buffer)?;
    let value = decode_next(&mut decoder)?;
    expect_end::<T>(&decoder)?;
    Ok(value)
}

/// The value that `make` returns, as a `T`, if `T` and `U` are the same type.
fn same_type<T: 'static, U: 'static>(make: impl FnOnce() -> U) -> Option<T> {
    if TypeId::of::<T>() != TypeId::of::<U>() {
        return None;
    }
    let mut value = Some(make());
    (&mut value as &mut dyn Any)
        .downcast_mut::<Option<T>>()?
        .take()
}

/// Returns an error if there is too little memory to decode `len` bytes.
///
/// While a value is decoded, std's collections grow, and if there is no memory for
/// that, they abort the process. So this function asks for the memory beforehand:
/// for twice `len`, because a vector that grows to `len` bytes may take that much.
pub(super) fn check_memory(what: &str, len: usize) -> Result<(), Error> {
    const LARGE: usize = 1 << 20;
    if len > LARGE {
        let mut room = Vec::<u8>::new();
        room.try_reserve_exact(len.saturating_mul(2))
            .map_err(|_| too_large(what, len as u64))?;
        std::hint::black_box(&room);
    }
    Ok(())
}

/// Lends this thread's buffer, empty, so that not every message allocates one. A
/// buffer that has become large is not kept.
pub(super) fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    const KEEP: usize = 64 * 1024;
    thread_local!(static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });
    let mut buffer = BUFFER.take();
    buffer.clear();
    let result = work(&mut buffer);
    if buffer.capacity() <= KEEP {
        BUFFER.set(buffer);
    }
    result
}

thread_local! {
    /// The descriptors of the value that this thread is encoding or decoding;
    /// `None` where a handle is not allowed.
    static HANDLES: RefCell<Option<Vec<Option<OwnedFd>>>> = const { RefCell::new(None) };
}

/// Allows handles in this thread until it is dropped, which a panic does as well.
struct HandleScope {
    /// What `HANDLES` was before, because one scope may be inside another: a value
    /// may start a process while it is encoded.
    before: Option<Vec<Option<OwnedFd>>>,
}

impl HandleScope {
    fn allow(handles: Vec<Option<OwnedFd>>) -> Self {
        HandleScope {
            before: HANDLES.replace(Some(handles)),
        }
    }
}

impl Drop for HandleScope {
    fn drop(&mut self) {
        HANDLES.set(self.before.take());
    }
}

/// Runs `encode`, and returns the descriptors of the handles that it encodes, too.
pub(super) fn collect_handles<R>(
    encode: impl FnOnce() -> Result<R, Error>,
) -> Result<(R, Vec<OwnedFd>), Error> {
    let _scope = HandleScope::allow(Vec::new());
    let result = encode()?;
    let handles = HANDLES.take().unwrap_or_default();
    Ok((result, handles.into_iter().flatten().collect()))
}

/// Runs `decode`; the handles that it decodes take these descriptors.
pub(super) fn provide_handles<R>(handles: Vec<OwnedFd>, decode: impl FnOnce() -> R) -> R {
    let _scope = HandleScope::allow(handles.into_iter().map(Some).collect());
    decode()
}

/// Allows no more handles in the current scope, and closes the descriptors that
/// were not used: the arguments are decoded, and the target comes next.
pub(super) fn forbid_handles() {
    HANDLES.set(None);
}

const HANDLE_NOT_ALLOWED: &str = "a Value, Array, Queue or Connection can only be sent when a \
     process starts, as an argument of Process::new or of a pool's initializer";

/// Encodes a handle as the index of its descriptor.
pub(super) fn serialize_handle<S: Serializer>(
    handle: &impl AsFd,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let index: Result<u32, Error> = HANDLES.with_borrow_mut(|handles| {
        let handles = handles
            .as_mut()
            .ok_or_else(|| Error::InvalidInput(HANDLE_NOT_ALLOWED.into()))?;
        handles.push(Some(
            handle.as_fd().try_clone_to_owned().map_err(system("dup"))?,
        ));
        Ok(handles.len() as u32 - 1)
    });
    match index {
        Ok(index) => index.serialize(serializer),
        Err(error) => Err(S::Error::custom(error)),
    }
}

/// Decodes the index of a descriptor, and makes a handle of it with `open`.
pub(super) fn deserialize_handle<'de, D: Deserializer<'de>, R>(
    deserializer: D,
    open: impl FnOnce(OwnedFd) -> Result<R, Error>,
) -> Result<R, D::Error> {
    let index = u32::deserialize(deserializer)? as usize;
    let fd = HANDLES.with_borrow_mut(|handles| handles.as_mut()?.get_mut(index)?.take());
    let handle = fd
        .ok_or_else(|| Error::InvalidInput(HANDLE_NOT_ALLOWED.into()))
        .and_then(open);
    handle.map_err(D::Error::custom)
}
