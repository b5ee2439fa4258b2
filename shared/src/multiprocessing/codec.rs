//! How values become bytes, and how the handles among them cross over: as
//! their descriptors, beside the bytes.

use std::any::{Any, TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};

use postcard::ser_flavors::Flavor;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Error, system};

thread_local! {
    /// The descriptors beside the bytes that are being encoded or decoded in
    /// this thread; `None` where handles may not go.
    static HANDLES: RefCell<Option<Vec<Option<OwnedFd>>>> = const { RefCell::new(None) };
    /// What went wrong with a handle; postcard's errors carry no text.
    static REASON: RefCell<Option<Error>> = const { RefCell::new(None) };
}

struct Buffer<'a>(&'a mut Vec<u8>);

impl Flavor for Buffer<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // Numbers come as a few bytes, for which a copy in a loop beats a call.
        if bytes.len() <= 16 {
            bytes.iter().for_each(|byte| self.0.push(*byte));
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends the bytes of `value`.
pub(super) fn encode<T: Serialize>(value: &T, buffer: &mut Vec<u8>) -> Result<(), Error> {
    postcard::serialize_with_flavor(value, Buffer(buffer))
        .map_err(|error| Error::Encode(reason::<T>(error)))
}

/// Takes a value off the front of `bytes`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, Error> {
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| Error::Decode(reason::<T>(error)))?;
    *bytes = rest;
    Ok(value)
}

fn reason<T>(error: postcard::Error) -> String {
    match REASON.take() {
        Some(reason) => format!("{}: {reason}", type_name::<T>()),
        None => format!("{}: {error}", type_name::<T>()),
    }
}

/// The whole of a message, in `buffer` if it has to be encoded. A `Vec<u8>` is
/// its own message: to encode it byte by byte would cost more than all the rest.
pub(super) fn encode_message<'a, T: Serialize + 'static>(
    value: &'a T,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], Error> {
    if let Some(bytes) = (value as &dyn Any).downcast_ref::<Vec<u8>>() {
        return Ok(bytes);
    }
    encode(value, buffer)?;
    Ok(buffer)
}

/// The value of a whole message, which may be moved out of `buffer`.
pub(super) fn decode_message<T: DeserializeOwned + 'static>(
    buffer: &mut Vec<u8>,
) -> Result<T, Error> {
    if TypeId::of::<T>() == TypeId::of::<Vec<u8>>() {
        let bytes: Box<dyn Any> = Box::new(mem::take(buffer));
        return Ok(*bytes.downcast().expect("it is a Vec<u8>"));
    }
    let mut rest = &buffer[..];
    let value = decode(&mut rest)?;
    match rest.len() {
        0 => Ok(value),
        more => Err(Error::Decode(format!(
            "{}: {more} bytes too many",
            type_name::<T>()
        ))),
    }
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
    let index = HANDLES.with_borrow_mut(|handles| {
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
        Err(error) => {
            REASON.set(Some(error));
            Err(S::Error::custom(ELSEWHERE))
        }
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
    handle.map_err(|error| {
        REASON.set(Some(error));
        D::Error::custom(ELSEWHERE)
    })
}
