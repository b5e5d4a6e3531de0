//! JSON paths: `a.b`, `a["b"]`, `[1].c`, `l[*].n`. Indexes are one-based in the text, zero-based here.
//!
//! [`Lexer`] cuts a text into steps; UPDATE operations read theirs from it. A [`JsonPath`] is the path of an index part,
//! cut once when the index is defined: spellings that mean the same give equal paths.
//!
//! Source: protocol.md §18.1, types-and-indexes.md §8; Tarantool `src/lib/json/json.c`.

use std::fmt::Display;

use lycosa_proto::msgpack::{self, Token};

/// The most steps of a path: walks over tuples go as deep as the path does.
pub const STEP_MAX: usize = 128;

/// One step of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// An item of an array, zero-based.
    Index(u64),
    /// A key of a map.
    Key(&'a [u8]),
    /// `[*]`: every item of an array.
    Any,
}

/// Cuts a path into steps; an error is the one-based place of the symbol that is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Lexer<'a> {
    path: &'a [u8],
    /// Bytes read.
    at: usize,
    /// Symbols read: characters, not bytes; those that are no UTF-8 do not count.
    symbols: usize,
    failed: bool,
}

impl<'a> Lexer<'a> {
    /// Begins at the front of `path`.
    pub fn new(path: &'a [u8]) -> Self {
        Self { path, at: 0, symbols: 0, failed: false }
    }

    /// The symbols read so far.
    pub fn symbols(&self) -> usize {
        self.symbols
    }

    /// True if no step is left.
    pub fn is_end(&self) -> bool {
        self.at == self.path.len()
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.path[self.at..]
    }

    /// The same, with nothing left to read.
    pub fn at_end(self) -> Self {
        Self { at: self.path.len(), ..self }
    }

    /// What this has still to read before `later`, a later state of it, goes on.
    pub fn until(self, later: &Self) -> Self {
        Self { path: &self.path[..later.at], ..self }
    }

    /// Passes over bytes without reading them.
    pub fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// The next symbol. Bytes that are no UTF-8 are passed over, and are an error.
    fn symbol(&mut self) -> Result<char, usize> {
        let rest = self.rest();
        let chunk = rest[..rest.len().min(4)].utf8_chunks().next();
        let Some(chunk) = chunk else { return Err(self.symbols + 1) };
        match chunk.valid().chars().next() {
            Some(symbol) => {
                self.at += symbol.len_utf8();
                self.symbols += 1;
                Ok(symbol)
            }
            None => {
                self.at += chunk.invalid().len();
                Err(self.symbols + 1)
            }
        }
    }

    /// Takes the next byte if it is this one.
    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.rest().first() == Some(&byte);
        if is_next {
            self.at += 1;
            self.symbols += 1;
        }
        is_next
    }

    fn step(&mut self) -> Result<Step<'a>, usize> {
        let before = *self;
        match self.symbol()? {
            '[' => self.bracket(),
            '.' if self.is_end() => Err(self.symbols + 1),
            '.' => self.identifier(),
            _ if before.at == 0 => {
                *self = before;
                self.identifier()
            }
            _ => Err(self.symbols),
        }
    }

    /// What comes after `[`, up to the closing bracket.
    fn bracket(&mut self) -> Result<Step<'a>, usize> {
        let step = match self.rest().first() {
            None => return Err(self.symbols),
            Some(quote @ (b'"' | b'\'')) => self.string(char::from(*quote))?,
            Some(b'*') => {
                self.takes(b'*');
                Step::Any
            }
            Some(_) => self.integer()?,
        };
        if self.takes(b']') { Ok(step) } else { Err(self.symbols + 1) }
    }

    fn string(&mut self, quote: char) -> Result<Step<'a>, usize> {
        self.symbol()?;
        let start = self.at;
        while self.symbol()? != quote {}
        let key = &self.path[start..self.at - 1];
        if key.is_empty() { Err(self.symbols) } else { Ok(Step::Key(key)) }
    }

    /// A number, which Tarantool keeps in 32 bits: greater ones begin anew.
    fn integer(&mut self) -> Result<Step<'a>, usize> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit());
        let (len, number) = digits.fold((0, 0i32), |(len, number), digit| {
            (len + 1, number.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')))
        });
        let Ok(index) = u64::try_from(i64::from(number) - 1) else {
            return Err(self.symbols + 1);
        };
        self.at += len;
        self.symbols += len;
        Ok(Step::Index(index))
    }

    fn identifier(&mut self) -> Result<Step<'a>, usize> {
        let start = self.at;
        let first = self.symbol()?;
        if first != '_' && (!first.is_alphabetic() || first.is_numeric()) {
            return Err(self.symbols);
        }
        loop {
            let before = *self;
            match self.symbol() {
                Ok(symbol) if symbol.is_alphanumeric() || symbol == '_' => {}
                Ok(_) => {
                    *self = before;
                    break;
                }
                // Bytes that are no UTF-8 belong to the name, and end it.
                Err(_) => break,
            }
        }
        Ok(Step::Key(&self.path[start..self.at]))
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Step<'a>, usize>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.is_end() {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        Some(step)
    }
}

