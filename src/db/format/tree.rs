//! The tree of rules that index parts with JSON paths make.
//!
//! A path makes a rule for each of its steps: what lies on the way is an array or a map, what lies at its end (a leaf) has
//! the part's type. A tuple is walked in the order of its bytes; leaves that may not be nil but were not there are
//! reported afterwards, below `[*]` after each item of the array.
//!
//! Source: types-and-indexes.md §8; Tarantool `src/box/tuple_format.c` tuple_format_add_field,
//! tuple_format_use_key_part, tuple_format_iterator_next.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::Rule;
use crate::db::field_type::FieldType;
use crate::db::json_path::{JsonPath, OwnedStep, Step};
use crate::db::key_def::Part;
use crate::db::schema::space_def::SpaceDef;

/// A value of a tuple: a field or something below one.
#[derive(Clone, Debug)]
pub struct Node {
    /// The step that leads here from the parent; for a field its number.
    step: OwnedStep,
    rule: Rule,
    /// An index part lies here or below.
    is_key_part: bool,
    children: Vec<Node>,
    /// The order of making among nodes that are not fields.
    id: usize,
    /// The place in messages, as a path; empty for a field.
    label: Box<str>,
    /// Of a node for `[*]`: the leaves that every item must have.
    required: Vec<Required>,
}

/// A leaf below a field, or below an item of a multikey array, that may not be nil.
#[derive(Clone, Debug)]
struct Required {
    /// The steps from there.
    path: JsonPath,
    /// The order of making, which is the order of reports.
    id: usize,
    /// The place in messages.
    label: Box<str>,
}

/// The rules for fields and for what lies below them.
#[derive(Clone, Debug)]
pub(super) struct FieldTree {
    fields: Vec<Node>,
    /// Steps of paths so far.
    step_count: usize,
    /// Leaves that must be there, with their field.
    required: Vec<(u32, Required)>,
}

impl Node {
    fn new(step: OwnedStep, rule: Rule, id: usize, label: String) -> Self {
        let (children, required) = (Vec::new(), Vec::new());
        Self { step, rule, is_key_part: false, children, id, label: label.into(), required }
    }

    fn field(no: usize, rule: Rule) -> Self {
        Self::new(OwnedStep::Index(no as u64), rule, 0, String::new())
    }

    /// True if the children are what `[*]` makes: one rule for every item.
    fn is_multikey(&self) -> bool {
        self.children.first().is_some_and(|child| child.step == OwnedStep::Any)
    }

    fn label(&self, space: &SpaceDef) -> String {
        match &self.step {
            OwnedStep::Index(no) if self.label.is_empty() => space.field_label(*no as u32),
            _ => self.label.to_string(),
        }
    }

    /// The declared type.
    pub(super) fn field_type(&self) -> FieldType {
        self.rule.field_type
    }

    /// The value that lies one step below, if something is said of it.
    pub(super) fn below(&self, step: &Step<'_>) -> Option<&Self> {
        if self.is_multikey() {
            return self.children.first();
        }
        self.children.iter().find(|child| match (&child.step, step) {
            (OwnedStep::Index(own), Step::Index(index)) => own == index,
            (OwnedStep::Key(own), Step::Key(key)) => **own == **key,
            _ => false,
        })
    }

    /// Makes this the parent of a step: gives it the type of a container.
    fn hold(&mut self, step: &OwnedStep, space: &SpaceDef) -> Result<()> {
        let container = match step {
            OwnedStep::Key(_) => FieldType::Map,
            OwnedStep::Index(_) | OwnedStep::Any => FieldType::Array,
        };
        if !container.is_within(self.rule.field_type) {
            let (have, want) = (self.rule.field_type.name(), container.name());
            return Err(err!(INDEX_PART_TYPE_MISMATCH, self.label(space), have, want));
        }
        self.rule.field_type = container;
        if !self.children.is_empty() && self.is_multikey() != (*step == OwnedStep::Any) {
            return Err(err!(MULTIKEY_INDEX_MISMATCH, self.label(space)));
        }
        self.is_key_part = true;
        Ok(())
    }

