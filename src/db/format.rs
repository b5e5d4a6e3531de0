//! What every tuple of a space must look like: the format and the index parts together.
//!
//! The type of a field is the narrowest of what the format and the index parts over it say; it may be nil only if all of
//! them allow it. Fields beyond what anything names are free.
//!
//! Source: types-and-indexes.md §4, §12; Tarantool `src/box/tuple_format.c`.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::field_type::FieldType;
use super::schema::index_def::IndexDef;
use super::schema::space_def::SpaceDef;

#[derive(Clone, Copy, Debug)]
struct Rule {
    field_type: FieldType,
    is_nullable: bool,
    /// A default stands for nil: UPDATE may leave one.
    has_default: bool,
}

/// The rules for the fields of a space.
#[derive(Clone, Debug, Default)]
pub struct Format {
    rules: Box<[Rule]>,
    /// Fields that a tuple must have at least: one past the last that may not be nil.
    count_min: u32,
    /// Fields that a tuple must have; 0 = any number.
    count_exact: u32,
}

/// A rule with where it came from, while a format is made.
struct Draft {
    rule: Rule,
    /// The type that an index part gave it, if one did.
    index_type: Option<FieldType>,
}

impl Format {
    /// The rules of a space with these indexes.
    ///
    /// # Errors
    /// FORMAT_MISMATCH_INDEX_PART, INDEX_PART_TYPE_MISMATCH.
    pub fn new<'a>(space: &SpaceDef, indexes: impl Iterator<Item = &'a IndexDef>) -> Result<Self> {
        let from_format = |field: &super::schema::space_def::FieldDef| Draft {
            rule: Rule {
                field_type: field.field_type,
                is_nullable: field.is_nullable,
                has_default: field.has_default(),
            },
            index_type: None,
        };
        let mut drafts: Vec<Draft> = space.fields.iter().map(from_format).collect();
        for part in indexes.flat_map(|index| index.key_def.parts()) {
            let no = part.field_no as usize;
            let is_new = no >= drafts.len();
            while drafts.len() <= no {
                let rule =
                    Rule { field_type: FieldType::Any, is_nullable: true, has_default: false };
                drafts.push(Draft { rule, index_type: None });
            }
            let is_unnamed = is_new || no >= space.fields.len();
            let draft = &mut drafts[no];
            let label = || space.field_label(part.field_no);
            if part.field_type.is_within(draft.rule.field_type) {
                draft.rule.field_type = part.field_type;
            } else if !draft.rule.field_type.is_within(part.field_type) {
                let (have, want) = (draft.rule.field_type.name(), part.field_type.name());
                return Err(match draft.index_type {
                    Some(_) => err!(INDEX_PART_TYPE_MISMATCH, label(), have, want),
                    None => err!(FORMAT_MISMATCH_INDEX_PART, label(), have, want),
                });
            }
            let is_first = is_unnamed && draft.index_type.is_none();
            draft.rule.is_nullable = part.is_nullable && (is_first || draft.rule.is_nullable);
            draft.index_type = Some(part.field_type);
        }
        let rules: Box<[Rule]> = drafts.into_iter().map(|draft| draft.rule).collect();
        let count_min =
            rules.iter().rposition(|rule| !rule.is_nullable).map_or(0, |no| no as u32 + 1);
        Ok(Self { rules, count_min, count_exact: space.exact_field_count })
    }

    /// Checks a tuple, a well-formed MsgPack array.
    ///
    /// # Errors
    /// EXACT_FIELD_COUNT, FIELD_MISSING, FIELD_TYPE; the first that applies in that order.
    #[inline]
    pub fn check(&self, tuple: &[u8], space: &SpaceDef) -> Result<()> {
        let mut rest = tuple;
        let count = msgpack::read_array(&mut rest).unwrap_or(0);
        if self.count_exact != 0 && count != self.count_exact {
            return Err(self.blame(err!(EXACT_FIELD_COUNT, count, self.count_exact), tuple, space));
        }
        if count < self.count_min {
            let missing = (count..self.count_min).find(|no| !self.rules[*no as usize].is_nullable);
            let label = space.field_label(missing.unwrap_or(count));
            return Err(self.blame(err!(FIELD_MISSING, label), tuple, space));
        }
        for (no, rule) in self.rules.iter().enumerate().take(count as usize) {
            let mut after = rest;
            let token = msgpack::read(&mut after).unwrap_or(Token::Nil);
            let is_good = rule.field_type.takes(&token)
                || (token == Token::Nil && (rule.is_nullable || rule.has_default));
            if !is_good {
                let label = space.field_label(no as u32);
                let error = err!(FIELD_TYPE, label, rule.field_type.name(), token.kind());
                return Err(self.blame(error, tuple, space));
            }
            match token {
                Token::Array(_) | Token::Map(_) => {
                    let _ = msgpack::skip(&mut rest);
                }
                _ => rest = after,
            }
        }
        Ok(())
    }

    #[cold]
    fn blame(
        &self,
        error: lycosa_proto::error::Error,
        tuple: &[u8],
        space: &SpaceDef,
    ) -> lycosa_proto::error::Error {
        error.with("tuple", tuple).with("space", &*space.name).with("space_id", space.id)
    }

    /// The declared type of a field, for the results of arithmetic.
    pub fn field_type(&self, field_no: u32) -> FieldType {
        self.rules.get(field_no as usize).map_or(FieldType::Any, |rule| rule.field_type)
    }
}
