//! How a function is named to another process: by its offset from the start of
//! the program, because a child runs the same program.

use std::ptr::NonNull;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{decode_next, encode_next};
use super::connection::Connection;
use super::error::Error;
use super::format::{Decoder, Encoder};
use super::queue::Queue;
use super::value::{Array, Value};

/// The argument is sent as it is.
pub struct Owned;
/// The value that the argument refers to is sent.
pub struct Borrowed;

/// What can be an argument of a process: a value that serde can write and read,
/// or a reference to one. `Passing`, [`Owned`] or [`Borrowed`], is inferred.
///
/// A `&str`, `&[u8]` or `&Path` can be passed, too, and values that contain
/// them, as a `Vec<&str>` does: what they refer to stays in the child's memory
/// until it ends.
///
/// ```
/// use shared::multiprocessing::{self, Process};
///
/// fn greet(name: &str) -> String {
///     format!("hello {name}")
/// }
///
/// fn main() -> Result<(), multiprocessing::Error> {
///     multiprocessing::init();
///     let greeting = Process::new(greet, ("bob",)).start()?.join()?;
///     assert_eq!(greeting, "hello bob");
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of another process",
    note = "an argument is `Serialize + Deserialize`, or a reference to such a value",
    note = "for a slice of your own type, pass a `&Vec<T>` or a `Vec<T>`, or implement `SliceItem`"
)]
pub trait Argument<Passing>: Sized {
    #[doc(hidden)]
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), Error>;
    /// The bytes stay for the rest of the process, which is its target's, and
    /// so does what a reference refers to.
    #[doc(hidden)]
    fn decode(decoder: &mut Decoder<'static>) -> Result<Self, Error>;
}

impl<T: Serialize + Deserialize<'static>> Argument<Owned> for T {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), Error> {
        encode_next(self, encoder)
    }

    fn decode(decoder: &mut Decoder<'static>) -> Result<Self, Error> {
        decode_next(decoder)
    }
}

impl<T: Referent + ?Sized> Argument<Borrowed> for &T {
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), Error> {
        encode_next(*self, encoder)
    }

    fn decode(decoder: &mut Decoder<'static>) -> Result<Self, Error> {
        T::decode(decoder)
    }
}

/// What a [`Borrowed`] argument refers to.
///
/// Not `str`, `[u8]` and `Path`: a reference to these is read by serde itself,
/// as [`Owned`], and if it could be both, `Passing` could not be inferred.
#[doc(hidden)]
pub trait Referent: Serialize {
    fn decode<'a>(decoder: &mut Decoder<'static>) -> Result<&'a Self, Error>
    where
        Self: 'a;
}

impl<T: Serialize + DeserializeOwned> Referent for T {
    fn decode<'a>(decoder: &mut Decoder<'static>) -> Result<&'a Self, Error>
    where
        Self: 'a,
    {
        Ok(Box::leak(Box::new(decode_next(decoder)?)))
    }
}

impl<T: SliceItem> Referent for [T] {
    fn decode<'a>(decoder: &mut Decoder<'static>) -> Result<&'a Self, Error>
    where
        Self: 'a,
    {
        Ok(decode_next::<Vec<T>>(decoder)?.leak())
    }
}

/// An item of a slice that can be passed to a process as `&[T]`: numbers, texts
/// and what std makes of them. To pass slices of your own type, implement it;
/// it has no methods. (A `&Vec<T>` can be passed without.)
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use shared::multiprocessing::{Process, SliceItem};
///
/// #[derive(Serialize, Deserialize)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// impl SliceItem for Point {}
///
/// fn count(points: &[Point]) -> usize {
///     points.len()
/// }
///
/// let points = [Point { x: 0.0, y: 1.0 }];
/// let process = Process::new(count, (&points[..],)); // has yet to be started
/// ```
pub trait SliceItem: Serialize + DeserializeOwned {}

macro_rules! slice_items {
    ($($type:ty)*) => { $(impl SliceItem for $type {})* };
}

// Bytes are missing here for the reason that `Referent` tells.
slice_items! {
    bool char i8 i16 i32 i64 i128 isize u16 u32 u64 u128 usize f32 f64
    String std::path::PathBuf std::time::Duration
}

impl SliceItem for () {}
impl<T: Serialize + DeserializeOwned> SliceItem for Option<T> {}
impl<T: Serialize + DeserializeOwned> SliceItem for Vec<T> {}
impl<T: Serialize + DeserializeOwned> SliceItem for Box<T> {}
impl<T> SliceItem for Value<T> where Value<T>: Serialize + DeserializeOwned {}
impl<T> SliceItem for Array<T> where Array<T>: Serialize + DeserializeOwned {}
impl<T> SliceItem for Queue<T> where Queue<T>: Serialize + DeserializeOwned {}
impl<S, R> SliceItem for Connection<S, R> where Connection<S, R>: Serialize + DeserializeOwned {}
impl<T, const N: usize> SliceItem for [T; N] where [T; N]: Serialize + DeserializeOwned {}

macro_rules! slice_items_of_tuples {
    ($($($T:ident)*;)*) => {
        $(impl<$($T: Serialize + DeserializeOwned),*> SliceItem for ($($T,)*) {})*
    };
}

slice_items_of_tuples! { A; A B; A B C; A B C D; A B C D E; A B C D E F; }

