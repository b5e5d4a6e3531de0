//! Paths against a naive walk over values.

use lycosa_proto::msgpack::{self, Token, write_array, write_map, write_str, write_uint};
use proptest::prelude::*;

use super::{JsonPath, Lexer, STEP_MAX, Step};

fn check(path: &str, wanted: &Result<Vec<Step<'_>>, usize>) {
    assert_eq!(Lexer::new(path.as_bytes()).collect::<Result<Vec<_>, _>>(), *wanted, "{path}");
}

fn parse(path: &str) -> JsonPath {
    JsonPath::parse(path.as_bytes()).unwrap_or_else(|| panic!("{path} is no path"))
}

#[test]
fn paths_are_cut_into_steps() {
    let key = |text: &'static str| Step::Key(text.as_bytes());
    check("a.b", &Ok(vec![key("a"), key("b")]));
    check("[2].x['y z'][10]", &Ok(vec![Step::Index(1), key("x"), key("y z"), Step::Index(9)]));
    check(".a", &Ok(vec![key("a")]));
    check("", &Ok(vec![]));
    check("l[*].n", &Ok(vec![key("l"), Step::Any, key("n")]));
    check(
        "\u{43f}\u{43e}\u{43b}\u{435}.b",
        &Ok(vec![key("\u{43f}\u{43e}\u{43b}\u{435}"), key("b")]),
    );
}

#[test]
fn a_fault_names_its_place() {
    check("a.", &Err(3));
    check("a[*", &Err(4));
    check("a[0]", &Err(3));
    check("a[", &Err(2));
    check("a.b[", &Err(4));
    check("a['']", &Err(4));
    check("a[2147483648]", &Err(3));
    check("a[1", &Err(4));
    check("a.1", &Err(3));
    check("a b", &Err(2));
}

#[test]
fn numbers_are_of_32_bits() {
    check("[4294967297]", &Ok(vec![Step::Index(0)]));
}

#[test]
fn bytes_that_are_no_utf_8_end_a_name() {
    let steps = |path: &'static [u8]| Lexer::new(path).collect::<Vec<_>>();
    assert_eq!(steps(b"a\xff.b"), [Ok(Step::Key(b"a\xff")), Ok(Step::Key(b"b"))]);
    assert_eq!(steps(b"a\xffb"), [Ok(Step::Key(b"a\xff")), Err(2)]);
    assert_eq!(steps(b"\xff"), [Err(1)]);
}

#[test]
fn spellings_of_one_path_are_equal() {
    for same in ["a.b[1]", ".a.b[1]", "['a'].b[1]", "[\"a\"]['b'][01]", "a[\"b\"][1]"] {
        assert_eq!(parse(same), parse("a.b[1]"), "{same}");
    }
    assert_ne!(parse("a.b"), parse("a.b[1]"));
    assert_ne!(parse("[1]"), parse("['1']"));
}

#[test]
fn what_is_no_path_is_refused() {
    for bad in [".", "a..b", "a[", "a[]", "a]", "[\"a", "a b", "1a", "a[0]", "a[-1]", "[*"] {
        assert_eq!(JsonPath::parse(bad.as_bytes()), None, "{bad}");
    }
    assert_eq!(JsonPath::parse(b"['\xff']"), None);
    assert!(JsonPath::parse("[1]".repeat(STEP_MAX).as_bytes()).is_some());
    assert_eq!(JsonPath::parse("[1]".repeat(STEP_MAX + 1).as_bytes()), None);
}

#[test]
fn multikey_paths_share_what_leads_to_the_array() {
    assert!(parse("a[*].b").is_same_multikey(&parse("['a'][*]")));
    assert!(!parse("a[*]").is_same_multikey(&parse("b[*]")));
    assert!(!parse("a[*]").is_same_multikey(&parse("a[1]")));
    assert!(parse("a[*].b[*]").has_second_any());
    assert!(!parse("a[*].b").has_second_any());
}

/// A value for tests: numbers at the leaves, keys of two letters, some of them twice in one map.
#[derive(Clone, Debug)]
enum Value {
    Number(u8),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(value) => write_uint(out, u64::from(*value)),
            Self::List(items) => {
                write_array(out, items.len());
                items.iter().for_each(|item| item.write(out));
            }
            Self::Map(pairs) => {
                write_map(out, pairs.len());
                for (key, value) in pairs {
                    write_str(out, key);
                    value.write(out);
                }
            }
        }
    }

    /// Every value at the path, in the order of the bytes.
    fn walk<'v>(&'v self, steps: &[Step<'_>], multikey_no: usize, found: &mut Vec<&'v Self>) {
        let Some((step, below)) = steps.split_first() else { return found.push(self) };
        let item = |items: &'v [Self], at: usize, found: &mut Vec<&'v Self>| {
            if let Some(item) = items.get(at) {
                item.walk(below, multikey_no, found);
            }
        };
        match (self, step) {
            (Self::List(items), Step::Index(at)) => item(items, *at as usize, found),
            (Self::List(items), Step::Any) => item(items, multikey_no, found),
            (Self::Map(pairs), Step::Key(key)) => {
                for (_, value) in pairs.iter().filter(|(own, _)| own.as_bytes() == *key) {
                    value.walk(below, multikey_no, found);
                }
            }
            _ => {}
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = any::<u8>().prop_map(Value::Number);
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec(("[ab]", inner), 0..4).prop_map(Value::Map),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        Just(".a".to_owned()),
        Just("['b']".to_owned()),
        (1..4u8).prop_map(|index| format!("[{index}]")),
    ];
    let steps = move || prop::collection::vec(step.clone(), 0..3);
    let any = prop_oneof![Just(""), Just("[*]")];
    (steps(), any, steps()).prop_map(|(a, any, b)| format!("{}{any}{}", a.concat(), b.concat()))
}

proptest! {
    #[test]
    fn a_path_finds_what_a_naive_walk_finds(
        value in value(),
        path in path(),
        multikey_no in 0..4u32,
    ) {
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        let steps: Vec<Step<'_>> = Lexer::new(path.as_bytes()).map(Result::unwrap).collect();
        let mut wanted = Vec::new();
        value.walk(&steps, multikey_no as usize, &mut wanted);
        let wanted = wanted.last().map(|value| {
            let mut bytes = Vec::new();
            value.write(&mut bytes);
            bytes
        });
        let path = parse(&path);
        let found = path.find(&bytes, multikey_no);
        let found = found.map(|mut at| msgpack::take(&mut at).unwrap().to_vec());
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn a_multikey_path_counts_the_items_of_its_array(value in value(), path in path()) {
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        let steps: Vec<Step<'_>> = Lexer::new(path.as_bytes()).map(Result::unwrap).collect();
        let any = steps.iter().position(|step| *step == Step::Any);
        let mut arrays = Vec::new();
        if let Some(any) = any {
            value.walk(&steps[..any], 0, &mut arrays);
        }
        let wanted = match arrays.last() {
            Some(Value::List(items)) => items.len() as u32,
            _ => 0,
        };
        prop_assert_eq!(parse(&path).multikey_count(&bytes), wanted);
    }

    #[test]
    fn any_bytes_are_a_path_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        if let Some(path) = JsonPath::parse(&bytes) {
            let mut value = Vec::new();
            write_array(&mut value, 1);
            write_uint(&mut value, 1);
            if let Some(mut found) = path.find(&value, 0) {
                prop_assert!(!matches!(msgpack::read(&mut found), Ok(Token::Map(_)) | Err(_)));
            }
        }
    }
}
