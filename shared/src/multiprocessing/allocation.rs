//! Allocations whose size comes from another process. One that fails is an
//! error of the call, whereas std would end the process.

use super::error::Error;

/// Reserves space for `len` more bytes; returns whether there is that much
/// memory.
#[inline]
pub(super) fn reserve(buffer: &mut Vec<u8>, len: u64) -> bool {
    usize::try_from(len).is_ok_and(|len| {
        let reserved = buffer.try_reserve(len);
        // `try_reserve` asks for more than `len`, which may be what fails.
        reserved.or_else(|_| buffer.try_reserve_exact(len)).is_ok()
    })
}

/// The error for a message or an item that does not fit in memory.
#[cold]
pub(super) fn too_large(what: &str, len: u64) -> Error {
    Error::Decode(format!(
        "{what} of {len} bytes: there is not enough memory for it"
    ))
}
