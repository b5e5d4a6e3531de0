//! `space:frommap`: a tuple from a map of its fields.
//!
//! Source: Tarantool `src/box/lua/space.cc` lbox_space_frommap.

use std::collections::BTreeMap;

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, Token, write_array, write_nil, write_str};

use super::methods::Target;
use super::{lua, params};
use crate::procs::{Args, Tuples, Values};

/// `frommap(map, options)`: the tuple with the members of a map as its fields; nil and a text if there is no such field, or
/// if the space would not take the tuple. The option `table` makes no difference to what is sent.
///
/// # Errors
/// PROC_LUA for arguments of other types.
pub(super) fn frommap(target: &Target<'_>, args: &Args) -> Result<Values> {
    let map = args.get(0).filter(|_| lua::is_table(args.get(0)) && are_options(args));
    let map = map.ok_or_else(|| err!(PROC_LUA, "Usage: space:frommap(map, opts)"))?;
    if msgpack::items(map).next().is_some() {
        // A list is a table too; its names are numbers.
        return Ok(refused("Unknown field '1'"));
    }
    let mut fields = BTreeMap::new();
    for (name, value) in msgpack::pairs(map) {
        let name =
            params::text(&rmpv::decode::read_value(&mut { name }).unwrap_or(rmpv::Value::Nil));
        match target.place.space.def.field_no(name.as_bytes()) {
            Some(field_no) => fields.insert(field_no, value),
            None => return Ok(refused(&format!("Unknown field '{name}'"))),
        };
    }
    let mut tuple = Vec::new();
    let count = fields.last_key_value().map_or(0, |(last, _)| last + 1);
    write_array(&mut tuple, count as usize);
    for field_no in 0..count {
        match fields.get(&field_no) {
            Some(value) => lua::write_value(&mut tuple, value),
            None => write_nil(&mut tuple),
        }
    }
    match target.db.check_tuple(target.place.space, &tuple) {
        Ok(()) => Ok(Values::raw(&tuple).with_tuples(Tuples::Each(target.place.space.def.id))),
        Err(error) => Ok(refused(&error.to_string())),
    }
}

/// True if the second argument is nothing, or a table whose member `table` is a boolean.
fn are_options(args: &Args) -> bool {
    let Some(options) = args.get(1) else { return true };
    let is_good = |(name, value): (&[u8], &[u8])| {
        msgpack::read_str(&mut { name }) != Ok(b"table")
            || matches!(msgpack::read(&mut { value }), Ok(Token::Bool(_)))
    };
    lua::is_table(Some(options)) && msgpack::pairs(options).all(is_good)
}

/// nil and why.
fn refused(text: &str) -> Values {
    let mut values = Values::nil();
    values.push(|out| write_str(out, text));
    values
}
