//! Writes the format.

use std::cell::Cell;
use std::mem;

use serde::ser::{self, Serialize};

use super::*;

thread_local! {
    /// The memory for an encoder's names, while no encoder has it.
    static NAMES: Cell<Vec<&'static str>> = const { Cell::new(Vec::new()) };
}

/// How deep values may be nested: so many values with items, fields or a variant
/// inside one another, and so many options and newtypes. The two are counted apart,
/// because a linked list of boxed structs has one of each for every item. Each level
/// takes stack while it is encoded or decoded. An overflow of the stack would end
/// the process, and the reader may have a smaller stack than the writer.
const MAX_DEPTH: u16 = 512;

/// Writes a stream of values.
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    /// The names written so far, by index.
    names: Vec<&'static str>,
    /// The index at which the next name is looked for first, because the names of
    /// a struct come in the same order again and again.
    next_name: usize,
    /// The run that is being written: a number's tag, [`MIXED`] or [`EMPTY`].
    run: u8,
    /// Where the run's values start; the byte before them is the run.
    start: usize,
    /// How many values with items, fields or a variant contain the next one.
    depth: u16,
    /// How many options and newtypes contain it.
    wrappers: u16,
}

impl<'a> Encoder<'a> {
    /// Starts a stream at the end of `out`.
    pub(in super::super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(MIXED);
        let start = out.len();
        Encoder {
            out,
            names: Vec::new(),
            next_name: 0,
            run: EMPTY,
            start,
            depth: 0,
            wrappers: 0,
        }
    }

    /// Appends a value.
    pub(in super::super) fn value<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    /// Writes a number, given as its tag and its bytes.
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

    /// Writes the tag of a value that is not a number.
    #[inline]
    fn tag(&mut self, tag: u8) -> Result<(), Fault> {
        self.no_run();
        self.append(&[tag])
    }

    /// Makes the current run one in which each value has a tag of its own.
    #[inline]
    fn no_run(&mut self) {
        if self.run != MIXED {
            self.mix();
        }
    }

    /// Inserts a tag before each number of the current run, which had none.
    #[cold]
    fn mix(&mut self) {
        if self.run != EMPTY {
            let (start, size) = (self.start, size(self.run));
            let numbers = (self.out.len() - start) / size;
            self.out.resize(self.out.len() + numbers, 0);
            // Starts with the last number, so that none is overwritten before it is
            // moved.
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

    /// Writes a byte, the number of `bytes`, and the bytes.
    fn bytes(&mut self, byte: u8, bytes: &[u8]) -> Result<(), Fault> {
        self.counted(byte, bytes.len())?;
        self.append(bytes)
    }

    /// Appends bytes. If there is no memory for them, that is an error; a `Vec` by
    /// itself would abort the process.
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
        if self.names.len() == INDICES {
            return self.bytes(UNLISTED_NAME, name.as_bytes());
        }
        if self.names.is_empty() {
            self.names = NAMES.take();
        }
        self.names.push(name);
        self.next_name = self.names.len();
        self.bytes(NEW_NAME, name.as_bytes())
    }

    /// Begins a value that contains others, unless it is nested too deep.
    fn descend(&mut self) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        Ok(())
    }

    /// Writes what is in an option or in a newtype.
    #[inline]
    fn wrapped<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        if self.wrappers == MAX_DEPTH {
            return Err(too_deep());
        }
        self.wrappers += 1;
        value.serialize(&mut *self)?;
        self.wrappers -= 1;
        Ok(())
    }

    /// Begins a sequence, map or struct. `count` is what its type says of how many
    /// items it has.
    fn items(&mut self, tag: u8, count: Option<usize>) -> Result<Items<'_, 'a>, Fault> {
        self.descend()?;
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

#[cold]
fn too_deep() -> Fault {
    ser::Error::custom(format_args!("nested more than {MAX_DEPTH} deep"))
}

/// Whether two names are the same literal. That is quicker than comparing their
/// bytes, and a name that is written twice does no harm.
fn is_same(one: &'static str, other: &'static str) -> bool {
    std::ptr::eq(one, other)
}

/// A sequence, map or struct that [`Encoder`] is writing.
pub struct Items<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    /// Where its tag is, with the count behind it.
    place: usize,
    /// The count that was written.
    said: usize,
    /// How many items have come.
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
        encoder.depth -= 1;
        // The value that contains this one is no run of numbers.
        encoder.run = MIXED;
        if count != said {
            // The type did not know the count beforehand, or was wrong, so it is
            // written again.
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

    // `is_human_readable` stays true, although the format is not. For an untagged
    // enum or a flattened field, serde keeps a value aside, and tells the type that
    // reads it then that it is human-readable, whatever the format. A type that
    // writes itself in two ways, such as an IP address, could not be read otherwise.

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

    /// Shorter than for the other numbers, because bytes are often many, and in a
    /// program that is not optimised each call counts.
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
        self.wrapped(value)
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
        self.wrapped(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.descend()?;
        self.tag(VARIANT)?;
        self.name(variant)?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
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
    ($($trait:ident $method:ident($($name:ident)?) as $write:ident;)*) => {
        $(
            impl ser::$trait for Items<'_, '_> {
                type Ok = ();
                type Error = Fault;

                #[inline]
                fn $method<T: Serialize + ?Sized>(
                    &mut self,
                    $($name: &'static str,)?
                    item: &T,
                ) -> Result<(), Fault> {
                    self.$write($($name,)? item)
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
    SerializeSeq serialize_element() as item;
    SerializeTuple serialize_element() as item;
    SerializeTupleStruct serialize_field() as item;
    SerializeTupleVariant serialize_field() as item;
    SerializeStruct serialize_field(name) as field;
    SerializeStructVariant serialize_field(name) as field;
}

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

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        if !self.names.is_empty() {
            NAMES.set(emptied(mem::take(&mut self.names)));
        }
    }
}
