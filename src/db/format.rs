//! What every tuple of a space must look like: the format and the index parts together.
//!
//! The type of a field is the narrowest of what the format and the index parts over it say; it may be nil only if all of
//! them allow it. Fields beyond what anything names are free. A part with a JSON path makes rules for values below its
//! field too; such a format is a tree (`tree`).
//!
//! Source: types-and-indexes.md §4, §12; Tarantool `src/box/tuple_format.c`.

mod tree;

use lycosa_proto::err;
use lycosa_proto::error::{Error, Result};
use lycosa_proto::msgpack::{self, Token};

use super::field_type::FieldType;
use super::json_path::Step;
use super::nullable_action::NullableAction;
use super::schema::index_def::IndexDef;
use super::schema::space_def::SpaceDef;
use tree::FieldTree;
pub use tree::Node;

/// What a value must be.
#[derive(Clone, Copy, Debug)]
struct Rule {
    field_type: FieldType,
    nullable_action: NullableAction,
    /// A default stands for nil: UPDATE may leave one.
    has_default: bool,
}

impl Rule {
    /// What nothing names: anything goes.
    const FREE: Self = Self {
        field_type: FieldType::Any,
        nullable_action: NullableAction::None,
        has_default: false,
    };

    #[inline]
    fn is_nullable(&self) -> bool {
        self.nullable_action.admits_nil()
    }

    /// Checks a value, whose token begins `at`; `label` names its place in messages.
    #[inline]
    fn check(self, token: &Token<'_>, at: &[u8], label: impl FnOnce() -> String) -> Result<()> {
        let is_nil_good = self.is_nullable() || self.has_default;
        if self.field_type.takes(token) || (*token == Token::Nil && is_nil_good) {
            return Ok(());
        }
        let value = msgpack::take(&mut { at }).unwrap_or(at);
        Err(self.field_type.field_error(label(), value))
    }
}

/// The rules for the fields of a space.
#[derive(Clone, Debug, Default)]
pub struct Format {
    rules: Box<[Rule]>,
    /// Fields that a tuple must have at least: one past the last that may not be nil.
    count_min: u32,
    /// Fields that a tuple must have; 0 = any number.
    count_exact: u32,
    /// Rules for values below the fields as well, if an index part has a path: they take the place of `rules` then.
    tree: Option<Box<FieldTree>>,
}

impl Format {
    /// The rules of a space with these indexes.
    ///
    /// # Errors
    /// ACTION_MISMATCH, FORMAT_MISMATCH_INDEX_PART, INDEX_PART_TYPE_MISMATCH, MULTIKEY_INDEX_MISMATCH.
    pub fn new<'a>(space: &SpaceDef, indexes: impl Iterator<Item = &'a IndexDef>) -> Result<Self> {
        let from_format = |field: &super::schema::space_def::FieldDef| Rule {
            field_type: field.field_type,
            nullable_action: field.nullable_action,
            has_default: field.has_default(),
        };
        let mut tree = FieldTree::new(space.fields.iter().map(from_format));
        // The parts of a functional index are no parts of the tuple.
        let indexes = indexes.filter(|index| index.func_id == 0);
        for part in indexes.flat_map(|index| index.key_def.parts()) {
            tree.add_part(part, space)?;
        }
        let rules = tree.field_rules();
        let count_min =
            rules.iter().rposition(|rule| !rule.is_nullable()).map_or(0, |no| no as u32 + 1);
        let tree = tree.has_paths().then(|| Box::new(tree.finish()));
        // Where nothing is said of any field, Tarantool does not look at a tuple at all.
        let count_exact = if rules.is_empty() { 0 } else { space.exact_field_count };
        Ok(Self { rules, count_min, count_exact, tree })
    }

    /// Checks a tuple, a well-formed MsgPack array.
    ///
    /// # Errors
    /// EXACT_FIELD_COUNT, FIELD_MISSING, FIELD_TYPE; the first that applies in that order, but FIELD_MISSING comes last if
    /// an index part has a path.
    #[inline]
    pub fn check(&self, tuple: &[u8], space: &SpaceDef) -> Result<()> {
        let mut rest = tuple;
        let count = msgpack::read_array(&mut rest).unwrap_or(0);
        if self.count_exact != 0 && count != self.count_exact {
            return Err(Self::blame(err!(EXACT_FIELD_COUNT, count, self.count_exact), tuple));
        }
        if let Some(tree) = &self.tree {
            let done = tree.check(rest, count, space);
            return done.map_err(|error| Self::blame(error, tuple));
        }
        if count < self.count_min {
            let missing =
                (count..self.count_min).find(|no| !self.rules[*no as usize].is_nullable());
            let label = space.field_label(missing.unwrap_or(count));
            return Err(Self::blame(err!(FIELD_MISSING, label), tuple));
        }
        for (no, rule) in self.rules.iter().enumerate().take(count as usize) {
            let is_good = rest.first().is_some_and(|code| rule.field_type.takes_all(*code));
            if !is_good {
                let token = msgpack::read(&mut { rest }).unwrap_or(Token::Nil);
                rule.check(&token, rest, || space.field_label(no as u32))
                    .map_err(|error| Self::blame(error, tuple))?;
            }
            let _ = msgpack::skip(&mut rest);
        }
        Ok(())
    }

    #[cold]
    fn blame(error: Error, tuple: &[u8]) -> Error {
        error.with("tuple", tuple)
    }

    /// The place of a field, for the results of arithmetic; None if nothing names it.
    pub fn place(&self, field_no: u32) -> Option<Place<'_>> {
        let field_no = field_no as usize;
        match &self.tree {
            Some(tree) => tree.field(field_no).map(Place::Node),
            None => self.rules.get(field_no).map(|rule| Place::Field(rule.field_type)),
        }
    }
}

/// What a format says of a field or of a value below one.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// A field below which nothing is named.
    Field(FieldType),
    /// A field or a value in a format with paths.
    Node(&'a Node),
}

impl<'a> Place<'a> {
    /// The declared type.
    pub fn field_type(self) -> FieldType {
        match self {
            Self::Field(field_type) => field_type,
            Self::Node(node) => node.field_type(),
        }
    }

    /// The place one step below; None if nothing names it.
    pub fn below(self, step: &Step<'_>) -> Option<Self> {
        match self {
            Self::Field(_) => None,
            Self::Node(node) => node.below(step).map(Self::Node),
        }
    }
}
