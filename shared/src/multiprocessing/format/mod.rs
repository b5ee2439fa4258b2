//! The format in which values are sent: serde's data model as bytes.
//!
//! The format is self-describing, as JSON is: every value starts with a *tag* that
//! says what kind of value it is, and fields and variants go by their names. Smaller
//! formats leave that out, because the reader's type says what comes next. But a
//! type may write something else than its definition suggests. A field may be
//! skipped, flattened or renamed, an enum may be untagged, a `serde_json::Value` may
//! be anything. Such a type has to ask its deserializer what comes next, and a
//! format that cannot answer reads a wrong value or none.
//!
//! # Layout
//!
//! ```text
//! stream    = run value*              the arguments of a process or of a pool's
//!                                     task, or one value
//! run       = MIXED                   each value has a tag of its own
//!           | tag of a number         all values are such numbers, without tags
//! value     = [tag] contents
//! count     = u8 below 255 | 255 u64
//!
//! contents of
//!   a number     = its bytes, as many as the type has
//!   NONE, UNIT   = nothing
//!   SOME         = value
//!   STR, BYTES   = count bytes
//!   SEQ          = count run value*   also tuples and arrays
//!   MAP          = count (value value)*
//!   STRUCT       = count (name value)*
//!   UNIT_VARIANT = name
//!   VARIANT      = name value
//!
//! name      = index u8 below 254      the name that was given this index
//!           | 254 count bytes         a new name, which is given the next index
//!           | 255 count bytes         a new name, when all indices are given
//! ```
//!
//! So a vector of numbers is a tag, a count, and the numbers' own bytes, and the
//! names of a struct's fields are written once for all structs of a stream. Numbers
//! are in native byte order, because both processes run on the same machine.
//!
//! [`Encoder`] and [`Decoder`] are serde's serializer and deserializer for this
//! format. Above them is [`codec`](super::codec).

mod decode;
mod encode;

use std::fmt::{self, Display};

use serde::{de, ser};

pub use self::decode::Decoder;
pub use self::encode::Encoder;

/// The format's error type: what serde, or a type's own implementation of serde's
/// traits, said. It is one pointer, so that a result with a number in it is still
/// returned in registers.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "a `Box<str>` is two pointers")]
pub struct Fault(Box<String>);

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: Display>(text: T) -> Self {
        Fault(Box::new(text.to_string()))
    }
}

impl de::Error for Fault {
    fn custom<T: Display>(text: T) -> Self {
        Fault(Box::new(text.to_string()))
    }
}

// Tags.

/// In place of the tag of a run: every value has a tag of its own.
const MIXED: u8 = 0;
const BOOL: u8 = 1;
const CHAR: u8 = 2;
const U8: u8 = 3;
const U16: u8 = 4;
const U32: u8 = 5;
const U64: u8 = 6;
const U128: u8 = 7;
const I8: u8 = 8;
const I16: u8 = 9;
const I32: u8 = 10;
const I64: u8 = 11;
const I128: u8 = 12;
const F32: u8 = 13;
const F64: u8 = 14;
const UNIT: u8 = 15;
const NONE: u8 = 16;
const SOME: u8 = 17;
const STR: u8 = 18;
const BYTES: u8 = 19;
const SEQ: u8 = 20;
const MAP: u8 = 21;
const STRUCT: u8 = 22;
const UNIT_VARIANT: u8 = 23;
const VARIANT: u8 = 24;
/// In place of the tag of a run that is being written: it has no value yet.
const EMPTY: u8 = 255;

/// The size of a number with this tag, in bytes.
fn size(tag: u8) -> usize {
    match tag {
        BOOL | U8 | I8 => 1,
        U16 | I16 => 2,
        CHAR | U32 | I32 | F32 => 4,
        U64 | I64 | F64 => 8,
        _ => 16,
    }
}

/// The same memory, empty, for names of another lifetime. It is kept between
/// messages, so that not each of them allocates it.
fn emptied<'a>(mut names: Vec<&str>) -> Vec<&'a str> {
    names.clear();
    names.into_iter().map(|_| "").collect()
}

/// How many names of a stream are given an index.
const INDICES: usize = 254;
/// In place of an index: a new name follows, which is given the next one.
const NEW_NAME: u8 = 254;
/// In place of an index: a name follows that has none.
const UNLISTED_NAME: u8 = 255;
