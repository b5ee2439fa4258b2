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

use std::cell::Cell;
use std::fmt::{self, Display};
use std::mem;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::ser::{self, Serialize};
use serde::{Deserialize, forward_to_deserialize_any};

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

thread_local! {
    /// The memory of names, so that not every message allocates it.
    static NAMES_OF_ENCODER: Cell<Vec<&'static str>> = const { Cell::new(Vec::new()) };
    static NAMES_OF_DECODER: Cell<Vec<&'static str>> = const { Cell::new(Vec::new()) };
}

/// The same memory, empty, for names that live as long as is wanted.
fn emptied<'a>(mut names: Vec<&str>) -> Vec<&'a str> {
    names.clear();
    names.into_iter().map(|_| "").collect()
}

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        if !self.names.is_empty() {
            NAMES_OF_ENCODER.set(emptied(mem::take(&mut self.names)));
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        if !self.names.is_empty() {
            NAMES_OF_DECODER.set(emptied(mem::take(&mut self.names)));
        }
    }
}

/// A name's index is below this.
const NAMES: usize = 254;
const NEW_NAME: u8 = 254;
const UNLISTED_NAME: u8 = 255;

/// Writes a stream of values.
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    /// The names written so far; the index is the place.
    names: Vec<&'static str>,
    /// Where the next name is looked for first: names come in the same order
    /// again and again.
    next_name: usize,
    /// The run that is being written: a number's tag, [`MIXED`] or [`EMPTY`].
    run: u8,
    /// Where the run's values start; the byte before is its tag.
    start: usize,
}

impl<'a> Encoder<'a> {
    /// Starts a stream at the end of `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(MIXED);
        let start = out.len();
        Encoder {
            out,
            names: Vec::new(),
            next_name: 0,
            run: EMPTY,
            start,
        }
    }

    /// Appends a value.
    pub(super) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    /// Writes a number: its tag and its bytes.
    #[inline]
    fn number<const N: usize>(&mut self, number: [u8; N]) -> Result<(), Fault> {
        if self.run == number[0] {
            return self.append(&number[1..]);
        }
        if self.run == EMPTY {
            self.run = number[0];
            self.out[self.start - 1] = number[0];
            return self.append(&number[1..]);
        }
        self.no_run();
        self.append(&number)
    }

    /// Writes the tag of what is no number.
    #[inline]
    fn tag(&mut self, tag: u8) -> Result<(), Fault> {
        self.no_run();
        self.append(&[tag])
    }

    #[inline]
    fn no_run(&mut self) {
        if self.run != MIXED {
            self.mix();
        }
    }

    /// Ends the run: gives each number the tag that it did without until now.
    #[cold]
    fn mix(&mut self) {
        if self.run != EMPTY {
            let (start, size) = (self.start, size(self.run));
            let numbers = (self.out.len() - start) / size;
            self.out.resize(self.out.len() + numbers, 0);
            // From the last one, so that none is overwritten before it moves.
            for number in (0..numbers).rev() {
                let (from, to) = (start + number * size, start + number * (1 + size));
                self.out.copy_within(from..from + size, to + 1);
                self.out[to] = self.run;
            }
            self.out[start - 1] = MIXED;
        }
        self.run = MIXED;
    }

    /// Writes a byte and a count.
    #[inline]
    fn counted(&mut self, byte: u8, count: usize) -> Result<(), Fault> {
        if count < 255 {
            return self.append(&[byte, count as u8]);
        }
        self.append(&[byte, 255])?;
        self.append(&(count as u64).to_ne_bytes())
    }

    /// Writes a byte, a count of bytes and these.
    fn bytes(&mut self, byte: u8, bytes: &[u8]) -> Result<(), Fault> {
        self.counted(byte, bytes.len())?;
        self.append(bytes)
    }

    /// Appends bytes. Where memory is short, that is an error; `Vec` by itself
    /// ends the process.
    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.out.capacity() - self.out.len() < bytes.len() {
            self.reserve(bytes.len())?;
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    #[cold]
    fn reserve(&mut self, more: usize) -> Result<(), Fault> {
        let len = self.out.len();
        self.out.try_reserve(more).map_err(|_| {
            ser::Error::custom(format_args!(
                "no memory for more than its first {len} bytes"
            ))
        })
    }

    #[inline]
    fn name(&mut self, name: &'static str) -> Result<(), Fault> {
        if self
            .names
            .get(self.next_name)
            .is_none_or(|known| !is_same(known, name))
        {
            self.next_name = match self.names.iter().position(|known| is_same(known, name)) {
                Some(index) => index,
                None => return self.new_name(name),
            };
        }
        self.append(&[self.next_name as u8])?;
        self.next_name += 1;
        Ok(())
    }

    fn new_name(&mut self, name: &'static str) -> Result<(), Fault> {
        if self.names.len() == NAMES {
            return self.bytes(UNLISTED_NAME, name.as_bytes());
        }
        if self.names.is_empty() {
            self.names = NAMES_OF_ENCODER.take();
        }
        self.names.push(name);
        self.next_name = self.names.len();
        self.bytes(NEW_NAME, name.as_bytes())
    }

    /// Starts what has a count; `count` is what its type says of it.
    fn items(&mut self, tag: u8, count: Option<usize>) -> Result<Items<'_, 'a>, Fault> {
        self.no_run();
        let place = self.out.len();
        let said = count.unwrap_or(0);
        self.counted(tag, said)?;
        if tag == SEQ {
            self.append(&[MIXED])?;
            self.run = EMPTY;
            self.start = self.out.len();
        }
        Ok(Items {
            encoder: self,
            place,
            said,
            count: 0,
        })
    }
}

