//! UPDATE and UPSERT against a naive rewrite of each operation on a list of values.

use std::cell::RefCell;

use proptest::prelude::*;
use rmpv::Value;

use super::*;

/// An operation: letter, field number, arguments.
#[derive(Clone, Debug)]
struct Op {
    letter: char,
    field_no: i64,
    args: Vec<Value>,
}

/// Codes of errors.
const DUPLICATE: u32 = 3;
const FIELD_TYPE: u32 = 23;
const SPLICE: u32 = 25;
const ARG_TYPE: u32 = 26;
const UPDATE_FIELD: u32 = 29;
const NO_FIELD: u32 = 37;
const FIELD_MISSING: u32 = 39;
const PRIMARY_KEY: u32 = 94;
const OVERFLOW: u32 = 95;

/// Field 2 is a double or nil: sums that come to lie there are doubles.
const DOUBLE_FIELD: usize = 2;

fn numbers() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-5i64..6).prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => (i64::MIN..0).prop_map(Value::from),
        1 => prop::sample::select(vec![u64::MAX, 1 << 63, (1 << 63) - 1]).prop_map(Value::from),
        2 => prop::sample::select(vec![0.5, -1.5, 2.0, 1e300, -1e300, 0.1]).prop_map(Value::F64),
        2 => prop::sample::select(vec![0.5f32, -2.0, 0.1]).prop_map(Value::F32),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => numbers(),
        2 => prop::sample::select(vec!["", "a", "abcdef"]).prop_map(Value::from),
        1 => prop::sample::select(vec![&b""[..], b"xyz"]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Nil),
        1 => Just(Value::Array(vec![1.into()])),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let small = || prop_oneof![9 => (-8i64..9).prop_map(Value::from), 1 => values()];
    let bits = prop_oneof![4 => any::<u64>().prop_map(Value::from), 1 => values()];
    let text = prop_oneof![
        9 => prop::sample::select(vec!["", "z", "long"]).prop_map(Value::from),
        1 => values(),
    ];
    let with_args = prop_oneof![
        4 => values().prop_map(|value| ('=', vec![value])),
        2 => values().prop_map(|value| ('!', vec![value])),
        2 => prop_oneof![8 => (1u64..4).prop_map(Value::from), 1 => values(), 1 => Just(0.into())]
            .prop_map(|count| ('#', vec![count])),
        4 => (any::<bool>(), prop_oneof![9 => numbers().boxed(), 1 => values().boxed()])
            .prop_map(|(is_plus, value)| (if is_plus { '+' } else { '-' }, vec![value])),
        3 => (prop::sample::select(vec!['&', '|', '^']), bits)
            .prop_map(|(letter, value)| (letter, vec![value])),
        3 => (small(), small(), text)
            .prop_map(|(offset, cut, text)| (':', vec![offset, cut, text])),
    ];
    let op = (with_args, prop_oneof![9 => 1i64..6, 2 => -7i64..0, 1 => Just(0), 1 => 6i64..9])
        .prop_map(|((letter, args), field_no)| Op { letter, field_no, args });
    prop::collection::vec(op, 0..5)
}

fn tuples() -> impl Strategy<Value = Vec<Value>> {
    let double = prop_oneof![numbers(), Just(Value::Nil)];
    let rest = prop::collection::vec(values(), 0..4);
    (0u64..3, values(), double, rest, 1usize..7).prop_map(|(id, one, double, rest, len)| {
        [vec![id.into(), one, double], rest].concat().into_iter().take(len).collect()
    })
}

fn int(value: &Value) -> Option<i128> {
    let integer = if let Value::Integer(integer) = value { integer } else { return None };
    integer.as_u64().map(i128::from).or_else(|| integer.as_i64().map(i128::from))
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F32(value) => Some(f64::from(*value)),
        Value::F64(value) => Some(*value),
        _ => int(value).map(|value| value as f64),
    }
}

