//! The way to an opened container, and how it is opened.
//!
//! Source: Tarantool `src/box/xrow_update_route.c`.

use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token};

use super::below::{Below, Field, Span, go_to};
use super::container::Map;
use super::op::{Code, Op};
use crate::db::format::Place;
use crate::db::json_path::{Lexer, Step};

/// The way from a value to the container below it that all operations so far have in common.
#[derive(Debug)]
pub(super) struct Route<'a> {
    /// The steps from the value.
    pub(super) path: Lexer<'a>,
    /// The value.
    value: Span<'a>,
    /// The container as it was.
    old: Span<'a>,
    /// The container.
    pub(super) next: Box<Below<'a>>,
}

impl<'a> Route<'a> {
    /// True if the path of an operation goes this way, in the same spelling.
    pub(super) fn leads(&self, op: &Op<'a>) -> bool {
        let after = op.below.rest().strip_prefix(self.path.rest());
        after.is_some_and(|after| matches!(after.first(), None | Some(b'.' | b'[')))
    }

    /// Writes the value; `place` is what the format says of it.
    pub(super) fn store(&self, out: &mut Vec<u8>, place: Option<Place<'_>>) {
        let place = self.path.fold(place, |place, step| place?.below(&step.ok()?));
        let offset = self.value.offset_of(self.old.from);
        out.extend_from_slice(&self.value.from[..offset]);
        self.next.store(out, place);
        out.extend_from_slice(self.value.after(offset + self.old.len));
    }
}

/// Opens the container where the path of `op` parts from that of the operations before; gives the next step of `op`,
/// which is one in that container.
///
/// # Errors
/// NO_SUCH_FIELD_NAME, UPDATE_FIELD: then nothing is opened.
pub(super) fn branch<'a>(below: &mut Below<'a>, op: &mut Op<'a>) -> Result<Step<'a>> {
    let (path, value) = match below {
        Below::Bar(bar) => (bar.path, bar.value),
        Below::Route(route) => (route.path, route.value),
        Below::Array(_) | Below::Map(_) => unreachable!("they are open"),
    };
    let (mut after, mut parent) = (path, value.from);
    let (common, old_step, step) = loop {
        let before = after;
        let (Some(Ok(old_step)), Some(step)) = (after.next(), op.below.next()) else {
            return Err(op.not_found());
        };
        let step = step.map_err(|position| op.bad_path(position))?;
        let is_over = old_step != step || after.is_end() || op.below.is_end();
        if is_over || go_to(&mut parent, &step).is_none() {
            break (before, old_step, step);
        }
    };
    let is_array = match (msgpack::read(&mut { parent }), step, old_step) {
        (Ok(Token::Array(_)), Step::Index(_), Step::Index(_)) => true,
        (Ok(Token::Map(_)), Step::Key(_), Step::Key(_)) => false,
        (Ok(Token::Array(_)), ..) => {
            return Err(op.wrong_field("can not update array by non-integer index"));
        }
        (Ok(Token::Map(_)), ..) => {
            return Err(op.wrong_field("can not update map by non-string key"));
        }
        _ => return Err(op.not_found()),
    };
    let mut opened = if is_array {
        Below::Array(msgpack::items(Span::at(parent).after(0)).map(Field::Same).collect())
    } else {
        Below::Map(Map::new(parent))
    };
    let mut place = parent;
    let is_there = go_to(&mut place, &old_step).is_some();
    let old = std::mem::replace(below, Below::Array(Vec::new()));
    match child(old, after, Span::at(place)) {
        Child::Moved(field) if is_there => match (&mut opened, old_step) {
            (Below::Array(items), Step::Index(at)) => items[at as usize] = field,
            (Below::Map(map), Step::Key(key)) => {
                if let Some(value) = map.touch(key) {
                    *value = field;
                }
            }
            _ => unreachable!("the step fits the container"),
        },
        Child::Moved(_) => unreachable!("operations before were applied to what is there"),
        Child::Again(old) => opened.apply(old, Some(old_step)).expect("it was applied before"),
    }
    *below = match common.rest().len() == path.rest().len() {
        true => opened,
        false => Below::Route(Route {
            path: path.until(&common),
            value,
            old: Span::at(parent),
            next: Box::new(opened),
        }),
    };
    Ok(step)
}

/// What the operations before have made of a value, seen from a container below it.
enum Child<'a> {
    /// The value in the container.
    Moved(Field<'a>),
    /// The operation, to be applied to the container once more: it changes the container itself.
    Again(Op<'a>),
}

/// Takes the way to the container off what was done; `path` is what is left of it, and leads on from `value`.
fn child<'a>(old: Below<'a>, path: Lexer<'a>, value: Span<'a>) -> Child<'a> {
    let changed = |below| Child::Moved(Field::Changed(Box::new(below)));
    match old {
        Below::Bar(mut bar) if !path.is_end() => {
            (bar.path, bar.value) = (path, value);
            changed(Below::Bar(bar))
        }
        Below::Bar(bar) => match bar.op.code {
            Code::Assign | Code::Insert | Code::Delete => Child::Again(bar.op),
            _ => Child::Moved(Field::Computed(bar.computed)),
        },
        Below::Route(mut route) if !path.is_end() => {
            (route.path, route.value) = (path, value);
            changed(Below::Route(route))
        }
        Below::Route(route) => changed(*route.next),
        Below::Array(_) | Below::Map(_) => unreachable!("they are open"),
    }
}