/// The path of an index part below its field, cut into steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonPath {
    /// The steps.
    steps: Box<[OwnedStep]>,
    /// Where `[*]` stands in `steps`, if it does.
    any: Option<usize>,
}

/// A step that owns its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedStep {
    /// An item of an array, zero-based.
    Index(u64),
    /// A key of a map.
    Key(Box<[u8]>),
    /// `[*]`: every item of an array.
    Any,
}

impl From<Step<'_>> for OwnedStep {
    fn from(step: Step<'_>) -> Self {
        match step {
            Step::Index(index) => Self::Index(index),
            Step::Key(key) => Self::Key(key.into()),
            Step::Any => Self::Any,
        }
    }
}

impl Display for OwnedStep {
    /// As messages have it: `["key"]`, `[1]`, `[*]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{}]", index.saturating_add(1)),
            Self::Key(key) => write!(f, "[\"{}\"]", String::from_utf8_lossy(key)),
            Self::Any => f.write_str("[*]"),
        }
    }
}

impl JsonPath {
    /// Cuts a path. None if it is no path or has more than [`STEP_MAX`] steps.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut steps = Vec::new();
        for step in Lexer::new(text) {
            if steps.len() == STEP_MAX {
                return None;
            }
            steps.push(step.ok()?.into());
        }
        Some(Self::new(steps))
    }

    /// The path of these steps.
    pub fn new(steps: Vec<OwnedStep>) -> Self {
        let any = steps.iter().position(|step| *step == OwnedStep::Any);
        Self { steps: steps.into(), any }
    }

    /// True for the path without steps, which is the field itself.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps.
    pub fn steps(&self) -> &[OwnedStep] {
        &self.steps
    }

    /// True if one of the steps is `[*]`.
    pub fn is_multikey(&self) -> bool {
        self.any.is_some()
    }

    /// True if another `[*]` follows the first.
    pub fn has_second_any(&self) -> bool {
        self.any.is_some_and(|any| self.steps[any + 1..].contains(&OwnedStep::Any))
    }

    /// True if both paths lead to the same array of their `[*]`.
    pub fn is_same_multikey(&self, other: &Self) -> bool {
        match (self.any, other.any) {
            (Some(own), Some(any)) => self.steps[..own] == other.steps[..any],
            _ => false,
        }
    }

    /// What the path leads to from the front of `field`; `[*]` takes item `multikey_no`. Of map keys that are there twice
    /// the last counts. None if there is nothing.
    pub fn find<'a>(&self, field: &'a [u8], multikey_no: u32) -> Option<&'a [u8]> {
        find(&self.steps, field, multikey_no)
    }

    /// The number of items of the array that `[*]` steps through; 0 if there is none, or no `[*]`.
    pub fn multikey_count(&self, field: &[u8]) -> u32 {
        let array = self.any.and_then(|any| find(&self.steps[..any], field, 0));
        array.map_or(0, |mut array| msgpack::read_array(&mut array).unwrap_or(0))
    }
}

/// The value at the end of `steps`, from the front of a value; the bytes run on beyond its end.
fn find<'a>(steps: &[OwnedStep], value: &'a [u8], multikey_no: u32) -> Option<&'a [u8]> {
    let Some((step, below)) = steps.split_first() else { return Some(value) };
    let mut rest = value;
    let index = match (step, msgpack::read(&mut rest).ok()?) {
        (OwnedStep::Key(key), Token::Map(count)) => {
            return find_key(key, below, rest, count, multikey_no);
        }
        (OwnedStep::Index(index), Token::Array(count)) if *index < u64::from(count) => *index,
        (OwnedStep::Any, Token::Array(count)) if multikey_no < count => u64::from(multikey_no),
        _ => return None,
    };
    for _ in 0..index {
        msgpack::skip(&mut rest).ok()?;
    }
    find(below, rest, multikey_no)
}

/// The same below a key of a map; `pairs` are its `count` keys and values.
fn find_key<'a>(
    key: &[u8],
    below: &[OwnedStep],
    pairs: &'a [u8],
    count: u32,
    multikey_no: u32,
) -> Option<&'a [u8]> {
    let mut rest = pairs;
    let mut found = None;
    for _ in 0..count {
        let mut after = rest;
        let is_key = msgpack::read(&mut after).ok()? == Token::Str(key);
        if is_key {
            found = find(below, after, multikey_no).or(found);
            rest = after;
        } else {
            msgpack::skip(&mut rest).ok()?;
        }
        msgpack::skip(&mut rest).ok()?;
    }
    found
}

#[cfg(test)]
mod tests;
