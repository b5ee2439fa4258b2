//! A value of any type that serde can write and read comes back the same: through a
//! queue, a pipe, a process and a pool, alone and inside a vector.
//!
//! These tests are apart from the others of `shared::multiprocessing`, because
//! `serde_json` has implementations of `PartialEq` for numbers and strings that
//! would make some of the others' comparisons ambiguous.

#[macro_use]
#[path = "../multiprocessing/harness.rs"]
#[allow(dead_code, reason = "these tests use part of it")]
mod harness;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CString, OsString};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZero, Wrapping};
use std::ops::{Bound, RangeInclusive};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use shared::multiprocessing::{Array, Error, Pool, Process, Queue, Value, pipe};

const TESTS: &[(&str, fn())] = named![
    numbers_come_back,
    nan_comes_back_bit_by_bit,
    options_in_options_come_back,
    texts_and_bytes_come_back,
    collections_come_back,
    enums_come_back,
    structs_with_attributes_come_back,
    enums_with_attributes_come_back,
    untagged_enums_come_back,
    a_newtype_with_any_name_comes_back,
    nesting_that_would_overflow_a_stack_is_refused,
    json_comes_back,
    json_with_its_own_types_comes_back,
    times_and_addresses_come_back,
    types_with_their_own_serde_implementations_come_back,
    more_names_than_indices_come_back,
    vectors_that_begin_with_numbers_of_one_type_and_go_on_otherwise_come_back,
    none_and_json_null_come_back_as_different_values,
    a_skipped_field_does_not_shift_the_others,
    a_value_that_cannot_be_encoded_is_an_error_and_nothing_is_sent,
    an_item_of_another_type_is_an_error,
    references_can_be_arguments,
    errors_can_be_results,
    an_iterator_with_a_wrong_size_hint_can_be_mapped,
    a_handle_cannot_be_encoded_in_another_format,
];

fn main() -> ExitCode {
    harness::main(&[harness::Suite {
        name: "values",
        tests: TESTS,
        programs: &[],
    }])
}

fn echo<T>(value: T) -> T {
    value
}

/// Sends values in every way that there is, and asserts that the same come back.
fn come_back<T>(values: impl IntoIterator<Item = T>)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Clone + 'static,
{
    come_back_by(values, |one, other| one == other);
}

fn come_back_by<T>(values: impl IntoIterator<Item = T>, same: fn(&T, &T) -> bool)
where
    T: Serialize + DeserializeOwned + Debug + Clone + 'static,
{
    let values: Vec<T> = values.into_iter().collect();
    let check = |way: &str, came: &[T]| {
        assert!(
            came.len() == values.len() && came.iter().zip(&values).all(|(c, v)| same(c, v)),
            "{way}: {came:?} instead of {values:?}"
        );
    };
    let queue = Queue::new().unwrap();
    let vectors = Queue::new().unwrap();
    let (left, right) = pipe::<T, T>().unwrap();
    let pool = Pool::new(1).unwrap();
    let mut got = Vec::new();
    let mut received = Vec::new();
    for value in &values {
        queue.put(value.clone()).unwrap();
        got.push(queue.try_get().unwrap());
        left.send(value.clone()).unwrap();
        received.push(right.recv().unwrap());
    }
    check("queue", &got);
    check("pipe", &received);
    vectors.put(values.clone()).unwrap();
    check("vector in a queue", &vectors.try_get().unwrap());
    let child = Process::new(echo::<Vec<T>>, (values.clone(),)).start();
    check("process", &child.unwrap().join().unwrap());
    for chunk in [1, 100] {
        let mapped = pool.map_chunked(echo::<T>, values.clone(), chunk);
        check("map", &mapped.unwrap());
    }
    let pairs = values.iter().map(|value| (value.clone(), 1u8));
    let starred = pool.starmap(|value: T, _: u8| value, pairs.collect::<Vec<_>>());
    check("starmap", &starred.unwrap());
}

