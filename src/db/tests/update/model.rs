//! What operations make of a list of values, written as naively as it goes.

use lycosa_proto::msgpack;
use rmpv::Value;

/// A step of a path.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    /// An item of an array, zero-based.
    Index(usize),
    Key(&'static str),
}

/// How an operation names its field.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// From the request's base on, or from the end.
    Number(i64),
    /// A field, zero-based, and the steps below it; true writes keys in brackets.
    Path(usize, Vec<Step>, bool),
}

/// An operation: letter, place, arguments.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) letter: char,
    pub(super) place: Place,
    pub(super) args: Vec<Value>,
}

/// A field of the tuple under change.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    value: Value,
    /// The value was computed: a float is stored as the field has it. What `=` and `!` have put is left as it is.
    is_sum: bool,
    /// The paths below it of the operations so far.
    touched: Vec<Vec<Step>>,
}

/// Codes of errors.
pub(super) const DUPLICATE: u32 = 3;
pub(super) const FIELD_TYPE: u32 = 23;
pub(super) const SPLICE: u32 = 25;
pub(super) const ARG_TYPE: u32 = 26;
pub(super) const UPDATE_FIELD: u32 = 29;
pub(super) const NO_FIELD: u32 = 37;
pub(super) const FIELD_MISSING: u32 = 39;
pub(super) const PRIMARY_KEY: u32 = 94;
pub(super) const OVERFLOW: u32 = 95;
pub(super) const NO_PATH: u32 = 201;
/// Stands for every answer: the model has no number as great.
pub(super) const ANYTHING: u32 = u32::MAX;

/// Field 2 is a double or nil: sums that come to lie there are doubles.
pub(super) const DOUBLE_FIELD: usize = 2;

/// `digits / 10^scale` as an extension.
pub(super) fn decimal(digits: i128, scale: i32) -> Value {
    let mut text = digits.unsigned_abs().to_string();
    text.push(if digits < 0 { 'd' } else { 'c' });
    if text.len() % 2 == 1 {
        text.insert(0, '0');
    }
    let nibble = |at: usize| u8::from_str_radix(&text[at..=at], 16).expect("a digit");
    let pairs = (0..text.len()).step_by(2).map(|at| nibble(at) << 4 | nibble(at + 1));
    let mut bytes = Vec::new();
    msgpack::write_int(&mut bytes, i64::from(scale));
    bytes.extend(pairs);
    Value::Ext(1, bytes)
}

