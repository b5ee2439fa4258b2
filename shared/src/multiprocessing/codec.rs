//! How values become bytes, and how the handles among them cross over: as
//! their descriptors, beside the bytes.

use std::any::{Any, TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};

use bytemuck::allocation::pod_collect_to_vec;
use bytemuck::{bytes_of, cast_slice, try_pod_read_unaligned};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Error, system};
use super::format::{Decoder, Encoder, Fault};
use super::memory::too_large;

thread_local! {
    /// The descriptors beside the bytes that are being encoded or decoded in
    /// this thread; `None` where handles may not go.
    static HANDLES: RefCell<Option<Vec<Option<OwnedFd>>>> = const { RefCell::new(None) };
}

/// Appends the bytes of `value`.
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
        .map_err(|fault| Error::Encode(told_of::<T>(fault)))
}

/// Takes a value off the front of `bytes`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, Error> {
    let mut decoder = decoder::<T>(bytes)?;
    let value = decode_next(&mut decoder)?;
    *bytes = decoder.rest();
    Ok(value)
}

/// The stream of values that `bytes` are, `T` among them.
pub(super) fn decoder<T>(bytes: &[u8]) -> Result<Decoder<'_>, Error> {
    Decoder::new(bytes).map_err(unreadable::<T>)
}

/// Takes the next value out of a stream.
pub(super) fn decode_next<'de, T: Deserialize<'de>>(
    decoder: &mut Decoder<'de>,
) -> Result<T, Error> {
    decoder.value().map_err(unreadable::<T>)
}

/// Takes the next values out of a stream, as many as the tuple has.
pub(super) fn decode_args<T: DeserializeOwned>(decoder: &mut Decoder<'_>) -> Result<T, Error> {
    decoder.tuple().map_err(unreadable::<T>)
}

/// Refuses what follows the last value of a stream.
pub(super) fn expect_end<T>(decoder: &Decoder<'_>) -> Result<(), Error> {
    match decoder.rest().len() {
        0 => Ok(()),
        more => Err(Error::Decode(format!(
            "{}: {more} bytes too many",
            type_name::<T>()
        ))),
    }
}

fn unreadable<T>(fault: Fault) -> Error {
    Error::Decode(told_of::<T>(fault))
}

/// What serde said, and of which type.
fn told_of<T: ?Sized>(fault: Fault) -> String {
    format!("{}: {fault}", type_name::<T>())
}

/// Goes through the types whose values are their own bytes in a message.
macro_rules! for_each_number {
    ($do:ident) => {
        $do! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }
    };
}

/// The whole of a message, in `buffer` if it has to be encoded. A number, and a
/// vector of numbers, are their own bytes: to encode them one by one would cost
/// more than all the rest.
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

/// The value of a whole message, which may be moved out of `buffer`.
pub(super) fn decode_message<T: DeserializeOwned + 'static>(
    buffer: &mut Vec<u8>,
) -> Result<T, Error> {
    if let Some(bytes) = is(|| mem::take(buffer)) {
        return Ok(bytes);
    }
    check_memory("a value", buffer.len())?;
    let no_number = || {
        let (name, len) = (type_name::<T>(), buffer.len());
        Error::Decode(format!("{name}: {len} bytes are none"))
    };
    macro_rules! from_bytes {
        ($($number:ty)*) => {
            $(if TypeId::of::<T>() == TypeId::of::<$number>() {
                let number = try_pod_read_unaligned::<$number>(buffer).map_err(|_| no_number())?;
                return is(|| number).ok_or_else(no_number);
            }
            if TypeId::of::<T>() == TypeId::of::<Vec<$number>>() {
                if !buffer.len().is_multiple_of(size_of::<$number>()) {
                    return Err(no_number());
                }
                let numbers: Vec<$number> = pod_collect_to_vec(buffer);
                return is(|| numbers).ok_or_else(no_number);
            })*
        };
    }
    for_each_number!(from_bytes);
    let mut decoder = decoder::<T>(buffer)?;
    let value = decode_next(&mut decoder)?;
    expect_end::<T>(&decoder)?;
    Ok(value)
}

/// The value that `make` returns, if it is a `T`.
fn is<T: 'static, U: 'static>(make: impl FnOnce() -> U) -> Option<T> {
    if TypeId::of::<T>() != TypeId::of::<U>() {
        return None;
    }
    let mut value = Some(make());
    (&mut value as &mut dyn Any)
        .downcast_mut::<Option<T>>()?
        .take()
}

/// Refuses to decode so many bytes where memory is short, because std would end
/// the process. It asks once for as much as a vector takes that grows to this
/// size.
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

/// Lends this thread's buffer, empty, so that not every message allocates one.
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

/// Allows handles in this thread until it is dropped, a panic included.
struct Handles(Option<Vec<Option<OwnedFd>>>);

impl Handles {
    fn allow(handles: Vec<Option<OwnedFd>>) -> Self {
        Handles(HANDLES.replace(Some(handles)))
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        HANDLES.set(self.0.take());
    }
}

/// Runs `encode`; the handles that it encodes give their descriptors.
pub(super) fn with_handles<R>(
    encode: impl FnOnce() -> Result<R, Error>,
) -> Result<(R, Vec<OwnedFd>), Error> {
    let _scope = Handles::allow(Vec::new());
    let result = encode()?;
    let handles = HANDLES.take().unwrap_or_default();
    Ok((result, handles.into_iter().flatten().collect()))
}

/// Runs `decode`; the handles that it decodes take these descriptors.
pub(super) fn from_handles<R>(handles: Vec<OwnedFd>, decode: impl FnOnce() -> R) -> R {
    let _scope = Handles::allow(handles.into_iter().map(Some).collect());
    decode()
}

/// From here on handles may not go, until the scope ends as well.
pub(super) fn forbid_handles() {
    HANDLES.set(None);
}

const ELSEWHERE: &str =
    "a handle goes to a process as an argument when it starts, and in no other way";

/// Encodes a handle as the place of its descriptor among all.
pub(super) fn serialize_handle<S: Serializer>(
    handle: &impl AsFd,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let index: Result<u32, Error> = HANDLES.with_borrow_mut(|handles| {
        let handles = handles
            .as_mut()
            .ok_or_else(|| Error::InvalidInput(ELSEWHERE.into()))?;
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

/// Decodes a handle with `open`, from its descriptor.
pub(super) fn deserialize_handle<'de, D: Deserializer<'de>, R>(
    deserializer: D,
    open: impl FnOnce(OwnedFd) -> Result<R, Error>,
) -> Result<R, D::Error> {
    let index = u32::deserialize(deserializer)? as usize;
    let fd = HANDLES.with_borrow_mut(|handles| handles.as_mut()?.get_mut(index)?.take());
    let handle = fd
        .ok_or_else(|| Error::InvalidInput(ELSEWHERE.into()))
        .and_then(open);
    handle.map_err(D::Error::custom)
}