/// Whether this is one and the same literal: quicker than reading it.
fn is_same(one: &'static str, other: &'static str) -> bool {
    std::ptr::eq(one, other)
}

/// What [`Encoder`] has begun to write and has a count.
pub struct Items<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    /// Where the tag is, with the count behind it, and what that says.
    place: usize,
    said: usize,
    count: usize,
}

impl Items<'_, '_> {
    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Fault> {
        self.count += 1;
        item.serialize(&mut *self.encoder)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Fault> {
        self.encoder.name(name)?;
        self.item(value)
    }

    #[inline]
    fn finish(self) -> Result<(), Fault> {
        let Items {
            encoder,
            place,
            said,
            count,
        } = self;
        // What stands around it is no run of numbers.
        encoder.run = MIXED;
        if count != said {
            // A type need not know its count before, and may be wrong.
            let written = if said < 255 { 2 } else { 10 };
            let rest = encoder.out.split_off(place + written);
            let tag = encoder.out[place];
            encoder.out.truncate(place);
            encoder.counted(tag, count)?;
            encoder.append(&rest)?;
        }
        Ok(())
    }
}

macro_rules! serialize_numbers {
    ($($method:ident $type:ty, $tag:ident;)*) => {
        $(
            #[inline]
            fn $method(self, number: $type) -> Result<(), Fault> {
                let mut bytes = [$tag; 1 + size_of::<$type>()];
                bytes[1..].copy_from_slice(&number.to_ne_bytes());
                self.number(bytes)
            }
        )*
    };
}

impl<'e, 'a> ser::Serializer for &'e mut Encoder<'a> {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Items<'e, 'a>;
    type SerializeTuple = Items<'e, 'a>;
    type SerializeTupleStruct = Items<'e, 'a>;
    type SerializeTupleVariant = Items<'e, 'a>;
    type SerializeMap = Items<'e, 'a>;
    type SerializeStruct = Items<'e, 'a>;
    type SerializeStructVariant = Items<'e, 'a>;

    // `is_human_readable` stays true, though nobody reads this: where serde
    // keeps a value aside, for an untagged enum or a flattened field, it says
    // so to the type, whatever the format. A type that writes itself in two
    // ways, as an IP address does, could not be read there otherwise.

    serialize_numbers! {
        serialize_u16 u16, U16;
        serialize_u32 u32, U32;
        serialize_u64 u64, U64;
        serialize_u128 u128, U128;
        serialize_i8 i8, I8;
        serialize_i16 i16, I16;
        serialize_i32 i32, I32;
        serialize_i64 i64, I64;
        serialize_i128 i128, I128;
        serialize_f32 f32, F32;
        serialize_f64 f64, F64;
    }