fn numbers_come_back() {
    come_back([0, 1, -1, i8::MIN, i8::MAX]);
    come_back([0, 1, u8::MAX]);
    come_back([i16::MIN, i16::MAX]);
    come_back([u16::MAX]);
    come_back([i32::MIN, i32::MAX]);
    come_back([u32::MAX]);
    come_back([i64::MIN, i64::MAX]);
    come_back([u64::MAX]);
    come_back([i128::MIN, i128::MAX, 0]);
    come_back([u128::MAX, u128::from(u64::MAX) + 1, 7]);
    come_back([isize::MIN, isize::MAX]);
    come_back([0.1f32, f32::MIN, f32::INFINITY]);
    come_back([0.1f64, f64::MAX, f64::NEG_INFINITY]);
    come_back([true, false]);
    come_back(['a', '\0', 'ä', '多', char::MAX]);
    come_back([(), ()]);
    come_back([Wrapping(7u8)]);
    come_back([NonZero::new(7u64).unwrap()]);
}

fn nan_comes_back_bit_by_bit() {
    let nan = f64::from_bits(0x7ff4_0000_dead_beef);
    come_back_by([f64::NAN, -f64::NAN, nan, -0.0], |one, other| {
        one.to_bits() == other.to_bits()
    });
    come_back_by([f32::NAN, f32::from_bits(0xff81_2345)], |one, other| {
        one.to_bits() == other.to_bits()
    });
    come_back_by([Some(f64::NAN), None], |one, other| {
        one.map(f64::to_bits) == other.map(f64::to_bits)
    });
}

fn options_in_options_come_back() {
    come_back([None, Some(1)]);
    come_back([None, Some(()), None]);
    come_back([None, Some(None), Some(Some(3u8))]);
    come_back([None, Some(None), Some(Some(None)), Some(Some(Some(())))]);
    come_back([vec![None, Some(None)], vec![Some(Some(1))]]);
    come_back([(None::<u8>, Some(Box::new(1)))]);
}

fn texts_and_bytes_come_back() {
    for len in [0, 1, 254, 255, 256, 70_000] {
        come_back(["ä".repeat(len)]);
        come_back([vec![7u8; len]]);
        come_back([ByteBuf::from(vec![0xff; len])]);
        come_back([(vec![1u8; len], 2)]);
    }
    come_back([Cow::Borrowed("text"), Cow::Owned("text".to_string())]);
    come_back([CString::from(c"bytes")]);
    come_back([OsString::from_vec(vec![0xff, 0xfe])]);
    come_back([PathBuf::from("/tmp/ä")]);
    come_back([Box::<str>::from("boxed")]);
}