/// A function, or a closure that captures nothing, to be called with the tuple
/// `Args` in another process: Python's `target=` with `args=`.
///
/// Only the place of its code is sent. What a target needs, it is given as
/// arguments; one that captures does not compile (`cargo check` does not see
/// it, only `cargo build` does, because the size of a target is known so late):
///
/// ```compile_fail,E0080
/// use shared::multiprocessing::Process;
///
/// let captured = 1;
/// Process::new(move |x: i32| x + captured, (1,));
/// ```
///
/// Nor does a function pointer, since a variable can point to any function. To
/// choose between functions, choose between processes, or pass what decides:
///
/// ```
/// use shared::multiprocessing::Process;
///
/// fn square(n: i32) -> i32 {
///     n * n
/// }
///
/// fn cube(n: i32) -> i32 {
///     n * n * n
/// }
///
/// for name in ["square", "cube"] {
///     let process = match name {
///         "square" => Process::new(square, (3,)),
///         _ => Process::new(cube, (3,)),
///     };
/// }
/// ```
///
/// # What a closure can take along
/// A closure whose captures have no size, such as a token of size zero, is for
/// the compiler a closure that captures nothing. It is accepted, and in the
/// child there is such a token although nobody made it there. So a token must
/// not be captured that proves something *about this process*, for instance
/// that a library has been initialised. The bounds `Send`, `Sync` and `'static`
/// exclude tokens that belong to one thread or to one scope; others cannot be
/// told apart, because Rust has no way to ask what a closure captures.
///
/// ```compile_fail,E0277
/// use shared::multiprocessing::Process;
/// use std::marker::PhantomData;
///
/// #[derive(Clone, Copy)]
/// struct OnMainThread(PhantomData<*const ()>);
///
/// impl OnMainThread {
///     fn prove(self) {}
/// }
///
/// let token = OnMainThread(PhantomData);
/// Process::new(move || token.prove(), ());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be called with `{Args}` in another process",
    label = "a target takes exactly these arguments, eight at most",
    note = "a target is a function or a closure that captures nothing; its arguments are values that serde can write and read, or references to such values"
)]
pub trait Target<Args, Passing>: Copy + Send + Sync + 'static {
    /// What it returns.
    type Output;

    #[doc(hidden)]
    fn encode_args(args: &Args, encoder: &mut Encoder<'_>) -> Result<(), Error>;
    #[doc(hidden)]
    fn decode_args(decoder: &mut Decoder<'static>) -> Result<Args, Error>;
    #[doc(hidden)]
    fn call(self, args: Args) -> Self::Output;
}

macro_rules! target {
    ($($A:ident $P:ident),*) => {
        impl<F, R, $($A, $P),*> Target<($($A,)*), ($($P,)*)> for F
        where
            F: Fn($($A),*) -> R + Copy + Send + Sync + 'static,
            $($A: Argument<$P>,)*
        {
            type Output = R;

            #[allow(non_snake_case, unused_variables, reason = "one macro for any number")]
            fn encode_args(
                ($($A,)*): &($($A,)*),
                encoder: &mut Encoder<'_>,
            ) -> Result<(), Error> {
                $($A.encode(encoder)?;)*
                Ok(())
            }

            #[allow(unused_variables, reason = "one macro for any number, none included")]
            fn decode_args(decoder: &mut Decoder<'static>) -> Result<($($A,)*), Error> {
                Ok(($(<$A as Argument<$P>>::decode(decoder)?,)*))
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

/// The value of a target's type, which has no size and so only one value.
pub(super) fn zero_sized_value<F: Copy>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "a target is a function or a closure that captures nothing, because only the place \
             of its code is sent to the other process. If it captures: pass what it needs as \
             arguments. If it is a function pointer, as in a loop over functions: name each \
             function at a call of its own"
        );
    }
    // SAFETY: the type has no bytes to read. Whoever names it here was
    // given a value of it, in the parent, and it is `Copy`.
    unsafe { NonNull::<F>::dangling().read() }
}

/// The code that a child runs: it decodes arguments, calls the target and
/// encodes what that returns.
pub(super) type Entry<'a> = fn(&'a [u8], &mut Vec<u8>) -> Result<(), Error>;

unsafe extern "C" {
    /// The bounds of the program's code, which the linker defines.
    static __executable_start: u8;
    static etext: u8;
}

/// Where an entry is: its offset from the start of the program, which is the
/// same in a child, although the system may load it at another address.
pub(super) fn entry_offset(entry: Entry<'_>) -> Result<u64, Error> {
    let (start, end) = text_range();
    let address = entry as usize;
    if (start..end).contains(&address) {
        Ok((address - start) as u64)
    } else {
        Err(Error::InvalidInput(
            "a target must be in the program itself, not in a library".into(),
        ))
    }
}

/// The entry at an offset that [`entry_offset`] returned in this process or in
/// its parent.
///
/// # Safety
/// The offset is that of an entry with this lifetime, in the same program.
pub(super) unsafe fn entry_at<'a>(offset: u64) -> Result<Entry<'a>, Error> {
    let (start, end) = text_range();
    let address = usize::try_from(offset)
        .ok()
        .and_then(|offset| start.checked_add(offset))
        .filter(|address| *address < end)
        .ok_or_else(|| Error::Corrupt("target: outside the program".into()))?;
    // SAFETY: an `Entry` of the parent has this offset in the same program.
    Ok(unsafe { std::mem::transmute::<usize, Entry<'a>>(address) })
}

/// The addresses of the program's code.
fn text_range() -> (usize, usize) {
    (
        &raw const __executable_start as usize,
        &raw const etext as usize,
    )
}
