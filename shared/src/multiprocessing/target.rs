//! How a function crosses to another process: as its distance from a fixed
//! place in the program, for a child is the same image, loaded elsewhere.

use std::ptr::NonNull;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{decode, encode};
use super::error::Error;

/// The argument goes over as itself.
pub struct Owned;
/// The argument goes over as what it refers to.
pub struct Borrowed;

/// What can be an argument: a value that can be encoded and decoded, or a
/// reference to one. `Passing`, [`Owned`] or [`Borrowed`], is inferred.
pub trait Argument<Passing>: Sized {
    #[doc(hidden)]
    fn give(&self, buffer: &mut Vec<u8>) -> Result<(), Error>;
    #[doc(hidden)]
    fn take(bytes: &mut &[u8]) -> Result<Self, Error>;
}

impl<T: Serialize + DeserializeOwned> Argument<Owned> for T {
    fn give(&self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        encode(self, buffer)
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Error> {
        decode(bytes)
    }
}

impl<'a, T> Argument<Borrowed> for &'a T
where
    T: ToOwned + Serialize + ?Sized,
    T::Owned: DeserializeOwned + 'a,
{
    fn give(&self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        encode(self, buffer)
    }

    /// The value stays for the rest of the process, which is its target's.
    fn take(bytes: &mut &[u8]) -> Result<Self, Error> {
        let owned: &'a T::Owned = Box::leak(Box::new(decode(bytes)?));
        Ok(std::borrow::Borrow::borrow(owned))
    }
}

/// A function, or a closure that captures nothing, to be called with the tuple
/// `Args` in another process: Python's `target=` with `args=`.
///
/// Only the place of its code goes over. What a target needs, it is given as
/// arguments; one that captures does not compile:
///
/// ```compile_fail
/// use shared::multiprocessing::Process;
///
/// let captured = 1;
/// Process::new(move |x: i32| x + captured, (1,));
/// ```
pub trait Target<Args, Passing>: Copy {
    /// What it returns.
    type Output;

    #[doc(hidden)]
    fn give(args: &Args, buffer: &mut Vec<u8>) -> Result<(), Error>;
    #[doc(hidden)]
    fn take(bytes: &mut &[u8]) -> Result<Args, Error>;
    #[doc(hidden)]
    fn call(self, args: Args) -> Self::Output;
}

macro_rules! target {
    ($($A:ident $P:ident),*) => {
        impl<F, R, $($A, $P),*> Target<($($A,)*), ($($P,)*)> for F
        where
            F: Fn($($A),*) -> R + Copy,
            $($A: Argument<$P>,)*
        {
            type Output = R;

            #[allow(non_snake_case, unused_variables, reason = "one macro for any number")]
            fn give(($($A,)*): &($($A,)*), buffer: &mut Vec<u8>) -> Result<(), Error> {
                $($A.give(buffer)?;)*
                Ok(())
            }

            #[allow(unused_variables, reason = "one macro for any number, none included")]
            fn take(bytes: &mut &[u8]) -> Result<($($A,)*), Error> {
                Ok(($(<$A as Argument<$P>>::take(bytes)?,)*))
            }

            #[allow(non_snake_case, reason = "one macro for any number")]
            fn call(self, ($($A,)*): ($($A,)*)) -> R {
                self($($A),*)
            }
        }
    };
}

target!();
target!(A P);
target!(A P, B Q);
target!(A P, B Q, C S);
target!(A P, B Q, C S, D T);
target!(A P, B Q, C S, D T, E U);
target!(A P, B Q, C S, D T, E U, G V);
target!(A P, B Q, C S, D T, E U, G V, H W);
target!(A P, B Q, C S, D T, E U, G V, H W, I X);

/// The value of a type that has only one, as a function has.
pub(super) fn only<F: Copy>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "a target captures nothing: pass what it needs as arguments"
        );
    }
    // SAFETY: the type has no bytes to read. Whoever names it here was
    // given a value of it, in the parent, and it is `Copy`.
    unsafe { NonNull::<F>::dangling().read() }
}

/// The code that a child runs: it decodes arguments, calls the target and
/// encodes what that returns.
pub(super) type Entry = fn(&mut &[u8], &mut Vec<u8>) -> Result<(), Error>;

unsafe extern "C" {
    /// The bounds of the program's code, as the linker tells them.
    static __executable_start: u8;
    static etext: u8;
}

/// Where an entry is: how far behind the start of the program.
pub(super) fn distance(entry: Entry) -> Result<u64, Error> {
    let (start, end) = image();
    let address = entry as usize;
    if (start..end).contains(&address) {
        Ok((address - start) as u64)
    } else {
        Err(Error::InvalidInput(
            "a target must be in the program itself, not in a library".into(),
        ))
    }
}

/// The entry at a distance that [`distance`] told in this or the parent process.
///
/// # Safety
/// It did, and both are the same image.
pub(super) unsafe fn entry(distance: u64) -> Result<Entry, Error> {
    let (start, end) = image();
    let address = start
        .checked_add(distance as usize)
        .filter(|address| *address < end);
    let address = address.ok_or_else(|| Error::Corrupt("target: outside the program".into()))?;
    // SAFETY: an `Entry` of the parent was at this distance in the same image.
    Ok(unsafe { std::mem::transmute::<usize, Entry>(address) })
}

fn image() -> (usize, usize) {
    (
        &raw const __executable_start as usize,
        &raw const etext as usize,
    )
}