fn collections_come_back() {
    come_back([Vec::<String>::new(), vec!["a".into()]]);
    come_back([vec![vec![1, 2], vec![], vec![3]]]);
    come_back([[1.5f64, 2.5, 3.5]]);
    come_back([[0u8; 32]]);
    come_back([(1u8, "two".to_string(), 3.0f32, '4', true, (), [7i64])]);
    come_back([HashMap::from([(1u64, vec![2u64]), (2, vec![])])]);
    come_back([BTreeMap::from(
        [((1, 2), "pair"), ((3, 4), "other")].map(|(k, v)| (k, v.to_string())),
    )]);
    come_back([BTreeMap::from([(None, 1), (Some('x'), 2)])]);
    come_back([BTreeMap::from([(vec![1u8, 2], BTreeSet::from([3, 1]))])]);
    come_back([BTreeMap::from([(true, ()), (false, ())])]);
    come_back([(0..1000).collect::<Vec<i64>>()]);
    come_back([(0..1000).map(|i| i.to_string()).collect::<Vec<_>>()]);
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Shape {
    Unit,
    Newtype(i32),
    OfUnit(()),
    OfOption(Option<Option<u8>>),
    Tuple(i32, String),
    Struct { a: i32, b: Option<String> },
    Nested(Box<Shape>),
}

fn shapes() -> Vec<Shape> {
    let structs = [None, Some("b".to_string())].map(|b| Shape::Struct { a: 1, b });
    let mut shapes = vec![
        Shape::Unit,
        Shape::Newtype(-1),
        Shape::OfUnit(()),
        Shape::OfOption(None),
        Shape::OfOption(Some(None)),
        Shape::Tuple(1, "t".into()),
    ];
    shapes.extend(structs);
    shapes.push(Shape::Nested(Box::new(Shape::Nested(Box::new(
        Shape::Unit,
    )))));
    shapes
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct UnitStruct;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Newtype(Vec<Shape>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TupleStruct(i8, Option<Newtype>);

fn enums_come_back() {
    come_back(shapes());
    come_back([Newtype(shapes())]);
    come_back([TupleStruct(1, None), TupleStruct(2, Some(Newtype(vec![])))]);
    come_back([UnitStruct, UnitStruct]);
    come_back([Ok(1), Err("no".to_string())]);
    come_back([Bound::Unbounded, Bound::Included(1), Bound::Excluded(2)]);
    come_back([RangeInclusive::new(1, 5)]);
    come_back([BTreeMap::from_iter(
        shapes().into_iter().map(|shape| (shape, 1)),
    )]);
}

/// A field for each attribute of serde that changes what is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_option: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped_vec: Vec<u8>,
    #[serde(skip)]
    never: u32,
    #[serde(skip_serializing)]
    not_written: u32,
    #[serde(rename = "new name", alias = "old name")]
    renamed: i32,
    #[serde(rename(serialize = "one", deserialize = "both"), alias = "one")]
    renamed_both: i32,
    #[serde(with = "as_text")]
    as_text: u64,
    #[serde(flatten)]
    flattened: Flattened,
    #[serde(flatten)]
    rest: HashMap<String, Json>,
    price: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Flattened {
    width: Option<u16>,
    address: Option<IpAddr>,
    nested: Vec<Option<String>>,
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FlattenedNumbers {
    #[serde(flatten)]
    by_number: BTreeMap<u8, Option<Json>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Transparent {
    inner: Option<Option<u8>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct ThroughText(u32);

impl From<ThroughText> for String {
    fn from(ThroughText(number): ThroughText) -> Self {
        number.to_string()
    }
}

impl TryFrom<String> for ThroughText {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(ThroughText)
    }
}

fn structs_with_attributes_come_back() {
    let plain = Attributes {
        price: 3,
        ..Attributes::default()
    };
    let full = Attributes {
        skipped_option: Some(0),
        skipped_vec: vec![1],
        renamed: -1,
        renamed_both: -2,
        as_text: u64::MAX,
        flattened: Flattened {
            width: Some(4),
            address: Some(IpAddr::from([127, 0, 0, 1])),
            nested: vec![None, Some("x".into())],
        },
        rest: HashMap::from([("more".to_string(), json!({"deep": [1, null]}))]),
        ..plain.clone()
    };
    come_back([plain.clone(), full.clone(), plain, full]);
    come_back([None, Some(None), Some(Some(1))].map(|inner| Transparent { inner }));
    come_back([ThroughText(7)]);
    let by_number = BTreeMap::from([(1, None), (2, Some(json!([1])))]);
    come_back([FlattenedNumbers { by_number }]);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Internal {
    Unit,
    Newtype(Flattened),
    Struct {
        n: i64,
        o: Option<u8>,
        deep: Vec<Shape>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Newtype(Option<i32>),
    Tuple(u8, String),
    Struct { a: Option<()> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Flag(bool),
    Number(i64),
    Huge(u64),
    Real(f64),
    Char(char),
    Text(String),
    Address { address: IpAddr },
    Pair(u8, String),
    Known { kind: Internal },
    Shape { shape: Shape },
    List(Vec<Untagged>),
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Renamed {
    #[serde(rename = "first one", alias = "1st")]
    First,
    #[serde(skip)]
    #[expect(dead_code, reason = "that it is skipped is what is tested")]
    Skipped,
    Third(u8),
    #[serde(other)]
    Other,
}

fn enums_with_attributes_come_back() {
    let flattened = Flattened {
        width: None,
        address: Some(IpAddr::from([0; 16])),
        nested: vec![],
    };
    let deep = shapes();
    come_back([
        Internal::Unit,
        Internal::Newtype(flattened),
        Internal::Struct {
            n: -1,
            o: None,
            deep: vec![],
        },
        Internal::Struct {
            n: 1,
            o: Some(2),
            deep,
        },
    ]);
    come_back([
        Adjacent::Unit,
        Adjacent::Newtype(None),
        Adjacent::Newtype(Some(1)),
        Adjacent::Tuple(1, "x".into()),
        Adjacent::Struct { a: None },
        Adjacent::Struct { a: Some(()) },
    ]);
    come_back([Renamed::First, Renamed::Third(3), Renamed::Other]);
}

fn untagged_enums_come_back() {
    let untagged = vec![
        Untagged::Flag(true),
        Untagged::Number(-5),
        Untagged::Huge(u64::MAX),
        Untagged::Real(2.5),
        Untagged::Char('x'),
        Untagged::Text("text".into()),
        Untagged::Address {
            address: IpAddr::from([10, 0, 0, 1]),
        },
        Untagged::Pair(1, "two".into()),
        Untagged::Known {
            kind: Internal::Struct {
                n: 1,
                o: None,
                deep: shapes(),
            },
        },
        Untagged::List(vec![
            Untagged::Number(1),
            Untagged::Real(1.5),
            Untagged::Nothing,
        ]),
        Untagged::Nothing,
    ];
    come_back(untagged.clone());
    come_back(shapes().into_iter().map(|shape| Untagged::Shape { shape }));
    come_back([untagged]);
}

/// A newtype with a name like those that serde_json reserves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "$ref")]
struct Reference(Flattened);

fn a_newtype_with_any_name_comes_back() {
    come_back([Reference(Flattened::default())]);
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Chain {
    #[default]
    End,
    Link(Box<Chain>),
    Struct {
        next: Box<Chain>,
    },
}

/// A list that adds no struct to the encoded value, only options and newtypes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Newtypes(Option<Box<Newtypes>>);

/// A list that adds only options.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Options(Option<Box<Options>>);

/// A list that adds a struct and an option for each item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Node {
    next: Option<Box<Node>>,
}

fn nesting_that_would_overflow_a_stack_is_refused() {
    fn check<T: Default + Debug + PartialEq + Serialize + DeserializeOwned + Send + 'static>(
        deepest: usize,
        link: fn(Box<T>) -> T,
    ) {
        let chain = move |links| (0..links).fold(T::default(), |next, _| link(Box::new(next)));
        let queue = Queue::new().unwrap();
        queue.put(chain(deepest)).unwrap();
        // On a thread, because its stack is smaller than that of `main`.
        let got = std::thread::spawn({
            let queue = queue.clone();
            move || queue.get().unwrap() == chain(deepest)
        });
        assert!(got.join().unwrap());
        match queue.put(chain(deepest + 1)) {
            Err(Error::Encode(text)) => assert!(text.contains("512 deep"), "{text}"),
            other => panic!("{other:?}"),
        }
        assert!(queue.is_empty());
    }
    check(512, Chain::Link);
    check(512, |next| Chain::Struct { next });
    // The end of such a list counts as well: it is a newtype, or a struct.
    check(255, |next| Newtypes(Some(next)));
    check(512, |next| Options(Some(next)));
    check(511, |next| Node { next: Some(next) });
}

fn json_comes_back() {
    let value = json!({
        "null": null, "bool": true, "int": -1, "uint": u64::MAX, "float": 0.5,
        "text": "ä", "list": [1, 2, 3], "mixed": [1, 2.5, "x", null, [], {}],
        "many": {"a": {"a": {"a": 1}}},
    });
    come_back([
        Json::Null,
        value.clone(),
        json!(1),
        json!([]),
        value.clone(),
    ]);
    come_back([None, Some(Json::Null), Some(json!(0)), Some(value.clone())]);
    come_back([Ok(value.clone()), Err(Json::Null)]);
    come_back([BTreeMap::from([("k".to_string(), value)])]);
    come_back([Map::from_iter([("k".to_string(), Json::Null)])]);
}

fn json_with_its_own_types_comes_back() {
    let raw = RawValue::from_string(r#"{"a":  [1, 2]}"#.to_string()).unwrap();
    come_back_by([raw], |one, other| one.get() == other.get());
}

fn times_and_addresses_come_back() {
    let day = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
    let noon: NaiveDateTime = day.and_hms_nano_opt(12, 30, 1, 123_456_789).unwrap();
    let utc: DateTime<Utc> = noon.and_utc();
    let east = FixedOffset::east_opt(8 * 3600 + 1800).unwrap();
    come_back([day]);
    come_back([noon]);
    come_back([utc, DateTime::UNIX_EPOCH]);
    come_back([utc.with_timezone(&east)]);
    come_back([TimeDelta::nanoseconds(-1_500_000_001)]);
    come_back([Duration::MAX, Duration::ZERO]);
    come_back([SystemTime::UNIX_EPOCH + Duration::from_nanos(1)]);
    come_back([IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from([0x2001; 8])]);
    come_back(["[::1]:80".parse::<SocketAddr>().unwrap()]);
}

/// Gives the serializer this length, if any, which may be wrong, and these items.
#[derive(Clone, Debug, PartialEq)]
struct Counted(Option<usize>, Vec<Shape>);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Items<'a>(&'a Counted);
        impl Serialize for Items<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut items = serializer.serialize_seq(self.0.0)?;
                self.0
                    .1
                    .iter()
                    .try_for_each(|item| items.serialize_element(item))?;
                items.end()
            }
        }
        let mut map = serializer.serialize_map(self.0.map(|said| said / 2))?;
        map.serialize_entry("said", &self.0)?;
        map.serialize_entry("items", &Items(self))?;
        map.serialize_entry("after", &"the items")?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Read {
            said: Option<usize>,
            items: Vec<Shape>,
            after: String,
        }
        let Read { said, items, after } = Read::deserialize(deserializer)?;
        assert_eq!(after, "the items");
        Ok(Counted(said, items))
    }
}

/// Writes itself as a struct and reads itself as a map.
#[derive(Clone, Debug, PartialEq)]
struct Asymmetric(u8);

impl Serialize for Asymmetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Asymmetric", 1)?;
        fields.serialize_field("number", &self.0)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Asymmetric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = HashMap::<String, u64>::deserialize(deserializer)?;
        Ok(Asymmetric(numbers["number"] as u8))
    }
}

fn types_with_their_own_serde_implementations_come_back() {
    for said in [None, Some(0), Some(3), Some(300), Some(usize::MAX)] {
        come_back([
            Counted(said, vec![]),
            Counted(said, shapes()),
            Counted(said, vec![Shape::Newtype(1); 300]),
        ]);
    }
    come_back([Asymmetric(7)]);
}

macro_rules! many_fields {
    ($name:ident: $($field:ident)*) => {
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $name { $($field: Option<u8>),* }
    };
}

/// The format gives 254 names of a stream an index. Here there are more.
fn more_names_than_indices_come_back() {
    macro_rules! structs {
        ($($name:ident)*) => {
            $(many_fields!($name: a b c d e f g h i j k l m n o p q r s t u v w x y z);)*
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            #[expect(non_snake_case, reason = "fields by the names of their types")]
            struct All { $($name: $name),* }
        };
    }
    // The same string in two structs may be two literals, and so two names.
    structs!(A B C D E F G H I J K L);
    let all = All {
        L: L {
            z: Some(1),
            ..L::default()
        },
        ..All::default()
    };
    come_back([All::default(), all.clone(), all]);
    let named: Vec<BTreeMap<String, i32>> = (0..300)
        .map(|i| BTreeMap::from([(format!("key {i}"), i)]))
        .collect();
    come_back([named]);
}

fn vectors_that_begin_with_numbers_of_one_type_and_go_on_otherwise_come_back() {
    for other in [
        json!("x"),
        json!(null),
        json!([1]),
        json!({"a": 1}),
        json!(1.5),
    ] {
        for at in 0..4 {
            let mut list = vec![json!(1); 3];
            list.insert(at, other.clone());
            come_back([
                Json::Array(list.clone()),
                Json::Array(vec![Json::Array(list)]),
            ]);
        }
    }
    come_back([vec![(1u8, 2u16), (3, 4)]]);
    let pool = Pool::new(1).unwrap();
    let sums = pool.starmap(|a: u8, b: u64| u64::from(a) + b, [(1, 2), (3, 4)]);
    assert_eq!(sums.unwrap(), [3, 7]);
    let sums = pool.starmap(|a: i32, b: i32| a + b, [(1, 2), (3, 4)]);
    assert_eq!(sums.unwrap(), [3, 7]);
    assert_eq!(pool.starmap(|| 7, [(), ()]).unwrap(), [7, 7]);
}

fn none_and_json_null_come_back_as_different_values() {
    let queue = Queue::<Option<Json>>::new().unwrap();
    for item in [Some(json!(1)), Some(Json::Null), None] {
        queue.put(item).unwrap();
    }
    let consumer = Process::new(
        |queue: &Queue<Option<Json>>| {
            let mut items = Vec::new();
            while let Some(item) = queue.get().unwrap() {
                items.push(item);
            }
            items
        },
        (&queue,),
    );
    let items = consumer.start().unwrap().join().unwrap();
    assert_eq!(items, [json!(1), Json::Null]);
}

fn a_skipped_field_does_not_shift_the_others() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Item {
        #[serde(skip_serializing_if = "Option::is_none")]
        discount: Option<u32>,
        price: u32,
    }
    let items = [(None, 0), (Some(0), 3)].map(|(discount, price)| Item { discount, price });
    let pool = Pool::new(2).unwrap();
    let total = |item: Item| item.price - item.discount.unwrap_or(0);
    assert_eq!(pool.map_chunked(total, items.clone(), 2).unwrap(), [0, 3]);
    assert_eq!(pool.map(total, items).unwrap(), [0, 3]);
}

fn a_value_that_cannot_be_encoded_is_an_error_and_nothing_is_sent() {
    fn refused(outcome: Result<(), Error>, name: &str) {
        match outcome {
            Err(Error::Encode(text)) => {
                assert!(
                    text.contains(name) && text.contains("invalid UTF-8"),
                    "{text}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff")).to_path_buf();
    let queue = Queue::new().unwrap();
    refused(queue.put(path.clone()), "PathBuf");
    refused(queue.try_put(path.clone()), "PathBuf");
    assert!(queue.is_empty());
    queue.put(PathBuf::from("good")).unwrap();
    assert_eq!(queue.get().unwrap(), Path::new("good"));

    let (left, right) = pipe::<PathBuf, ()>().unwrap();
    refused(left.send(path.clone()), "PathBuf");
    assert!(!right.poll(Duration::ZERO).unwrap());

    let argument = Process::new(|_: PathBuf| (), (path.clone(),)).start();
    refused(argument.map(drop), "PathBuf");
    let pool = Pool::new(1).unwrap();
    let good = PathBuf::from("good");
    let mapped = pool.map(|path: PathBuf| path.is_dir(), [good, path.clone()]);
    refused(mapped.map(drop), "PathBuf");
    refused(pool.apply(|_: PathBuf| (), (path,)), "PathBuf");
    let result = pool.apply(
        || Path::new(std::ffi::OsStr::from_bytes(b"\xff")).to_path_buf(),
        (),
    );
    refused(result.map(drop), "PathBuf");
    assert_eq!(pool.apply(|| 1, ()).unwrap(), 1);
}

/// Writes itself as a number and reads itself as a string.
#[derive(Debug)]
struct Mismatched(#[expect(dead_code, reason = "it cannot be read")] String);

impl Serialize for Mismatched {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(1)
    }
}

impl<'de> Deserialize<'de> for Mismatched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Mismatched)
    }
}

