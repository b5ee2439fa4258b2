//! The running of a target in a child: its code is found, called, and a panic in
//! it becomes a failure that can be sent.

use std::any::{Any, TypeId};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};

use super::error::Failure;
use super::target::{Entry, entry_at};

/// Runs the entry at this offset in the program, if there is one.
pub(super) fn run_entry(offset: Option<u64>, args: &'static [u8]) -> Result<Vec<u8>, Failure> {
    let mut result = Vec::new();
    if let Some(offset) = offset {
        call(resolve_entry(offset)?, args, &mut result)?;
    }
    Ok(result)
}

/// The entry at the offset that our parent sent.
pub(super) fn resolve_entry<'a>(offset: u64) -> Result<Entry<'a>, Failure> {
    // SAFETY: our parent sends only what it had from `entry_offset`, and it is the
    // same image as we are. For a process and an initializer that was an
    // `Entry<'static>`, and for a task one of any lifetime.
    unsafe { entry_at(offset) }.map_err(Failure::from)
}

thread_local! {
    /// Whether a panic here is the target's.
    static CALLING: Cell<bool> = const { Cell::new(false) };
    /// The last panics of this call.
    static PANICS: RefCell<VecDeque<Panic>> = const { RefCell::new(VecDeque::new()) };
}

/// How many panics of a call are kept. It takes more than one, because a target
/// may catch others while the one that ends it is on its way.
const PANICS_KEPT: usize = 8;

/// What the hook was told of a panic.
struct Panic {
    payload: TypeId,
    text: Option<String>,
    location: String,
    /// Its names are looked up only when it is told.
    backtrace: Backtrace,
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
            // To drop it may be to panic again, and again.
            if let Err(next) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(next);
            }
            Err(failure)
        }
    }
}

/// The failure for the panic that ended a call: the last of its panics that had
/// such a payload, since it may have caught others.
fn panicked(payload: &(dyn Any + Send), panics: VecDeque<Panic>) -> Failure {
    let text = text(payload);
    let noted = panics.into_iter().find(|panic| {
        // A text may have become a `String` only after the hook.
        panic.text.as_deref() == text && (text.is_some() || panic.payload == payload.type_id())
    });
    let (location, backtrace) = match noted {
        Some(panic) => (panic.location, panic.backtrace.to_string()),
        // No hook has seen it: `resume_unwind`, or the target's own hook.
        None => ("an unknown place".to_string(), String::new()),
    };
    Failure::Panicked {
        message: text.unwrap_or("a value that is not text").to_string(),
        location,
        backtrace,
    }
}

/// The text of a panic, if it has one.
fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied())
}

/// Keeps what a panic in a target says, besides printing it as ever.
pub(super) fn install_panic_hook() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        if CALLING.get() {
            let location = info.location().map(Location::to_string);
            let panic = Panic {
                payload: info.payload().type_id(),
                text: text(info.payload()).map(str::to_string),
                location: location.unwrap_or("an unknown place".to_string()),
                backtrace: Backtrace::force_capture(),
            };
            PANICS.with_borrow_mut(|panics| {
                panics.truncate(PANICS_KEPT - 1);
                panics.push_front(panic);
            });
        }
    }));
}
