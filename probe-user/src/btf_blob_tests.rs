//! Blobs written type by type: what is in them is read back; cut, flipped and tied into knots they end in an answer or an error.

use proptest::prelude::*;

use super::*;

/// A blob under construction.
struct Blob {
    types: Vec<u32>,
    count: u32,
    strings: Vec<u8>,
}

impl Blob {
    fn new() -> Self {
        Self {
            types: Vec::new(),
            count: 0,
            strings: vec![0],
        }
    }

    /// Position of a name; that of the empty one is 0.
    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    /// Adds a type and returns its id.
    fn add(&mut self, name: &str, info: u32, size_or_type: u32, tail: &[u32]) -> u32 {
        let name = self.name(name);
        self.types.extend([name, info, size_or_type]);
        self.types.extend(tail);
        self.count += 1;
        self.count
    }

    /// Adds a struct of members with a name, a type and an offset.
    fn structure(&mut self, name: &str, flag: bool, members: &[(&str, u32, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (member, id, offset) in members {
            tail.extend([self.name(member), *id, *offset]);
        }
        let info = u32::from(flag) << 31 | STRUCT << 24 | members.len() as u32;
        self.add(name, info, 8, &tail)
    }

    fn enumeration(&mut self, name: &str, values: &[(String, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (constant, value) in values {
            tail.extend([self.name(constant), *value]);
        }
        self.add(name, ENUM << 24 | values.len() as u32, 4, &tail)
    }

    /// Adds a prototype; its arguments are of type 1.
    fn prototype(&mut self, args: u32) -> u32 {
        let tail = [0, 1].repeat(args as usize);
        self.add("", FUNC_PROTO << 24 | args, 0, &tail)
    }

    fn bytes(&self) -> Vec<u8> {
        let types_len = self.types.len() as u32 * 4;
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [24, 0, types_len, types_len, self.strings.len() as u32] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(self.types.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(&self.strings);
        bytes
    }

    fn parse(&self) -> Btf {
        Btf::parse(self.bytes()).expect("well-formed")
    }
}

/// One type of each kind that the reader looks into.
fn kinds() -> Blob {
    let mut blob = Blob::new();
    let int = blob.add("int", INT << 24, 4, &[32]);
    let inner = blob.structure("", false, &[("a", int, 0), ("b", int, 32)]);
    let alias = blob.add("inner_t", TYPEDEF << 24, inner, &[]);
    let constant = blob.add("", CONST << 24, alias, &[]);
    blob.structure("outer", false, &[("", inner, 0), ("c", constant, 64)]);
    blob.structure("bits", true, &[("d", int, 3 << 24 | 8)]);
    blob.enumeration("colour", &[("RED".into(), 5), ("BLUE".into(), 6)]);
    blob.add("", ENUM64 << 24 | 1, 8, &[0, 7, 0]);
    blob.add("", ARRAY << 24, 0, &[int, int, 4]);
    let prototype = blob.prototype(3);
    blob.add("f", FUNC << 24, prototype, &[]);
    let pointer = blob.add("", PTR << 24, prototype, &[]);
    blob.add("btf_trace_t", TYPEDEF << 24, pointer, &[]);
    blob
}

/// Every question that the reader answers; whatever the answers, they must come.
fn ask(btf: &Btf) {
    for path in ["a", "b", "c.a", "c.b", "c.z", ""] {
        let _ = btf.offset("outer", path);
    }
    let _ = btf.offset("bits", "d");
    let _ = btf.constant("BLUE");
    let _ = btf.constants("colour");
    let _ = btf.has_function("f");
    let _ = btf.function_args("f");
    let _ = btf.tracepoint_args("t");
}

#[test]
fn all_kinds_are_read_back() {
    let btf = kinds().parse();
    assert_eq!(btf.offset("outer", "b").expect("b"), 4);
    assert_eq!(btf.offset("outer", "c.b").expect("c.b"), 12);
    assert_eq!(btf.offset("bits", "d").expect("d"), 1);
    assert_eq!(btf.constant("BLUE").expect("BLUE"), 6);
    assert_eq!(btf.function_args("f").expect("f"), 3);
    assert_eq!(btf.tracepoint_args("t").expect("t"), 2);
}

/// A wrong id would attach a program to another function.
#[test]
fn outline_keeps_the_ids_of_names() {
    let btf = kinds().parse();
    let bytes = btf.outline(|name| name != b"inner_t");
    let outline = Btf::parse(bytes.clone()).expect("well-formed");
    assert_eq!(outline.types.len(), btf.types.len());
    for (kind, name) in [(FUNC, "f"), (TYPEDEF, "btf_trace_t")] {
        assert!(btf.find(kind, name).is_some(), "{name}");
        assert_eq!(outline.find(kind, name), btf.find(kind, name), "{name}");
    }
    for (kind, name) in [(STRUCT, "outer"), (TYPEDEF, "inner_t")] {
        assert!(btf.find(kind, name).is_some(), "{name}");
        assert_eq!(outline.find(kind, name), None, "{name}");
    }
    assert!(aya::Btf::parse(&bytes, aya::Endianness::default()).is_ok());
}

#[test]
fn cut_anywhere_it_is_an_error() {
    let bytes = kinds().bytes();
    for cut in 0..bytes.len() {
        assert!(Btf::parse(bytes[..cut].to_vec()).is_err(), "{cut}");
    }
}

#[test]
fn any_flipped_bit_ends_in_an_answer_or_an_error() {
    let bytes = kinds().bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(btf) = Btf::parse(bytes) {
            ask(&btf);
        }
    }
}

#[test]
fn unnamed_structs_that_hold_themselves_are_given_up() {
    let mut blob = Blob::new();
    // Two ways at each level: without a limit 2^32 members would be passed.
    blob.structure("outer", false, &[("", 1, 0), ("", 1, 0), ("a", 1, 0)]);
    assert!(blob.parse().offset("outer", "b").is_err());
    let mut blob = Blob::new();
    blob.structure("outer", false, &[("", 2, 0)]);
    for next in 3..60 {
        blob.structure("", false, &[("", next, 0), ("", next, 0)]);
    }
    assert!(blob.parse().offset("outer", "b").is_err());
}

#[test]
fn aliases_of_themselves_are_given_up() {
    let mut blob = Blob::new();
    blob.add("btf_trace_t", TYPEDEF << 24, 2, &[]);
    blob.add("", CONST << 24, 1, &[]);
    blob.structure("outer", false, &[("a", 1, 0)]);
    let btf = blob.parse();
    assert!(btf.tracepoint_args("t").is_err());
    assert!(btf.offset("outer", "a.b").is_err());
}

#[test]
fn a_name_without_an_end_is_cut() {
    let mut blob = Blob::new();
    blob.enumeration("colour", &[("R".repeat(2 * MAX_NAME_BYTES), 1)]);
    let constants = blob.parse().constants("colour").expect("colour");
    assert_eq!(constants[0].1.len(), MAX_NAME_BYTES);
}

fn names() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_set("[a-z_][a-z0-9_]{0,12}", 1..40)
        .prop_map(|names| names.into_iter().collect())
}

proptest! {
    #[test]
    fn members_are_read_back(names in names(), start in 0u32..0x1_0000, flag: bool, hidden: bool) {
        let mut blob = Blob::new();
        let bits = |index: usize| (start + index as u32) * 8;
        // With the flag set the upper byte is the width of a bit field.
        let width = if flag { 5 << 24 } else { 0 };
        let members: Vec<_> = names.iter().enumerate().map(|(i, name)| (name.as_str(), 0, width | bits(i))).collect();
        if hidden {
            blob.structure("s", false, &[("", 2, 64)]);
            blob.structure("", flag, &members);
        } else {
            blob.structure("s", flag, &members);
        }
        let btf = blob.parse();
        for (index, name) in names.iter().enumerate() {
            let expect = (bits(index) + if hidden { 64 } else { 0 }) / 8;
            prop_assert_eq!(btf.offset("s", name).expect("a member"), expect);
        }
        prop_assert!(btf.offset("s", "Z").is_err());
        prop_assert!(btf.offset("s", "").is_err() || hidden);
    }

    #[test]
    fn constants_are_read_back(names in names(), seed: u32) {
        let values: Vec<_> = names.into_iter().enumerate().map(|(i, name)| (name, seed.rotate_left(i as u32))).collect();
        let mut blob = Blob::new();
        blob.enumeration("e", &values);
        let btf = blob.parse();
        for (name, value) in &values {
            prop_assert_eq!(btf.constant(name).expect("a constant"), *value);
        }
        let read: Vec<_> = btf.constants("e").expect("e").into_iter().map(|(value, name)| (name, value)).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn arguments_are_counted(args in 0u32..20) {
        let mut blob = Blob::new();
        let prototype = blob.prototype(args);
        blob.add("f", FUNC << 24, prototype, &[]);
        let pointer = blob.add("", PTR << 24, prototype, &[]);
        blob.add("btf_trace_t", TYPEDEF << 24, pointer, &[]);
        let btf = blob.parse();
        prop_assert_eq!(btf.function_args("f").ok(), Some(args as usize));
        prop_assert_eq!(btf.tracepoint_args("t").ok(), (args as usize).checked_sub(1));
    }

    #[test]
    fn any_words_in_a_good_frame_end_in_an_answer_or_an_error(
        types in proptest::collection::vec((0u32..40, 0u32..20, 0u32..4, 0u32..20), 1..60),
        loose in proptest::collection::vec(any::<u32>(), 0..40),
    ) {
        let mut blob = kinds();
        for (name, kind, vlen, of) in types {
            blob.types.extend([name, kind << 24 | vlen, of]);
        }
        blob.types.extend(loose);
        if let Ok(btf) = Btf::parse(blob.bytes()) {
            ask(&btf);
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300), framed: bool) {
        let start = if framed { kinds().bytes()[..24].to_vec() } else { Vec::new() };
        if let Ok(btf) = Btf::parse([start, bytes].concat()) {
            ask(&btf);
        }
    }
}