fn an_item_of_another_type_is_an_error() {
    let queue = Queue::new().unwrap();
    queue.put(Mismatched(String::new())).unwrap();
    match queue.get() {
        Err(Error::Decode(text)) => {
            let said =
                text.contains("Mismatched") && text.contains("integer `1`, expected a string");
            assert!(said, "{text}");
        }
        other => panic!("{other:?}"),
    }
}

fn references_can_be_arguments() {
    #[derive(Serialize, Deserialize)]
    struct Named<'a> {
        name: &'a str,
        numbers: Vec<u8>,
    }
    let run = |outcome: Result<Process<String>, Error>| outcome.unwrap().join().unwrap();
    let name = String::from("bob");
    let greet = |name: &str| format!("hello {name}");
    assert_eq!(run(Process::new(greet, ("bob",)).start()), "hello bob");
    assert_eq!(
        run(Process::new(greet, (name.as_str(),)).start()),
        "hello bob"
    );
    assert_eq!(run(Process::new(greet, ("",)).start()), "hello ");

    let bytes = |bytes: &[u8], more: &[u8]| format!("{bytes:?}{more:?}");
    let none: &[u8] = &[];
    let child = Process::new(bytes, (&name.as_bytes()[..2], none)).start();
    assert_eq!(run(child), "[98, 111][]");
    let path = |path: &Path| path.display().to_string();
    assert_eq!(
        run(Process::new(path, (Path::new("/tmp"),)).start()),
        "/tmp"
    );

    let all = |a: &[i32], b: &[String], c: Option<&str>, d: Vec<&str>, e: &Vec<u8>, f: &[u8; 2]| {
        format!("{a:?} {b:?} {c:?} {d:?} {e:?} {f:?}")
    };
    let names = [name.clone()];
    let args = (
        &[1, 2][..],
        &names[..],
        Some("c"),
        vec!["d"],
        &vec![1u8],
        &[2u8, 3],
    );
    let child = Process::new(all, args).start();
    assert_eq!(run(child), r#"[1, 2] ["bob"] Some("c") ["d"] [1] [2, 3]"#);
    let named = |named: Named<'_>| format!("{}{:?}", named.name, named.numbers);
    let numbers = vec![1];
    let args = (Named {
        name: &name,
        numbers,
    },);
    assert_eq!(run(Process::new(named, args).start()), "bob[1]");

    let pool = Pool::builder()
        .processes(1)
        .initializer(
            |name: &str, bytes: &[u8]| assert_eq!(name.as_bytes(), bytes),
            ("x", &b"x"[..]),
        )
        .build()
        .unwrap();
    assert_eq!(pool.apply(|| 1, ()).unwrap(), 1);

    let value = Value::new(1).unwrap();
    let array = Array::new([1, 2]).unwrap();
    let both = |values: &[Value<i32>], arrays: &[Array<i32>]| {
        format!("{} {:?}", values[0].get(), arrays[0].to_vec())
    };
    let child = Process::new(both, (&[value][..], &[array][..])).start();
    assert_eq!(run(child), "1 [1, 2]");
}

