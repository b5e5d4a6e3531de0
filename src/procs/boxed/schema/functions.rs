//! `box.schema.func.*`: names of procedures, for grants.
//!
//! Source: Tarantool `src/box/lua/schema.lua` box.schema.func.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use rmpv::Value;

use super::lookup;
use crate::db::Txn;
use crate::db::schema::{ids, space_id};
use crate::procs::boxed::params::{self, Params, Template};
use crate::procs::{Args, Session, Values};

/// Options of `create`.
const CREATE: Template = &[
    ("setuid", "boolean"),
    ("if_not_exists", "boolean"),
    ("language", "string"),
    ("body", "string"),
    ("is_deterministic", "boolean"),
    ("is_sandboxed", "boolean"),
    ("is_multikey", "boolean"),
    ("aggregate", "string"),
    ("takes_raw_args", "boolean"),
    ("comment", "string"),
    ("param_list", "table"),
    ("returns", "string"),
    ("exports", "table"),
    ("opts", "table"),
    ("trigger", "string, table"),
];

/// `box.schema.func.create(name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, FUNCTION_EXISTS, those of a write to `_func`: UNSUPPORTED for triggers among them.
pub(in super::super) fn create(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let options = Params::parse(&params::value(args, 1), CREATE)?;
    let name = params::value(args, 0);
    if name.is_nil() {
        return Err(err!(EXACT_MATCH, 1, 0));
    }
    if lookup::row(txn, space_id::VFUNC, lookup::NAME_INDEX, &(&name,))?.is_some() {
        return match options.is_true("if_not_exists") {
            true => Ok(Values::none()),
            false => Err(err!(FUNCTION_EXISTS, params::text(&name))),
        };
    }
    let mut function_options = match options.get_or("opts", Value::Map(Vec::new())) {
        Value::Map(pairs) => pairs,
        _ => Vec::new(),
    };
    for flag in ["is_multikey", "takes_raw_args"] {
        if options.is_true(flag) {
            function_options.push((flag.into(), true.into()));
        }
    }
    let trigger = match options.get_or("trigger", Value::Array(Vec::new())) {
        event @ Value::String(_) => Value::Array(vec![event]),
        events => events,
    };
    let created = date_time(txn.now());
    let mut row: Vec<Value> = vec![
        ids::next_id(txn, space_id::FUNC)?.into(),
        txn.uid().into(),
        name,
        u32::from(options.is_true("setuid")).into(),
        options.str("language").unwrap_or_else(|| "LUA".into()).to_uppercase().into(),
        options.get_or("body", ""),
        "function".into(),
        options.get_or("param_list", Value::Array(Vec::new())),
        options.get_or("returns", "any"),
        options.get_or("aggregate", "none"),
        "none".into(),
        options.is_true("is_deterministic").into(),
        options.is_true("is_sandboxed").into(),
        true.into(),
        options.get_or("exports", Value::Array(vec!["LUA".into()])),
        Value::Map(function_options),
        options.get_or("comment", ""),
        created.as_str().into(),
        created.as_str().into(),
        trigger,
    ];
    // Schemas of older versions have no field for triggers.
    row.truncate(lookup::known(txn, space_id::FUNC)?.def.fields.len());
    txn.insert_row(space_id::FUNC, &row)?;
    Ok(Values::none())
}

/// `box.schema.func.drop(name, options)`: no value.
///
/// # Errors
/// ILLEGAL_PARAMS, NO_SUCH_FUNCTION, those of writes to `_priv` and `_func`.
pub(in super::super) fn drop(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let options = Params::parse(&params::value(args, 1), &[("if_exists", "boolean")])?;
    let name = params::value(args, 0);
    match lookup::function_id(txn, &name)? {
        Some(id) => remove(txn, id).map(|()| Values::none()),
        None if options.is_true("if_exists") => Ok(Values::none()),
        None => Err(err!(NO_SUCH_FUNCTION, params::text(&name))),
    }
}

/// Drops a function with the grants on it.
///
/// # Errors
/// Those of writes to `_priv` and `_func`.
pub(super) fn remove(txn: &mut Txn<'_>, id: u32) -> Result<()> {
    lookup::revoke_all(txn, "function", id)?;
    txn.delete_row(space_id::FUNC, &(id,)).map(|_| ())
}

/// `box.schema.func.exists(name or id)`: whether the caller sees such a function.
///
/// # Errors
/// None but those of SELECT.
pub(in super::super) fn exists(txn: &mut Txn<'_>, _: &Session, args: &Args) -> Result<Values> {
    let name = params::value(args, 0);
    let is_looked_for = matches!(params::type_name(&name), "string" | "number");
    Ok(Values::from(is_looked_for && lookup::function_id(txn, &name)?.is_some()))
}

/// A time as `YYYY-MM-DD hh:mm:ss` of UTC.
fn date_time(now: f64) -> String {
    let seconds = now.max(0.0) as i64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the leap day is the last; eras are of 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::date_time;

    #[test]
    fn times_are_dates() {
        assert_eq!(date_time(0.0), "1970-01-01 00:00:00");
        assert_eq!(date_time(951_782_400.5), "2000-02-29 00:00:00");
        assert_eq!(date_time(1_795_452_472.0), "2026-11-23 16:47:52");
        assert_eq!(date_time(4_107_542_399.0), "2100-02-28 23:59:59");
    }
}
