//! Entries: the functions that a child calls.
//!
//! An entry knows the types of a target and its arguments. It decodes the
//! arguments, calls the target and encodes the result. The parent sends it as
//! its offset from the start of the executable. The child runs the same
//! executable, perhaps at another address, finds the function at that offset,
//! calls it, and turns a panic into a [`Failure`] that can be sent.
//!
//! Above this module are [`process`](super::process) and the pool, below it
//! [`target`](super::target).

use std::any::{Any, TypeId};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};

use serde::Serialize;

use super::codec::{decoder, encode, forbid_handles};
use super::error::{Error, Failure};
use super::target::{Target, zero_sized_value};

/// Takes the encoded arguments, appends the encoded result.
pub(super) type Entry<'a> = fn(&'a [u8], &mut Vec<u8>) -> Result<(), Error>;

/// The entry of a process, and of a pool's initializer.
pub(super) fn run_target<F, Args, Passing>(
    input: &'static [u8],
    output: &mut Vec<u8>,
) -> Result<(), Error>
where
    F: Target<Args, Passing>,
    F::Output: Serialize,
{
    let mut decoder = decoder::<Args>(input)?;
    let args = F::decode_args(&mut decoder)?;
    forbid_handles();
    encode(&zero_sized_value::<F>().call(args), output)
}

unsafe extern "C" {
    /// The linker defines these at the bounds of the executable's code.
    static __executable_start: u8;
    static etext: u8;
}

/// The addresses of the executable's code in this process.
fn text_range() -> (usize, usize) {
    (
        &raw const __executable_start as usize,
        &raw const etext as usize,
    )
}

/// The offset of an entry from the start of the executable, for the child.
pub(super) fn entry_offset(entry: Entry<'_>) -> Result<u64, Error> {
    let (start, end) = text_range();
    let address = entry as usize;
    if (start..end).contains(&address) {
        Ok((address - start) as u64)
    } else {
        Err(Error::InvalidInput(
            "the target is in a shared library; call it from a function of the executable \
             itself, and make that one the target"
                .into(),
        ))
    }
}

/// The entry at an offset that the parent got from [`entry_offset`].
pub(super) fn resolve_entry<'a>(offset: u64) -> Result<Entry<'a>, Failure> {
    let (start, end) = text_range();
    let address = usize::try_from(offset)
        .ok()
        .and_then(|offset| start.checked_add(offset))
        .filter(|address| *address < end)
        .ok_or_else(|| Error::Corrupt("target: its offset is outside the executable".into()))?;
    // SAFETY: the parent sends only offsets that `entry_offset` returned, and
    // this process runs the same executable, so an `Entry` starts here. That of a
    // process or an initializer is an `Entry<'static>`, and its caller lets the
    // bytes live as long; that of a task is an `Entry` of any lifetime.
    Ok(unsafe { mem::transmute::<usize, Entry<'a>>(address) })
}

/// Calls the entry at this offset, if there is one, and returns the encoded
/// result.
pub(super) fn run_entry(offset: Option<u64>, args: &'static [u8]) -> Result<Vec<u8>, Failure> {
    let mut result = Vec::new();
    if let Some(offset) = offset {
        call(resolve_entry(offset)?, args, &mut result)?;
    }
    Ok(result)
}

/// Calls an entry; a panic in it becomes a failure.
pub(super) fn call<'a>(
    entry: Entry<'a>,
    input: &'a [u8],
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    PANICS.take();
    CALLING.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| entry(input, output)));
    CALLING.set(false);
    let panics = PANICS.take();
    match outcome {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(payload) => {
            let failure = panicked(&*payload, panics);
            // A payload may panic when it is dropped, and so may the payload of
            // that panic, which is therefore leaked.
            if let Err(next) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(next);
            }
            Err(failure)
        }
    }
}

// `catch_unwind` returns the payload of a panic only. Its location and backtrace
// are known to the panic hook alone, which leaves them here for `call`.
thread_local! {
    /// Whether this thread runs an entry, so that its panics are the target's.
    static CALLING: Cell<bool> = const { Cell::new(false) };
    /// The last panics of this call, the latest one first.
    static PANICS: RefCell<VecDeque<PanicRecord>> = const { RefCell::new(VecDeque::new()) };
}

/// How many panics of a call are kept. More than one, because while the panic
/// that ends the call unwinds, the target's destructors may cause and catch
/// others.
const PANICS_KEPT: usize = 8;

/// What the panic hook learned of a panic.
struct PanicRecord {
    payload: TypeId,
    message: Option<String>,
    location: String,
    /// Captured without the names of the functions, which cost much more and are
    /// looked up only if the panic is reported.
    backtrace: Backtrace,
}

/// Makes each panic of a target leave a record. It is printed as before.
pub(super) fn install_panic_hook() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        if CALLING.get() {
            let location = info.location().map(Location::to_string);
            let record = PanicRecord {
                payload: info.payload().type_id(),
                message: message(info.payload()).map(str::to_string),
                location: location.unwrap_or(UNKNOWN_LOCATION.to_string()),
                backtrace: Backtrace::force_capture(),
            };
            PANICS.with_borrow_mut(|panics| {
                panics.truncate(PANICS_KEPT - 1);
                panics.push_front(record);
            });
        }
    }));
}

const UNKNOWN_LOCATION: &str = "an unknown place";

/// The failure for the panic that ended a call. Its record is the latest one
/// with the same message, or with the same type of payload if it has no message:
/// later ones are of panics that the target caught.
fn panicked(payload: &(dyn Any + Send), panics: VecDeque<PanicRecord>) -> Failure {
    let message = message(payload);
    let record = panics.into_iter().find(|record| {
        // Not by the type if there is a message, because std turns some messages
        // into a `String` only after the hook has run.
        record.message.as_deref() == message
            && (message.is_some() || record.payload == payload.type_id())
    });
    let (location, backtrace) = match record {
        Some(record) => (record.location, record.backtrace.to_string()),
        // `resume_unwind` calls no hook, and the target may have replaced ours.
        None => (UNKNOWN_LOCATION.to_string(), String::new()),
    };
    Failure::Panicked {
        message: message.unwrap_or("a value that is not text").to_string(),
        location,
        backtrace,
    }
}

/// The message in a panic's payload, or `None` for a value that is not a string.
///
/// `concurrent::futures` does the same in four lines of its own: the two are
/// under different features, and a module for both would be longer than they are.
fn message(payload: &(dyn Any + Send)) -> Option<&str> {
    let message = payload.downcast_ref::<String>().map(String::as_str);
    message.or(payload.downcast_ref::<&str>().copied())
}