    /// The child at a step, made as number `id` if it is not there.
    fn child(&mut self, step: &OwnedStep, id: usize) -> &mut Self {
        let at = self.children.iter().position(|child| child.step == *step);
        let at = at.unwrap_or_else(|| {
            let label = match (&*self.label, &self.step) {
                ("", field) => format!("{field}{step}"),
                (label, _) => format!("{label}{step}"),
            };
            self.children.push(Self::new(step.clone(), Rule::FREE, id, label));
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    /// Says whether the place may be nil, after an index part; only the format declares anything else of it.
    fn settle_nullability(
        &mut self,
        part: &Part,
        is_declared: bool,
        space: &SpaceDef,
    ) -> Result<()> {
        let is_said = is_declared || self.is_key_part;
        let said = if is_said { self.rule.nullable_action } else { part.nullable_action };
        let is_below = !self.label.is_empty();
        self.rule.nullable_action =
            said.with_part(part.nullable_action, is_below).ok_or_else(|| {
                let (have, want) = (said.name(), part.nullable_action.name());
                err!(ACTION_MISMATCH, self.label(space), have, want)
            })?;
        Ok(())
    }

    /// Narrows the rule to the type of an index part.
    fn narrow(&mut self, part: &Part, space: &SpaceDef) -> Result<()> {
        if part.field_type.is_within(self.rule.field_type) {
            self.rule.field_type = part.field_type;
        } else if !self.rule.field_type.is_within(part.field_type) {
            let label = self.label(space);
            let (have, want) = (self.rule.field_type.name(), part.field_type.name());
            return Err(match self.is_key_part {
                true => err!(INDEX_PART_TYPE_MISMATCH, label, have, want),
                false => err!(FORMAT_MISMATCH_INDEX_PART, label, have, want),
            });
        }
        self.is_key_part = true;
        Ok(())
    }

    /// Collects the leaves below that may not be nil. What lies below `[*]` stays with its node.
    fn collect_required(&mut self, steps: &mut Vec<OwnedStep>, found: &mut Vec<Required>) {
        if self.children.is_empty() && !self.label.is_empty() && !self.rule.is_nullable() {
            let path = JsonPath::new(steps.clone());
            found.push(Required { path, id: self.id, label: self.label.clone() });
        }
        for child in &mut self.children {
            if child.step == OwnedStep::Any {
                let mut required = Vec::new();
                child.collect_required(&mut Vec::new(), &mut required);
                required.sort_by_key(|leaf| leaf.id);
                child.required = required;
            } else {
                steps.push(child.step.clone());
                child.collect_required(steps, found);
                steps.pop();
            }
        }
    }

    /// Checks the value at the front of `rest` and takes it off.
    fn check(&self, rest: &mut &[u8], space: &SpaceDef) -> Result<()> {
        let value = *rest;
        let token = msgpack::read(rest).unwrap_or(Token::Nil);
        self.rule.check(&token, value, || self.label(space))?;
        match token {
            Token::Array(count) if !self.children.is_empty() => {
                self.check_items(rest, count, space)?;
            }
            Token::Map(count) if !self.children.is_empty() => {
                self.check_pairs(rest, count, space)?;
            }
            Token::Array(_) | Token::Map(_) => {
                *rest = value;
                skip(rest);
            }
            _ => return Ok(()),
        }
        // An item that is nil needs nothing below.
        self.required.iter().try_for_each(|leaf| leaf.check(value))
    }

    fn check_items(&self, rest: &mut &[u8], count: u32, space: &SpaceDef) -> Result<()> {
        for no in 0..count {
            let is_at = |child: &&Self| match child.step {
                OwnedStep::Index(index) => index == u64::from(no),
                OwnedStep::Any => true,
                OwnedStep::Key(_) => false,
            };
            match self.children.iter().find(is_at) {
                Some(child) => child.check(rest, space)?,
                None => skip(rest),
            }
        }
        Ok(())
    }

    fn check_pairs(&self, rest: &mut &[u8], count: u32, space: &SpaceDef) -> Result<()> {
        for _ in 0..count {
            let key = msgpack::take(rest).and_then(|mut key| msgpack::read(&mut key));
            let is_at = |child: &&Self| match (&child.step, &key) {
                (OwnedStep::Key(own), Ok(Token::Str(key))) => **own == **key,
                _ => false,
            };
            match self.children.iter().find(is_at) {
                Some(child) => child.check(rest, space)?,
                None => skip(rest),
            }
        }
        Ok(())
    }
}

impl Required {
    /// Checks that the leaf is there, from the front of a value.
    fn check(&self, value: &[u8]) -> Result<()> {
        match self.path.find(value, 0) {
            Some(_) => Ok(()),
            None => Err(err!(FIELD_MISSING, &*self.label)),
        }
    }
}

impl FieldTree {
    /// The tree of the fields that a space's format has.
    pub(super) fn new(rules: impl Iterator<Item = Rule>) -> Self {
        let fields = rules.enumerate().map(|(no, rule)| Node::field(no, rule)).collect();
        Self { fields, step_count: 0, required: Vec::new() }
    }

    /// Adds what an index part says.
    ///
    /// # Errors
    /// ACTION_MISMATCH, FORMAT_MISMATCH_INDEX_PART, INDEX_PART_TYPE_MISMATCH, MULTIKEY_INDEX_MISMATCH.
    pub(super) fn add_part(&mut self, part: &Part, space: &SpaceDef) -> Result<()> {
        let no = part.field_no as usize;
        while self.fields.len() <= no {
            self.fields.push(Node::field(self.fields.len(), Rule::FREE));
        }
        let mut node = &mut self.fields[no];
        let steps = part.path.as_ref().map_or(&[][..], |path| path.steps());
        for step in steps {
            node.hold(step, space)?;
            node = node.child(step, self.step_count);
            self.step_count += 1;
        }
        let is_declared = steps.is_empty() && no < space.fields.len();
        node.settle_nullability(part, is_declared, space)?;
        node.narrow(part, space)
    }

    /// Ends the making: from now on tuples can be checked.
    pub(super) fn finish(mut self) -> Self {
        for (no, field) in self.fields.iter_mut().enumerate() {
            let mut found = Vec::new();
            field.collect_required(&mut Vec::new(), &mut found);
            self.required.extend(found.into_iter().map(|leaf| (no as u32, leaf)));
        }
        self.required.sort_by_key(|(_, leaf)| leaf.id);
        self
    }

    /// What is said of a field, if something is.
    pub(super) fn field(&self, field_no: usize) -> Option<&Node> {
        self.fields.get(field_no)
    }

    /// True if there are rules for values below fields.
    pub(super) fn has_paths(&self) -> bool {
        self.step_count > 0
    }

    /// The rules for the fields alone.
    pub(super) fn field_rules(&self) -> Box<[Rule]> {
        self.fields.iter().map(|node| node.rule).collect()
    }

    /// Checks the fields of a tuple, `count` values.
    ///
    /// # Errors
    /// FIELD_TYPE, FIELD_MISSING.
    pub(super) fn check(&self, fields: &[u8], count: u32, space: &SpaceDef) -> Result<()> {
        let mut rest = fields;
        for field in self.fields.iter().take(count as usize) {
            field.check(&mut rest, space)?;
        }
        let is_missing = |node: &&Node| node.children.is_empty() && !node.rule.is_nullable();
        if let Some(node) = self.fields.iter().skip(count as usize).find(is_missing) {
            return Err(err!(FIELD_MISSING, node.label(space)));
        }
        self.required.iter().try_for_each(|(field_no, leaf)| {
            let mut field = fields;
            (0..*field_no).for_each(|_| skip(&mut field));
            leaf.check(if *field_no < count { field } else { &[] })
        })
    }
}

fn skip(rest: &mut &[u8]) {
    let _ = msgpack::skip(rest);
}