/// A number that fits neither an unsigned nor a signed integer of 64 bits is none.
fn from_int(value: i128) -> Option<Value> {
    let unsigned = u64::try_from(value).ok().map(Value::from);
    unsigned.or_else(|| i64::try_from(value).ok().map(Value::from))
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

impl Op {
    fn bytes(ops: &[Self]) -> Vec<u8> {
        let op = |op: &Self| {
            let mut parts = vec![Value::from(op.letter.to_string()), op.field_no.into()];
            parts.extend(op.args.iter().cloned());
            Value::Array(parts)
        };
        array(&ops.iter().map(op).collect::<Vec<_>>())
    }

    /// What is wrong with the arguments, whatever the tuple.
    fn check(&self) -> std::result::Result<(), u32> {
        let is_small = |value: &Value| int(value).is_some_and(|value| i32::try_from(value).is_ok());
        let arg = &self.args[0];
        match self.letter {
            '=' | '!' => Ok(()),
            // The count is cut to 32 bits.
            '#' => match arg.as_u64().map(|count| count as u32) {
                Some(0) => Err(UPDATE_FIELD),
                Some(_) => Ok(()),
                None => Err(ARG_TYPE),
            },
            '+' | '-' => float(arg).map(drop).ok_or(ARG_TYPE),
            ':' => {
                let is_good = is_small(arg) && is_small(&self.args[1]);
                if is_good && text(&self.args[2]).is_some() { Ok(()) } else { Err(ARG_TYPE) }
            }
            _ => arg.as_u64().map(drop).ok_or(ARG_TYPE),
        }
    }

    fn apply(&self, fields: &mut Vec<Value>) -> std::result::Result<(), u32> {
        let len = fields.len() as i64;
        let is_insert = self.letter == '!';
        let from_end = if is_insert { len + 1 } else { len };
        let at = if self.field_no < 0 { self.field_no + from_end } else { self.field_no };
        let at = usize::try_from(at).map_err(|_| NO_FIELD)?;
        let arg = self.args[0].clone();
        if is_insert || (self.letter == '=' && at >= fields.len()) {
            fields.resize(fields.len().max(at), Value::Nil);
            fields.insert(at, arg);
            return Ok(());
        }
        if self.letter == '#' {
            let count = arg.as_u64().map_or(0, |count| count as u32 as usize);
            for _ in 0..count.min(fields.len()) {
                if at < fields.len() {
                    fields.remove(at);
                }
            }
            return Ok(());
        }
        let field = fields.get_mut(at).ok_or(NO_FIELD)?;
        *field = match self.letter {
            '=' => arg,
            '+' | '-' => self.add(field, &arg)?,
            ':' => self.splice(field)?,
            _ => {
                let old = field.as_u64().ok_or(ARG_TYPE)?;
                let arg = arg.as_u64().expect("checked");
                Value::from(match self.letter {
                    '&' => old & arg,
                    '|' => old | arg,
                    _ => old ^ arg,
                })
            }
        };
        Ok(())
    }

    fn add(&self, field: &Value, arg: &Value) -> std::result::Result<Value, u32> {
        let sign = if self.letter == '-' { -1 } else { 1 };
        if let (Some(old), Some(arg)) = (int(field), int(arg)) {
            return from_int(old + sign * arg).ok_or(OVERFLOW);
        }
        let old = float(field).ok_or(ARG_TYPE)?;
        let arg = float(arg).expect("checked");
        let sum = if sign < 0 { old - arg } else { old + arg };
        let narrow = sum as f32;
        Ok(if f64::from(narrow) == sum { Value::F32(narrow) } else { Value::F64(sum) })
    }

    fn splice(&self, field: &Value) -> std::result::Result<Value, u32> {
        let old = text(field).ok_or(ARG_TYPE)?;
        let len = old.len() as i128;
        let mut start = int(&self.args[0]).expect("checked");
        if start < 0 {
            start += len + 1;
        }
        if start < 0 {
            return Err(SPLICE);
        }
        let start = start.min(len);
        let mut cut = int(&self.args[1]).expect("checked");
        if cut < 0 {
            // As many bytes stay at the end.
            cut = (len - start + cut).max(0);
        }
        let end = (start + cut).min(len);
        let mut new = old[..start as usize].to_vec();
        new.extend_from_slice(text(&self.args[2]).expect("checked"));
        new.extend_from_slice(&old[end as usize..]);
        Ok(match field {
            Value::Binary(_) => Value::Binary(new),
            _ => Value::from(String::from_utf8(new).expect("all in ASCII")),
        })
    }
}

/// The tuple after the operations, or the code of the error. UPSERT skips what cannot be done.
fn rewrite(old: &[Value], ops: &[Op], is_upsert: bool) -> std::result::Result<Vec<Value>, u32> {
    ops.iter().try_for_each(Op::check)?;
    let mut new = old.to_vec();
    // What `=` and `!` have put is left as it is, even if it is a float.
    let mut is_sum = vec![false; old.len()];
    for op in ops {
        let mut sums: Vec<Value> = is_sum.iter().map(|is_sum| Value::from(*is_sum)).collect();
        match op.apply(&mut new) {
            Ok(()) => {
                let marker = Op { args: vec![false.into()], ..op.clone() };
                match op.letter {
                    '=' | '!' => marker.apply(&mut sums).expect("the same place"),
                    '#' => op.apply(&mut sums).expect("the same place"),
                    _ => Op { letter: '=', args: vec![true.into()], ..op.clone() }
                        .apply(&mut sums)
                        .expect("the same place"),
                }
                is_sum = sums.iter().map(|value| *value == Value::from(true)).collect();
            }
            Err(_) if is_upsert => {}
            Err(code) => return Err(code),
        }
    }
    if let Some(Value::F32(sum)) = new.get(DOUBLE_FIELD)
        && is_sum[DOUBLE_FIELD]
    {
        new[DOUBLE_FIELD] = Value::F64(f64::from(*sum));
    }
    match new.first() {
        None => return Err(FIELD_MISSING),
        Some(id) if id.as_u64().is_none() => return Err(FIELD_TYPE),
        Some(_) => {}
    }
    let is_double = |value: &Value| value.is_nil() || float(value).is_some();
    if new.get(DOUBLE_FIELD).is_some_and(|value| !is_double(value)) {
        return Err(FIELD_TYPE);
    }
    if new[0] == old[0] {
        Ok(new)
    } else if is_upsert {
        Ok(old.to_vec())
    } else {
        Err(if new[0] == OTHER_ID.into() { DUPLICATE } else { PRIMARY_KEY })
    }
}

/// A tuple with this id is there too.
const OTHER_ID: u64 = 5;

fn array(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, &Value::Array(values.to_vec()))
        .expect("a vector takes all");
    out
}

