//! A value that can be told not to cross.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// A number of which two cannot cross to another process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fussy(pub i64);

pub const UNENCODABLE: i64 = -1;
pub const UNDECODABLE: i64 = -2;

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            UNENCODABLE => Err(ser::Error::custom("this number cannot be written")),
            number => serializer.serialize_i64(number),
        }
    }
}

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            UNDECODABLE => Err(de::Error::custom("this number cannot be read")),
            number => Ok(Fussy(number)),
        }
    }
}