/// The digits and the scale of a decimal of these tests, or of what is added to one.
fn as_decimal(value: &Value) -> Option<(i128, i32)> {
    let Value::Ext(1, bytes) = value else {
        if let Some(int) = int(value) {
            return Some((int, 0));
        }
        // 15 digits, as a text without zeros at its end.
        let text = format!("{:.14e}", float(value)?);
        let (mantissa, exponent) = text.split_once('e')?;
        let (whole, part) = mantissa.split_once('.')?;
        let part = part.trim_end_matches('0');
        let digits: i128 = format!("{whole}{part}").parse().ok()?;
        let scale = part.len() as i32 - exponent.parse::<i32>().ok()?;
        let up = u32::try_from(-scale).unwrap_or(0);
        return Some((digits.checked_mul(10i128.checked_pow(up)?)?, scale.max(0)));
    };
    let mut rest = &bytes[..];
    let scale = match msgpack::read(&mut rest).ok()? {
        msgpack::Token::Uint(scale) => scale as i32,
        _ => return None,
    };
    let text: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    let (digits, sign) = text.split_at(text.len() - 1);
    let digits: i128 = digits.parse().ok()?;
    Some((if sign == "d" { -digits } else { digits }, scale))
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

impl Place {
    fn text(field: usize, steps: &[Step], in_brackets: bool) -> String {
        let mut text = format!("[{}]", field + 1);
        for step in steps {
            text += &match step {
                Step::Index(at) => format!("[{}]", at + 1),
                Step::Key(key) if in_brackets || key.contains(' ') => format!("['{key}']"),
                Step::Key(key) => format!(".{key}"),
            };
        }
        text
    }
}

impl Op {
    /// The operations of a request.
    pub(super) fn bytes(ops: &[Self]) -> Vec<u8> {
        let op = |op: &Self| {
            let place = match &op.place {
                Place::Number(number) => (*number).into(),
                Place::Path(field, steps, in_brackets) => {
                    Place::text(*field, steps, *in_brackets).into()
                }
            };
            let mut parts = vec![Value::from(op.letter.to_string()), place];
            parts.extend(op.args.iter().cloned());
            Value::Array(parts)
        };
        array(&ops.iter().map(op).collect::<Vec<_>>())
    }

    /// What is wrong with the place and the arguments, whatever the tuple.
    fn check(&self, base: i64) -> std::result::Result<(), u32> {
        if matches!(self.place, Place::Number(number) if 0 <= number && number < base) {
            return Err(NO_FIELD);
        }
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
            '+' | '-' => as_number(arg).ok_or(ARG_TYPE),
            ':' => {
                let offset = int(arg).filter(|_| is_small(arg)).ok_or(ARG_TYPE)?;
                if 0 <= offset && offset < i128::from(base) {
                    return Err(SPLICE);
                }
                let is_good = is_small(&self.args[1]) && text(&self.args[2]).is_some();
                if is_good { Ok(()) } else { Err(ARG_TYPE) }
            }
            _ => arg.as_u64().map(drop).ok_or(ARG_TYPE),
        }
    }

    fn not_found(&self) -> u32 {
        if matches!(self.place, Place::Number(_)) { NO_FIELD } else { NO_PATH }
    }

    fn delete_count(&self) -> usize {
        self.args[0].as_u64().map_or(0, |count| count as u32 as usize)
    }

    /// Every tuple that the operation may make of this one, and the codes of every error.
    fn outcomes(&self, slots: &[Slot], base: i64) -> (Vec<Vec<Slot>>, Vec<u32>) {
        let mut changed = slots.to_vec();
        let (steps, done) = match &self.place {
            Place::Path(field, steps, _) if !steps.is_empty() => {
                let Some(slot) = changed.get_mut(*field) else {
                    return (Vec::new(), vec![NO_PATH]);
                };
                if slot.is_sum {
                    return (Vec::new(), vec![NO_PATH]);
                }
                let done = self.below(&mut slot.value, steps, base);
                slot.touched.push(steps.clone());
                (&steps[..], done)
            }
            _ => (&[][..], self.apply(&mut changed, base)),
        };
        let mut earlier: &[Vec<Step>] = &[];
        if let Place::Path(field, ..) = &self.place
            && !steps.is_empty()
        {
            earlier = &slots[*field].touched;
        }
        match done {
            Ok(())
                if earlier
                    .iter()
                    .any(|path| path.len() > steps.len() && path.starts_with(steps)) =>
            {
                // The way to an opened container is closed.
                (vec![changed], vec![NO_PATH])
            }
            Ok(()) => (vec![changed], Vec::new()),
            Err(code) if earlier.is_empty() => (Vec::new(), vec![code]),
            Err(_) if self.letter == '#' => (vec![slots.to_vec()], vec![NO_PATH, UPDATE_FIELD]),
            Err(code) => (Vec::new(), vec![code, NO_PATH, UPDATE_FIELD]),
        }
    }

    /// Changes a field, or adds or removes fields.
    fn apply(&self, slots: &mut Vec<Slot>, base: i64) -> std::result::Result<(), u32> {
        let len = slots.len() as i64;
        let is_insert = self.letter == '!';
        let at = match self.place {
            Place::Number(number) if number < 0 => number + len + i64::from(is_insert),
            Place::Number(number) => number - base,
            Place::Path(field, ..) => field as i64,
        };
        let at = usize::try_from(at).map_err(|_| self.not_found())?;
        let put = |value: &Value| Slot { value: value.clone(), is_sum: false, touched: Vec::new() };
        let arg = &self.args[0];
        if is_insert || (self.letter == '=' && at >= slots.len()) {
            slots.resize(slots.len().max(at), put(&Value::Nil));
            slots.insert(at, put(arg));
            return Ok(());
        }
        if self.letter == '#' {
            for _ in 0..self.delete_count().min(slots.len()) {
                if at < slots.len() {
                    slots.remove(at);
                }
            }
            return Ok(());
        }
        let slot = slots.get_mut(at).ok_or_else(|| self.not_found())?;
        if self.letter == '=' {
            *slot = put(arg);
        } else {
            let value = self.compute(&slot.value, base)?;
            *slot = Slot { value, is_sum: true, touched: Vec::new() };
        }
        Ok(())
    }

    /// Changes a value below this one.
    fn below(&self, value: &mut Value, steps: &[Step], base: i64) -> std::result::Result<(), u32> {
        let (step, deeper) = steps.split_first().expect("a step");
        let is_last = deeper.is_empty();
        let arg = self.args[0].clone();
        match (value, step) {
            (Value::Array(items), Step::Index(at)) => match self.letter {
                '=' | '!' if is_last && *at == items.len() => items.push(arg),
                '!' if is_last && *at < items.len() => items.insert(*at, arg),
                '#' if is_last && *at < items.len() => {
                    let end = at.saturating_add(self.delete_count()).min(items.len());
                    items.drain(*at..end);
                }
                _ => self.down(items.get_mut(*at).ok_or(NO_PATH)?, deeper, base)?,
            },
            (Value::Map(pairs), Step::Key(name)) => {
                let at = pairs.iter().position(|(key, _)| key.as_str() == Some(name));
                match (self.letter, at) {
                    ('=' | '!', None) if is_last => pairs.push(((*name).into(), arg)),
                    ('!', Some(_)) if is_last => return Err(UPDATE_FIELD),
                    ('#', Some(_)) if is_last && self.delete_count() != 1 => {
                        return Err(UPDATE_FIELD);
                    }
                    ('#', Some(at)) if is_last => drop(pairs.remove(at)),
                    (_, at) => self.down(&mut pairs[at.ok_or(NO_PATH)?].1, deeper, base)?,
                }
            }
            _ if is_last && matches!(self.letter, '=' | '!') => return Err(UPDATE_FIELD),
            _ => return Err(NO_PATH),
        }
        Ok(())
    }

    /// Goes a step down, or changes the value at the end of the path.
    fn down(&self, value: &mut Value, steps: &[Step], base: i64) -> std::result::Result<(), u32> {
        if !steps.is_empty() {
            return self.below(value, steps, base);
        }
        *value = if self.letter == '=' { self.args[0].clone() } else { self.compute(value, base)? };
        Ok(())
    }

    fn compute(&self, old: &Value, base: i64) -> std::result::Result<Value, u32> {
        let arg = &self.args[0];
        match self.letter {
            '+' | '-' => self.add(old, arg),
            ':' => self.splice(old, base),
            _ => {
                let (old, arg) = (old.as_u64().ok_or(ARG_TYPE)?, arg.as_u64().expect("checked"));
                Ok(Value::from(match self.letter {
                    '&' => old & arg,
                    '|' => old | arg,
                    _ => old ^ arg,
                }))
            }
        }
    }

    fn add(&self, field: &Value, arg: &Value) -> std::result::Result<Value, u32> {
        let sign = if self.letter == '-' { -1 } else { 1 };
        if let (Some(old), Some(arg)) = (int(field), int(arg)) {
            return from_int(old + sign * arg).ok_or(OVERFLOW);
        }
        if matches!(field, Value::Ext(..)) || matches!(arg, Value::Ext(..)) {
            as_number(field).ok_or(ARG_TYPE)?;
            let (old, old_scale) = as_decimal(field).ok_or(ANYTHING)?;
            let (arg, arg_scale) = as_decimal(arg).ok_or(ANYTHING)?;
            let scale = old_scale.max(arg_scale);
            let at_scale = |digits: i128, own: i32| digits * 10i128.pow((scale - own) as u32);
            let sum = at_scale(old, old_scale) + sign * at_scale(arg, arg_scale);
            return Ok(decimal(sum, scale));
        }
        let old = float(field).ok_or(ARG_TYPE)?;
        let arg = float(arg).expect("checked");
        let sum = if sign < 0 { old - arg } else { old + arg };
        let narrow = sum as f32;
        Ok(if f64::from(narrow) == sum { Value::F32(narrow) } else { Value::F64(sum) })
    }

    fn splice(&self, field: &Value, base: i64) -> std::result::Result<Value, u32> {
        let old = text(field).ok_or(ARG_TYPE)?;
        let len = old.len() as i128;
        let mut start = int(&self.args[0]).expect("checked");
        start += if start < 0 { len + 1 } else { -i128::from(base) };
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

/// True (as `Some`) for what can be added.
fn as_number(value: &Value) -> Option<()> {
    (float(value).is_some() || matches!(value, Value::Ext(1, _))).then_some(())
}

/// The same values with the pairs of maps in one order: that of Tarantool depends on what was opened.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Map(pairs) => {
            let mut pairs: Vec<_> =
                pairs.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            pairs.sort_by_key(|(key, _)| key.to_string());
            Value::Map(pairs)
        }
        value => value.clone(),
    }
}