fn errors_can_be_results() {
    type Answer = Result<u8, Error>;
    fn fails(kind: u8) -> Answer {
        let queue = Queue::<u8>::with_maxsize(1).unwrap();
        match kind {
            0 => queue.try_get(),
            1 => Err(Error::Encode("text".into())),
            2 => Err(Error::System {
                call: "call",
                source: std::io::Error::from_raw_os_error(2),
            }),
            3 => Err(Error::WorkerStart(std::sync::Arc::new(Error::Eof))),
            4 => Err(Error::System {
                call: "call",
                source: std::io::Error::other("words"),
            }),
            _ => Process::new(|| -> u8 { panic!("within") }, ())
                .start()?
                .join(),
        }
    }
    let pool = Pool::new(1).unwrap();
    for kind in 0..6 {
        let here = fails(kind).unwrap_err();
        let there = pool.apply(fails, (kind,)).unwrap().unwrap_err();
        match (&here, &there) {
            (Error::Panicked { message, .. }, Error::Panicked { message: came, .. }) => {
                assert_eq!(message, came);
            }
            _ => assert_eq!(format!("{here:?}"), format!("{there:?}")),
        }
        assert_eq!(
            here.to_string().split(' ').next_back(),
            there.to_string().split(' ').next_back()
        );
    }
    let missing = pool.apply(fails, (2,)).unwrap();
    assert!(matches!(missing, Err(Error::System { source, .. })
        if source.kind() == std::io::ErrorKind::NotFound));
}

fn an_iterator_with_a_wrong_size_hint_can_be_mapped() {
    // The pool must not reserve memory for as many items as this iterator promises.
    struct Promises(u8);
    impl Iterator for Promises {
        type Item = u8;

        fn next(&mut self) -> Option<u8> {
            self.0 = self.0.checked_sub(1)?;
            Some(self.0)
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, Some(usize::MAX))
        }
    }
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.map(echo::<u8>, Promises(3)).unwrap(), [2, 1, 0]);
    assert_eq!(
        pool.map_chunked(echo::<u8>, Promises(3), 1).unwrap(),
        [2, 1, 0]
    );
}

fn a_handle_cannot_be_encoded_in_another_format() {
    let value = Value::new(0).unwrap();
    assert!(serde_json::to_string(&value).is_err());
    assert!(serde_json::from_str::<Value<i32>>("0").is_err());
}
