//! How values become bytes and come back: serde's data model, written down.
//!
//! A type decides by itself how serde writes and reads it, and what it writes
//! need not be what its definition suggests: a field may be skipped, flattened
//! or renamed, an enum may be untagged, a `serde_json::Value` may be anything.
//! Such a type asks its reader "what comes next?", so every value starts with
//! a tag that tells its kind, and fields and variants go by their names. That
//! is the difference from the formats which are smaller: they leave out what
//! the reader knows already, and read another value where it does not know.
//!
//! # Layout
//!
//! ```text
//! stream    = run value*              all arguments of a chunk, or one message
//! run       = MIXED | tag of a number the tag that all values have in common
//! value     = [tag] contents          no tag where the run tells it
//! count     = u8 below 255 | 255 u64
//!
//! numbers   = their bytes, as many as the type has
//! SOME      = value                   NONE and UNIT have no contents
//! STR BYTES = count bytes
//! SEQ       = count run value*        also tuples and arrays
//! MAP       = count (value value)*
//! STRUCT    = count (name value)*
//! UNIT_VARIANT = name                 VARIANT = name value
//! name      = index u8 below 254      the name that had this index
//!           | 254 count bytes         a new one, which takes the next index
//!           | 255 count bytes         a new one, when all indices are taken
//! ```
//!
//! A vector of numbers is thereby one tag and the numbers' own bytes, and the
//! names of a struct's fields are written once for all structs of a message.
//! Numbers are in the processor's byte order: both processes run on it.

mod decode;
mod encode;

use std::fmt::{self, Display};

use serde::{de, ser};

pub use self::decode::Decoder;
pub use self::encode::Encoder;

/// What serde, or a type's own implementation of it, said. One pointer, so that
/// a result with a number in it is still returned in registers.
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

/// In place of a number's tag: every value of the run has a tag of its own.
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
/// In place of a number's tag, while a run is written: it has no value yet.
const EMPTY: u8 = 255;

/// How many bytes follow the tag of a number.
fn size(tag: u8) -> usize {
    match tag {
        BOOL | U8 | I8 => 1,
        U16 | I16 => 2,
        CHAR | U32 | I32 | F32 => 4,
        U64 | I64 | F64 => 8,
        _ => 16,
    }
}

/// The same memory, empty, for names that live as long as is wanted.
fn emptied<'a>(mut names: Vec<&str>) -> Vec<&'a str> {
    names.clear();
    names.into_iter().map(|_| "").collect()
}

/// A name's index is below this.
const INDICES: usize = 254;
const NEW_NAME: u8 = 254;
const UNLISTED_NAME: u8 = 255;