/// A space with one tuple.
fn database() -> Database {
    let mut db = fresh();
    let format = r#"[{"name":"id","type":"unsigned"},{"name":"b","type":"any","is_nullable":true},
        {"name":"c","type":"double","is_nullable":true}]"#;
    run(&mut db, |txn| {
        txn.insert(space_id::SPACE, &mp(&format!(r#"[512,1,"t","memtx",0,{{}},{format}]"#)))?;
        txn.insert(space_id::INDEX, &mp(r#"[512,0,"pk","tree",{},[[0,"unsigned"]]]"#))?;
        txn.insert(512, &array(&[OTHER_ID.into()]))
    })
    .expect("a space");
    db
}

thread_local! {
    /// Every case is a transaction that is dropped.
    static DB: RefCell<Database> = RefCell::new(database());
}

/// What a request makes of a tuple, or the code of its error; on an error the tuple must be as it was.
fn change(
    tuple: &[Value],
    request: impl FnOnce(&mut Txn<'_>) -> Result<()>,
) -> std::result::Result<Vec<u8>, u32> {
    DB.with_borrow_mut(|db| {
        let mut txn = db.begin(ADMIN, 0.0);
        txn.insert(512, &array(tuple)).expect("a good tuple");
        let done = request(&mut txn);
        let key = array(&tuple[..1]);
        let index = txn.db().space(512).expect("the space").primary().expect("its index");
        let stored = index.get(&Key::from_array(&key)).expect("the tuple").data().to_vec();
        match done {
            Ok(()) => Ok(stored),
            Err(error) => {
                assert_eq!(stored, array(tuple), "after {error}");
                Err(error.code())
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn update_does_what_a_rewrite_does(tuple in tuples(), ops in ops()) {
        let key = array(&tuple[..1]);
        let got = change(&tuple, |txn| txn.update(512, 0, &key, &Op::bytes(&ops), 0).map(drop));
        prop_assert_eq!(got, rewrite(&tuple, &ops, false).map(|new| array(&new)));
    }

    #[test]
    fn upsert_does_what_a_rewrite_does(tuple in tuples(), ops in ops()) {
        let row = array(&tuple[..1]);
        let got = change(&tuple, |txn| txn.upsert(512, &row, &Op::bytes(&ops), 0));
        prop_assert_eq!(got, rewrite(&tuple, &ops, true).map(|new| array(&new)));
    }
}
