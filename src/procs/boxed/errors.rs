//! `box.error.*`: the error that the session was answered last.
//!
//! In Tarantool it is that of the fiber, which the next request of a client finds again as a rule. Making errors and raising
//! them comes with the code that would do so.
//!
//! Source: Tarantool `src/box/lua/error.cc` luaT_error_last, luaT_error_clear.

use lycosa_proto::error::Result;
use lycosa_proto::iproto::Feature;
use lycosa_proto::msgpack::{ext_type, write_ext, write_str};

use super::params::illegal;
use crate::procs::{Args, Context, Values};

/// `box.error.last()`: the error, as an object if the client knows such, else its text; nil if there was none.
///
/// # Errors
/// ILLEGAL_PARAMS for an argument.
pub(super) fn last(context: &Context, args: &Args) -> Result<Values> {
    check_no_arguments(args, "last")?;
    let Some(error) = context.session.last_error() else { return Ok(Values::nil()) };
    if !context.session.has(Feature::ERROR_EXTENSION) {
        return Ok(Values::one(|out| write_str(out, error.message())));
    }
    let mut stack = Vec::new();
    error.write_stack(&mut stack);
    Ok(Values::one(|out| write_ext(out, ext_type::ERROR, &stack)))
}

/// `box.error.clear()`: no value; from now on there was none.
///
/// # Errors
/// ILLEGAL_PARAMS for an argument.
pub(super) fn clear(context: &Context, args: &Args) -> Result<Values> {
    check_no_arguments(args, "clear")?;
    context.session.set_last_error(None);
    Ok(Values::none())
}

fn check_no_arguments(args: &Args, function: &str) -> Result<()> {
    match args.get(0) {
        None => Ok(()),
        Some(_) => Err(illegal(format!("box.error.{function}(): bad arguments"))),
    }
}
