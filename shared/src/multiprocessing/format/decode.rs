//! Reads the format.

use std::cell::Cell;
use std::mem;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::*;

thread_local! {
    /// The memory for a decoder's names, while no decoder has it.
    static NAMES: Cell<Vec<&'static str>> = const { Cell::new(Vec::new()) };
}

/// Reads a stream of values.
pub struct Decoder<'de> {
    input: &'de [u8],
    /// The names read so far, by index.
    names: Vec<&'de str>,
    /// The run of the stream itself.
    stream: u8,
    /// The run to which the next value belongs.
    run: u8,
}

impl<'de> Decoder<'de> {
    /// Starts to read what an [`Encoder`] wrote.
    pub(in super::super) fn new(mut input: &'de [u8]) -> Result<Self, Fault> {
        let stream = *input.split_off_first().ok_or_else(malformed)?;
        Ok(Decoder {
            input,
            names: Vec::new(),
            stream,
            run: MIXED,
        })
    }

    /// Reads the next value.
    pub(in super::super) fn value<T: Deserialize<'de>>(&mut self) -> Result<T, Fault> {
        self.run = self.stream;
        T::deserialize(self)
    }

    /// Reads the next values, as many as the tuple has.
    pub(in super::super) fn tuple<T: Deserialize<'de>>(&mut self) -> Result<T, Fault> {
        T::deserialize(Values(self))
    }

    /// The bytes that have not been read.
    pub(in super::super) fn rest(&self) -> &'de [u8] {
        self.input
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, rest) = self.input.split_first().ok_or_else(malformed)?;
        self.input = rest;
        Ok(*byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, rest) = self.input.split_first_chunk().ok_or_else(malformed)?;
        self.input = rest;
        Ok(*array)
    }

    fn count(&mut self) -> Result<usize, Fault> {
        let count = self.byte()?;
        if count < u8::MAX {
            return Ok(count.into());
        }
        usize::try_from(u64::from_ne_bytes(self.array()?)).map_err(|_| malformed())
    }

    fn bytes(&mut self) -> Result<&'de [u8], Fault> {
        let count = self.count()?;
        self.input.split_off(..count).ok_or_else(malformed)
    }

    fn text(&mut self) -> Result<&'de str, Fault> {
        str::from_utf8(self.bytes()?).map_err(de::Error::custom)
    }

    #[inline]
    fn name(&mut self) -> Result<&'de str, Fault> {
        let index = self.byte()?;
        match self.names.get(usize::from(index)) {
            Some(name) => Ok(name),
            None => self.new_name(index),
        }
    }

    fn new_name(&mut self, index: u8) -> Result<&'de str, Fault> {
        match index {
            NEW_NAME => {
                let name = self.text()?;
                if self.names.is_empty() {
                    self.names = emptied(NAMES.take());
                }
                self.names.push(name);
                Ok(name)
            }
            UNLISTED_NAME => self.text(),
            _ => Err(malformed()),
        }
    }

    /// Reads the tag of the next value.
    #[inline]
    fn tag(&mut self) -> Result<u8, Fault> {
        if self.run == MIXED {
            self.byte()
        } else {
            Ok(self.run)
        }
    }

    /// The tag of the next value, which is not yet read.
    fn peek(&self) -> Result<u8, Fault> {
        if self.run == MIXED {
            self.input.first().copied().ok_or_else(malformed)
        } else {
            Ok(self.run)
        }
    }

    /// Reads the tag of a value, for a type that is not an option. If the value was
    /// written as an option, the tag of what it contains is returned, as in JSON.
    #[inline]
    fn plain_tag(&mut self) -> Result<u8, Fault> {
        match self.tag()? {
            SOME => self.plain_tag_within(),
            tag => Ok(tag),
        }
    }

    #[cold]
    fn plain_tag_within(&mut self) -> Result<u8, Fault> {
        loop {
            match self.tag()? {
                SOME => {}
                tag => return Ok(tag),
            }
        }
    }

    fn visit_sequence<V: Visitor<'de>>(
        &mut self,
        left: usize,
        run: u8,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let mut sequence = Sequence {
            decoder: self,
            left,
            run,
        };
        let value = visitor.visit_seq(&mut sequence)?;
        sequence.end()?;
        Ok(value)
    }

    /// The entries of a map, struct or variant. A variant counts as one entry: its
    /// name and its contents.
    fn entries(&mut self, tag: u8) -> Result<Entries<'_, 'de>, Fault> {
        Ok(Entries {
            left: if tag == VARIANT { 1 } else { self.count()? },
            named: tag != MAP,
            decoder: self,
        })
    }

    /// Gives the visitor a value as what it was written as.
    fn visit<V: Visitor<'de>>(&mut self, tag: u8, visitor: V) -> Result<V::Value, Fault> {
        match tag {
            BOOL => match self.byte()? {
                0 => visitor.visit_bool(false),
                1 => visitor.visit_bool(true),
                _ => Err(malformed()),
            },
            CHAR => {
                let code = u32::from_ne_bytes(self.array()?);
                visitor.visit_char(char::from_u32(code).ok_or_else(malformed)?)
            }
            U8 => visitor.visit_u8(self.byte()?),
            U16 => visitor.visit_u16(u16::from_ne_bytes(self.array()?)),
            U32 => visitor.visit_u32(u32::from_ne_bytes(self.array()?)),
            U64 => visitor.visit_u64(u64::from_ne_bytes(self.array()?)),
            U128 => visitor.visit_u128(u128::from_ne_bytes(self.array()?)),
            I8 => visitor.visit_i8(self.byte()? as i8),
            I16 => visitor.visit_i16(i16::from_ne_bytes(self.array()?)),
            I32 => visitor.visit_i32(i32::from_ne_bytes(self.array()?)),
            I64 => visitor.visit_i64(i64::from_ne_bytes(self.array()?)),
            I128 => visitor.visit_i128(i128::from_ne_bytes(self.array()?)),
            F32 => visitor.visit_f32(f32::from_ne_bytes(self.array()?)),
            F64 => visitor.visit_f64(f64::from_ne_bytes(self.array()?)),
            UNIT => visitor.visit_unit(),
            NONE => visitor.visit_none(),
            SOME => visitor.visit_some(self),
            STR => visitor.visit_borrowed_str(self.text()?),
            BYTES => visitor.visit_borrowed_bytes(self.bytes()?),
            SEQ => {
                let (count, run) = (self.count()?, self.byte()?);
                self.visit_sequence(count, run, visitor)
            }
            MAP | STRUCT | VARIANT => {
                let mut entries = self.entries(tag)?;
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(value)
            }
            UNIT_VARIANT => visitor.visit_borrowed_str(self.name()?),
            tag => Err(de::Error::custom(format_args!(
                "no value has the tag {tag}"
            ))),
        }
    }
}

