//! What can be called in another process, and with which arguments: the traits
//! [`Target`] and [`Argument`].
//!
//! Both are implemented here for every type that qualifies, so users name them
//! only in bounds. The value of a target is never sent. A function, or a closure
//! that captures nothing, is the only value of its type; the type is part of the
//! [`entry`](super::entry), and [`zero_sized_value`] makes the value again.

use std::ptr::NonNull;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{decode_next, encode_next};
use super::connection::Connection;
use super::error::Error;
use super::format::{Decoder, Encoder};
use super::queue::Queue;
use super::value::{Array, Value};

/// Marks an argument that is itself encoded and decoded.
pub struct Owned;
/// Marks an argument that is a reference: the value that it refers to is
/// encoded, and the target gets a reference to a copy of it.
pub struct Borrowed;

/// What can be an argument of a process: a value that serde can write and read,
/// or a reference to one. `Passing`, [`Owned`] or [`Borrowed`], is inferred.
///
/// A `&str`, `&[u8]` or `&Path` can be passed, too, and so can values that
/// contain them, such as a `Vec<&str>`. What a reference refers to stays in the
/// child's memory until the child ends.
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
    /// The bytes, and what a reference refers to, stay in memory until the
    /// process ends, because it exists only to run this target.
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

/// A type that a [`Borrowed`] argument can refer to.
///
/// `str`, `[u8]` and `Path` are not among them: serde itself can read a reference
/// to these, so it is [`Owned`]. If it could be both, `Passing` could not be
/// inferred.
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

/// An item of a slice that can be passed to a process as `&[T]`: a number, a
/// `String`, a `Vec` and so on. To pass slices of your own type, implement this
/// trait, which has no methods, or pass a `&Vec<T>`, which needs no trait.
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
/// let process = Process::new(count, (&points[..],)); // not started yet
/// ```
pub trait SliceItem: Serialize + DeserializeOwned {}

macro_rules! slice_items {
    ($($type:ty)*) => { $(impl SliceItem for $type {})* };
}

// Without `u8`, for the reason given at `Referent`.
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
/// Only the place of its code is sent, so a target cannot capture variables: pass
/// what it needs as arguments. A closure that captures does not compile. That is
/// an error of `cargo build` and not yet of `cargo check`, because the size of a
/// type parameter is known only when code is generated:
///
/// ```compile_fail,E0080
/// use shared::multiprocessing::Process;
///
/// let captured = 1;
/// Process::new(move |x: i32| x + captured, (1,));
/// ```
///
/// A function pointer does not compile, either, because it can point to any
/// function. To choose between functions, name each of them in a call of its own,
/// or pass the choice as an argument:
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
/// # Captured values of size zero
/// Rust has no way to ask what a closure captures, only how large it is. A
/// closure that captures only values of size zero, such as a token, is therefore
/// accepted, and a copy of the token appears in the child, although nothing made
/// it there. Do not capture a token that proves something *about this process*,
/// for instance that a library has been initialised. The bounds `Send`, `Sync`
/// and `'static` exclude tokens that belong to one thread or to one scope:
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
    /// What the target returns.
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

/// The value of a target's type, which has no size and so only this one value.
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
    // SAFETY: the type has no bytes to read, so any aligned pointer will do. A
    // value of it exists, because the parent was given one to name the type, and
    // it is `Copy`, so that there may be another one.
    unsafe { NonNull::<F>::dangling().read() }
}