pub(super) type Answer = std::result::Result<Vec<Value>, u32>;

/// Every answer that there may be: the tuple after the operations, or the code of the error. UPSERT skips what cannot be
/// done.
pub(super) fn rewrite(old: &[Value], ops: &[Op], base: i64, is_upsert: bool) -> Vec<Answer> {
    if let Err(code) = ops.iter().try_for_each(|op| op.check(base)) {
        return vec![Err(code)];
    }
    let slot = |value: &Value| Slot { value: value.clone(), is_sum: false, touched: Vec::new() };
    let mut states = vec![old.iter().map(slot).collect::<Vec<_>>()];
    let mut answers: Vec<Answer> = Vec::new();
    for op in ops {
        let mut next = Vec::new();
        for state in states {
            let (changed, codes) = op.outcomes(&state, base);
            if codes.contains(&ANYTHING) {
                return vec![Err(ANYTHING)];
            }
            next.extend(changed);
            match is_upsert {
                true if !codes.is_empty() => next.push(state),
                true => {}
                false => answers.extend(codes.into_iter().map(Err)),
            }
        }
        states = next;
    }
    answers.extend(states.into_iter().map(|slots| finish(old, slots, is_upsert)));
    answers
}

/// Checks the new tuple and stores it.
fn finish(old: &[Value], slots: Vec<Slot>, is_upsert: bool) -> Answer {
    let is_sum = slots.get(DOUBLE_FIELD).is_some_and(|slot| slot.is_sum);
    let mut new: Vec<Value> = slots.into_iter().map(|slot| slot.value).collect();
    if let Some(Value::F32(sum)) = new.get(DOUBLE_FIELD)
        && is_sum
    {
        new[DOUBLE_FIELD] = Value::F64(f64::from(*sum));
    }
    match new.first() {
        None => return Err(FIELD_MISSING),
        Some(id) if id.as_u64().is_none() => return Err(FIELD_TYPE),
        Some(_) => {}
    }
    if new.get(DOUBLE_FIELD).is_some_and(|value| !value.is_nil() && float(value).is_none()) {
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
pub(super) const OTHER_ID: u64 = 5;

pub(super) fn array(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, &Value::Array(values.to_vec()))
        .expect("a vector takes all");
    out
}