/// The error for bytes that no [`Encoder`] writes.
#[cold]
fn malformed() -> Fault {
    de::Error::custom("the bytes are cut off, or not those of a value")
}

macro_rules! deserialize_plain {
    ($($method:ident)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                let tag = self.plain_tag()?;
                self.visit(tag, visitor)
            }
        )*
    };
}

macro_rules! deserialize_numbers {
    ($($method:ident $visit:ident $type:ty, $tag:ident;)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                match self.plain_tag()? {
                    $tag => visitor.$visit(<$type>::from_ne_bytes(self.array()?)),
                    tag => self.visit(tag, visitor),
                }
            }
        )*
    };
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let tag = self.tag()?;
        self.visit(tag, visitor)
    }

    // A shorter way for a number that was written with the type that is expected.
    deserialize_numbers! {
        deserialize_u16 visit_u16 u16, U16;
        deserialize_u32 visit_u32 u32, U32;
        deserialize_u64 visit_u64 u64, U64;
        deserialize_u128 visit_u128 u128, U128;
        deserialize_i8 visit_i8 i8, I8;
        deserialize_i16 visit_i16 i16, I16;
        deserialize_i32 visit_i32 i32, I32;
        deserialize_i64 visit_i64 i64, I64;
        deserialize_i128 visit_i128 i128, I128;
        deserialize_f32 visit_f32 f32, F32;
        deserialize_f64 visit_f64 f64, F64;
    }

    /// Shorter still, as its counterpart in the encoder.
    #[inline]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.run == U8
            && let Some((byte, rest)) = self.input.split_first()
        {
            self.input = rest;
            return visitor.visit_u8(*byte);
        }
        let tag = self.plain_tag()?;
        self.visit(tag, visitor)
    }

    deserialize_plain! {
        deserialize_bool deserialize_char deserialize_str deserialize_string
        deserialize_unit deserialize_map deserialize_identifier
    }

    /// A `&[u8]` writes itself as a sequence of numbers, and reads itself as bytes.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let tag = self.plain_tag()?;
        if tag != SEQ {
            return self.visit(tag, visitor);
        }
        let (count, run) = (self.count()?, self.byte()?);
        if run != U8 && count > 0 {
            return self.visit_sequence(count, run, visitor);
        }
        visitor.visit_borrowed_bytes(self.input.split_off(..count).ok_or_else(malformed)?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek()? {
            SOME => {
                self.tag()?;
                visitor.visit_some(self)
            }
            // As in JSON, where a unit is `null`.
            NONE | UNIT => {
                self.tag()?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // serde_json's `RawValue` writes itself as a struct of one field and reads
        // itself as a newtype with this name.
        if name == "$serde_json::private::RawValue" {
            return self.deserialize_any(visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.plain_tag()? {
            BYTES => {
                let count = self.count()?;
                self.visit_sequence(count, U8, visitor)
            }
            tag => self.visit(tag, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.plain_tag()? {
            UNIT_VARIANT => visitor.visit_enum(self.name()?.into_deserializer()),
            // Some types write themselves as enums look in JSON: as a string, or
            // as a map of one entry.
            STR => visitor.visit_enum(self.text()?.into_deserializer()),
            tag @ (VARIANT | STRUCT | MAP) => {
                let mut entries = self.entries(tag)?;
                visitor.visit_enum(MapAccessDeserializer::new(&mut entries))
            }
            tag => self.visit(tag, visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }
}

/// The items of a sequence that are left to read.
struct Sequence<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: usize,
    run: u8,
}

impl Sequence<'_, '_> {
    /// Returns an error if the reader has left items unread: they would be read as
    /// the value that comes next.
    fn end(self) -> Result<(), Fault> {
        self.decoder.run = MIXED;
        match self.left {
            0 => Ok(()),
            more => Err(de::Error::custom(format_args!(
                "{more} items are left over"
            ))),
        }
    }
}

impl<'de> de::SeqAccess<'de> for &mut Sequence<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        self.decoder.run = self.run;
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The fields of a struct or the entries of a map that are left to read.
struct Entries<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: usize,
    /// Whether the keys are names. Those of a map are values.
    named: bool,
}

impl Entries<'_, '_> {
    fn end(self) -> Result<(), Fault> {
        match self.left {
            0 => Ok(()),
            more => Err(de::Error::custom(format_args!(
                "{more} fields are left over"
            ))),
        }
    }
}

impl<'de> de::MapAccess<'de> for &mut Entries<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        if !self.named {
            return seed.deserialize(&mut *self.decoder).map(Some);
        }
        let name = self.decoder.name()?;
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The next values of a stream, read as a tuple; there is no count before them.
struct Values<'d, 'de>(&'d mut Decoder<'de>);

impl<'de> de::Deserializer<'de> for Values<'_, 'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(de::Error::custom("arguments are a tuple"))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        let run = self.0.stream;
        visitor.visit_seq(&mut Sequence {
            decoder: self.0,
            left: len,
            run,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple_struct map struct enum identifier ignored_any
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        if !self.names.is_empty() {
            NAMES.set(emptied(mem::take(&mut self.names)));
        }
    }
}