    /// Bytes are often many, and in a program that is not optimised each call
    /// counts.
    #[inline]
    fn serialize_u8(self, number: u8) -> Result<(), Fault> {
        if self.run != U8 || self.out.len() == self.out.capacity() {
            return self.number([U8, number]);
        }
        self.out.push(number);
        Ok(())
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Fault> {
        self.number([BOOL, u8::from(value)])
    }

    fn serialize_char(self, value: char) -> Result<(), Fault> {
        let [a, b, c, d] = u32::from(value).to_ne_bytes();
        self.number([CHAR, a, b, c, d])
    }

    fn serialize_str(self, text: &str) -> Result<(), Fault> {
        self.no_run();
        self.bytes(STR, text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Fault> {
        self.no_run();
        self.bytes(BYTES, bytes)
    }

    fn serialize_none(self) -> Result<(), Fault> {
        self.tag(NONE)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        self.tag(SOME)?;
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        self.tag(UNIT)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fault> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Fault> {
        self.tag(UNIT_VARIANT)?;
        self.name(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.tag(VARIANT)?;
        self.name(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'e, 'a>, Fault> {
        self.items(SEQ, len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Items<'e, 'a>, Fault> {
        self.items(SEQ, Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items<'e, 'a>, Fault> {
        self.items(SEQ, Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'e, 'a>, Fault> {
        self.tag(VARIANT)?;
        self.name(variant)?;
        self.items(SEQ, Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Items<'e, 'a>, Fault> {
        self.items(MAP, len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Items<'e, 'a>, Fault> {
        self.items(STRUCT, Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Items<'e, 'a>, Fault> {
        self.tag(VARIANT)?;
        self.name(variant)?;
        self.items(STRUCT, Some(len))
    }
}

macro_rules! serialize_items {
    ($($trait:ident $method:ident;)*) => {
        $(
            impl ser::$trait for Items<'_, '_> {
                type Ok = ();
                type Error = Fault;

                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Fault> {
                    self.item(item)
                }

                #[inline]
                fn end(self) -> Result<(), Fault> {
                    self.finish()
                }
            }
        )*
    };
}

serialize_items! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

macro_rules! serialize_fields {
    ($($trait:ident)*) => {
        $(
            impl ser::$trait for Items<'_, '_> {
                type Ok = ();
                type Error = Fault;

                #[inline]
                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    name: &'static str,
                    value: &T,
                ) -> Result<(), Fault> {
                    self.field(name, value)
                }

                #[inline]
                fn end(self) -> Result<(), Fault> {
                    self.finish()
                }
            }
        )*
    };
}

serialize_fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Items<'_, '_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        self.item(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}

/// Reads a stream of values.
pub struct Decoder<'de> {
    input: &'de [u8],
    /// The names read so far, by index.
    names: Vec<&'de str>,
    /// The run of the stream, and that of the value which is read next.
    stream: u8,
    run: u8,
}

impl<'de> Decoder<'de> {
    /// Starts to read what an [`Encoder`] wrote.
    pub(super) fn new(mut input: &'de [u8]) -> Result<Self, Fault> {
        let stream = *input.split_off_first().ok_or_else(cut_off)?;
        Ok(Decoder {
            input,
            names: Vec::new(),
            stream,
            run: MIXED,
        })
    }

    /// Reads the next value.
    pub(super) fn value<T: Deserialize<'de>>(&mut self) -> Result<T, Fault> {
        self.run = self.stream;
        T::deserialize(self)
    }

    /// Reads the next values, as many as the tuple has.
    pub(super) fn tuple<T: Deserialize<'de>>(&mut self) -> Result<T, Fault> {
        T::deserialize(Values(self))
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'de [u8] {
        self.input
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, rest) = self.input.split_first().ok_or_else(cut_off)?;
        self.input = rest;
        Ok(*byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (array, rest) = self.input.split_first_chunk().ok_or_else(cut_off)?;
        self.input = rest;
        Ok(*array)
    }

    fn count(&mut self) -> Result<usize, Fault> {
        let count = self.byte()?;
        if count < u8::MAX {
            return Ok(count.into());
        }
        usize::try_from(u64::from_ne_bytes(self.array()?)).map_err(|_| cut_off())
    }

    fn bytes(&mut self) -> Result<&'de [u8], Fault> {
        let count = self.count()?;
        self.input.split_off(..count).ok_or_else(cut_off)
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
                    self.names = emptied(NAMES_OF_DECODER.take());
                }
                self.names.push(name);
                Ok(name)
            }
            UNLISTED_NAME => self.text(),
            _ => Err(cut_off()),
        }
    }

    /// The tag of the next value, which is taken out of the input.
    #[inline]
    fn tag(&mut self) -> Result<u8, Fault> {
        if self.run == MIXED {
            self.byte()
        } else {
            Ok(self.run)
        }
    }

    /// The tag of the next value, which stays where it is.
    fn peek(&self) -> Result<u8, Fault> {
        if self.run == MIXED {
            self.input.first().copied().ok_or_else(cut_off)
        } else {
            Ok(self.run)
        }
    }

    /// The tag of a value that its reader takes for something else than an
    /// option. One that was written as an option is what is in it, as in JSON.
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

    fn fields(&mut self) -> Result<Fields<'_, 'de>, Fault> {
        let left = self.count()?;
        Ok(Fields {
            decoder: self,
            left,
        })
    }

    /// Shows a value as what it is.
    fn visit<V: Visitor<'de>>(&mut self, tag: u8, visitor: V) -> Result<V::Value, Fault> {
        match tag {
            BOOL => match self.byte()? {
                0 => visitor.visit_bool(false),
                1 => visitor.visit_bool(true),
                _ => Err(cut_off()),
            },
            CHAR => {
                let code = u32::from_ne_bytes(self.array()?);
                visitor.visit_char(char::from_u32(code).ok_or_else(cut_off)?)
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
            MAP => {
                let mut fields = self.fields()?;
                let value = visitor.visit_map(Entries(&mut fields))?;
                fields.end()?;
                Ok(value)
            }
            STRUCT => {
                let mut fields = self.fields()?;
                let value = visitor.visit_map(&mut fields)?;
                fields.end()?;
                Ok(value)
            }
            UNIT_VARIANT => visitor.visit_borrowed_str(self.name()?),
            VARIANT => visitor.visit_map(Variant {
                decoder: self,
                is_read: false,
            }),
            tag => Err(de::Error::custom(format_args!(
                "no value has the tag {tag}"
            ))),
        }
    }
}

/// The bytes are not what an [`Encoder`] writes.
#[cold]
fn cut_off() -> Fault {
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
                if self.run == $tag {
                    return visitor.$visit(<$type>::from_ne_bytes(self.array()?));
                }
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

    // The quick way for what is as expected.
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

    /// A slice of bytes writes itself as a sequence and wants to be read whole.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let tag = self.plain_tag()?;
        if tag != SEQ {
            return self.visit(tag, visitor);
        }
        let (count, run) = (self.count()?, self.byte()?);
        if run != U8 && count > 0 {
            return self.visit_sequence(count, run, visitor);
        }
        visitor.visit_borrowed_bytes(self.input.split_off(..count).ok_or_else(cut_off)?)
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
        // A name like this is a secret of a crate, which writes a struct of
        // one field under it: serde_json does so for a `RawValue`.
        if name.starts_with('$') && self.peek()? == STRUCT {
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
            VARIANT => visitor.visit_enum(Variant {
                decoder: self,
                is_read: false,
            }),
            // As JSON has them, which is how some types write themselves.
            STR => visitor.visit_enum(self.text()?.into_deserializer()),
            STRUCT => visitor.visit_enum(MapAccessDeserializer::new(&mut self.fields()?)),
            MAP => visitor.visit_enum(MapAccessDeserializer::new(Entries(&mut self.fields()?))),
            tag => self.visit(tag, visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }
}

/// The items of a sequence.
struct Sequence<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: usize,
    run: u8,
}

impl Sequence<'_, '_> {
    /// A reader that leaves items unread would take them for what follows.
    fn end(self) -> Result<(), Fault> {
        self.decoder.run = MIXED;
        match self.left {
            0 => Ok(()),
            more => Err(de::Error::custom(format_args!("{more} items too many"))),
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

/// The fields of a struct, or the entries of a map.
struct Fields<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: usize,
}

impl Fields<'_, '_> {
    fn end(self) -> Result<(), Fault> {
        match self.left {
            0 => Ok(()),
            more => Err(de::Error::custom(format_args!("{more} fields too many"))),
        }
    }

    fn next(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

impl<'de> de::MapAccess<'de> for &mut Fields<'_, 'de> {
    type Error = Fault;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        if !self.next() {
            return Ok(None);
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

/// The entries of a map, whose keys are values.
struct Entries<'f, 'd, 'de>(&'f mut Fields<'d, 'de>);

impl<'de> de::MapAccess<'de> for Entries<'_, '_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        if !self.0.next() {
            return Ok(None);
        }
        seed.deserialize(&mut *self.0.decoder).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(&mut *self.0.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.left)
    }
}

/// A variant with contents: an enum to a reader that expects one, and to
/// others a map of one entry.
struct Variant<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    is_read: bool,
}

impl<'d, 'de> de::EnumAccess<'de> for Variant<'d, 'de> {
    type Error = Fault;
    type Variant = &'d mut Decoder<'de>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), Fault> {
        let name = BorrowedStrDeserializer::<Fault>::new(self.decoder.name()?);
        Ok((seed.deserialize(name)?, self.decoder))
    }
}

impl<'de> de::MapAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        if self.is_read {
            return Ok(None);
        }
        self.is_read = true;
        let name = self.decoder.name()?;
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(&mut *self.decoder)
    }
}

impl<'de> de::VariantAccess<'de> for &mut Decoder<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_map(self, visitor)
    }
}

/// The next values of a stream, read as a tuple that no count goes before.
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
