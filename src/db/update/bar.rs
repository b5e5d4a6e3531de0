//! One operation below a value that is otherwise as it was.
//!
//! Source: Tarantool `src/box/xrow_update_bar.c`.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_array, write_map, write_str};

use super::arithmetic;
use super::below::{Span, go_to};
use super::op::{Code, Op};
use crate::db::field_type::FieldType;
use crate::db::format::Place;
use crate::db::json_path::{Lexer, Step};

/// An operation below a value, and where.
#[derive(Clone, Debug)]
pub(super) struct Bar<'a> {
    /// The operation: `=` of what is not there has become `!`.
    pub(super) op: Op<'a>,
    /// The steps from the value.
    pub(super) path: Lexer<'a>,
    /// The value.
    pub(super) value: Span<'a>,
    /// The container that is changed.
    parent: &'a [u8],
    /// Where in it: the value that is changed, with its key if it goes; nothing where one is put.
    point: Span<'a>,
    /// The key that is put, in a map.
    key: &'a [u8],
    /// The items that `#` takes out.
    delete_count: u32,
    /// What was computed.
    pub(super) computed: Vec<u8>,
}

impl<'a> Bar<'a> {
    /// Applies an operation below a value.
    ///
    /// # Errors
    /// NO_SUCH_FIELD_NAME, UPDATE_FIELD; those of [`Op::compute`].
    pub(super) fn new(op: Op<'a>, value: Span<'a>) -> Result<Self> {
        let point = Span { from: value.from, len: 0 };
        let (path, parent) = (op.below, value.from);
        let computed = Vec::new();
        let mut bar = Self { op, path, value, parent, point, key: &[], delete_count: 0, computed };
        match op.code {
            Code::Assign | Code::Insert => {
                let is_there = bar.locate_or_beside()?;
                if !is_there {
                    bar.op.code = Code::Insert;
                } else if op.code == Code::Insert {
                    if bar.is_in_map() {
                        return Err(op.wrong_field("the key exists already"));
                    }
                    bar.point.len = 0;
                }
            }
            Code::Delete => bar.delete()?,
            _ => {
                bar.locate()?;
                bar.computed = op.compute(bar.point.from)?;
            }
        }
        bar.op.below = path.at_end();
        Ok(bar)
    }

    fn is_in_map(&self) -> bool {
        matches!(msgpack::read(&mut { self.parent }), Ok(Token::Map(_)))
    }

    /// Items of the container, or pairs.
    fn parent_count(&self) -> u32 {
        match msgpack::read(&mut { self.parent }) {
            Ok(Token::Array(count) | Token::Map(count)) => count,
            _ => 0,
        }
    }

    /// The container from its first item on.
    fn inside(&self) -> &'a [u8] {
        let mut inside = self.parent;
        let _ = msgpack::read(&mut inside);
        inside
    }

    /// Finds what the path leads to; gives the last step and where the key begins.
    fn locate(&mut self) -> Result<(Step<'a>, &'a [u8])> {
        let (mut lexer, mut place) = (self.path, self.value.from);
        let mut last = (Step::Any, place);
        while let Some(step) = lexer.next() {
            let step = step.map_err(|position| self.op.bad_path(position))?;
            if step == Step::Any {
                return Err(self.op.bad_path(lexer.symbols() - 1));
            }
            self.parent = place;
            let key = go_to(&mut place, &step).ok_or_else(|| self.op.not_found())?;
            last = (step, key);
        }
        self.point = Span::at(place);
        Ok(last)
    }

    /// The same, but the last step may lead to what is not there, if a value can be put there; says whether it is there.
    fn locate_or_beside(&mut self) -> Result<bool> {
        let (mut lexer, mut place) = (self.path, self.value.from);
        while let Some(step) = lexer.next() {
            let step = step.map_err(|position| self.op.bad_path(position))?;
            if step == Step::Any {
                return Err(self.op.bad_path(lexer.symbols() - 1));
            }
            self.parent = place;
            if go_to(&mut place, &step).is_some() {
                continue;
            }
            return match lexer.next() {
                None => self.locate_beside(&step).map(|()| false),
                Some(Err(position)) => Err(self.op.bad_path(position)),
                Some(Ok(_)) => Err(self.op.not_found()),
            };
        }
        self.point = Span::at(place);
        Ok(true)
    }

    /// The place for a value that is not in the container.
    fn locate_beside(&mut self, step: &Step<'a>) -> Result<()> {
        match (msgpack::read(&mut { self.parent }), step) {
            (Ok(Token::Array(count)), Step::Index(at)) if *at > u64::from(count) => {
                Err(self.op.not_found())
            }
            (Ok(Token::Array(_)), Step::Index(_)) => {
                let parent = Span::at(self.parent);
                self.point = Span { from: &self.parent[parent.len..], len: 0 };
                Ok(())
            }
            (Ok(Token::Map(_)), Step::Key(key)) => {
                self.key = key;
                self.point = Span { from: self.inside(), len: 0 };
                Ok(())
            }
            (_, Step::Key(_)) => Err(self.op.wrong_field("can not access by key a non-map field")),
            (_, Step::Index(_) | Step::Any) => {
                Err(self.op.wrong_field("can not access by index a non-array field"))
            }
        }
    }

    fn delete(&mut self) -> Result<()> {
        let (step, key) = self.locate()?;
        let count = self.op.delete_count();
        if self.is_in_map() {
            if count != 1 {
                return Err(self.op.wrong_field("can delete only 1 field from a map in a row"));
            }
            self.delete_count = 1;
            self.point.len += key.len() - self.point.from.len();
            self.point.from = key;
            return Ok(());
        }
        let Step::Index(at) = step else { return Err(self.op.not_found()) };
        let count = (count as u64).min(u64::from(self.parent_count()) - at);
        self.delete_count = count as u32;
        for _ in 1..count {
            self.point.len += Span::at(&self.point.from[self.point.len..]).len;
        }
        Ok(())
    }

    /// Writes the value; `place` is what the format says of it.
    pub(super) fn store(&self, out: &mut Vec<u8>, place: Option<Place<'_>>) {
        let point = self.value.offset_of(self.point.from);
        if !matches!(self.op.code, Code::Insert | Code::Delete) {
            out.extend_from_slice(&self.value.from[..point]);
            if self.op.code == Code::Assign {
                out.extend_from_slice(self.op.arg);
            } else {
                let place = self.path.fold(place, |place, step| place?.below(&step.ok()?));
                let field_type = place.map_or(FieldType::Any, Place::field_type);
                arithmetic::store(out, &self.computed, field_type);
            }
            return out.extend_from_slice(self.value.after(point + self.point.len));
        }
        out.extend_from_slice(&self.value.from[..self.value.offset_of(self.parent)]);
        let count = match self.op.code {
            Code::Insert => self.parent_count() + 1,
            _ => self.parent_count() - self.delete_count,
        };
        let is_map = self.is_in_map();
        match is_map {
            true => write_map(out, count as usize),
            false => write_array(out, count as usize),
        }
        out.extend_from_slice(&self.value.from[self.value.offset_of(self.inside())..point]);
        if self.op.code == Code::Insert {
            if is_map {
                write_str(out, self.key);
            }
            out.extend_from_slice(self.op.arg);
        }
        out.extend_from_slice(self.value.after(point + self.point.len));
    }
}
