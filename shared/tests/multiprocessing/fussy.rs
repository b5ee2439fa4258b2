//! A value that fails to be encoded or decoded on demand.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// A number that can be sent to another process, except for two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fussy(pub i64);

/// Fails to be encoded.
pub const UNENCODABLE: i64 = -1;
/// Is encoded, and fails to be decoded.
pub const UNDECODABLE: i64 = -2;

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            UNENCODABLE => Err(ser::Error::custom("this number cannot be encoded")),
            number => serializer.serialize_i64(number),
        }
    }
}

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i64::deserialize(deserializer)? {
            UNDECODABLE => Err(de::Error::custom("this number cannot be decoded")),
            number => Ok(Fussy(number)),
        }
    }
}
