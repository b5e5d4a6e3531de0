//! `grant` and `grant_role`: what a user or a role needs to use a tube, as rows of `_priv` and `_func`.
//!
//! Every row is written only if it says something new, so granting again changes nothing. The transaction is the
//! caller's: he must own what he grants on, or be admin.
//!
//! Source: queue/abstract.lua `tube_grant_impl`; Tarantool 2.6 `src/box/lua/schema.lua` box.schema.func.create,
//! box.schema.user.grant.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::iproto::Iterator as Kind;
use lycosa_proto::msgpack::{
    self, Token, write_array, write_bool, write_map, write_str, write_uint,
};

use super::row;
use super::work::Work;
use crate::db::access::{ObjectType, Privilege};
use crate::db::schema::{function_by_name, space_id};
use crate::db::{Key, Txn};

/// Who gets the rights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grantee<'a> {
    /// The name.
    pub(super) name: &'a str,
    /// It is a role.
    pub(super) is_role: bool,
}

impl Grantee<'_> {
    /// The uid.
    ///
    /// # Errors
    /// NO_SUCH_USER, NO_SUCH_ROLE.
    fn uid(self, txn: &Txn<'_>) -> Result<u32> {
        match txn.db().access().find(self.name.as_bytes()) {
            // A user's rights may be granted to a role by `grant` too, as box.schema.user.grant does.
            Some((uid, found)) if found.is_role || !self.is_role => Ok(uid),
            _ if self.is_role => Err(err!(NO_SUCH_ROLE, self.name)),
            _ => Err(err!(NO_SUCH_USER, self.name)),
        }
    }
}

/// What is granted beyond the spaces.
#[derive(Debug, Default, PartialEq)]
pub(super) struct GrantOptions {
    /// Execute on the methods.
    call: bool,
    /// Execute on `truncate`.
    truncate: bool,
    /// What the names of methods begin with; None = `queue.tube`.
    prefix: Option<String>,
}

impl GrantOptions {
    /// Parses a map; what is none grants the spaces only.
    pub(super) fn parse(options: Option<&[u8]>) -> Self {
        let mut parsed = Self::default();
        for (key, value) in msgpack::pairs(options.unwrap_or(&[0x80])) {
            let token = msgpack::read(&mut { value }).unwrap_or(Token::Nil);
            let is_true = !matches!(token, Token::Nil | Token::Bool(false));
            match (msgpack::read(&mut { key }).unwrap_or(Token::Nil), token) {
                (Token::Str(b"call"), _) => parsed.call = is_true,
                (Token::Str(b"truncate"), _) => parsed.truncate = is_true,
                (Token::Str(b"prefix"), Token::Str(text)) => {
                    parsed.prefix = Some(String::from_utf8_lossy(text).into_owned());
                }
                _ => {}
            }
        }
        parsed
    }
}

/// The methods that `call` grants: those of the rock and those for many tasks.
const METHODS: [&str; 12] = [
    "put",
    "take",
    "touch",
    "ack",
    "release",
    "peek",
    "bury",
    "kick",
    "delete",
    "put_many",
    "take_many",
    "ack_many",
];

/// Grants what is needed to use the tube.
///
/// # Errors
/// NO_SUCH_USER, NO_SUCH_ROLE; ACCESS_DENIED for who may not grant.
pub(super) fn grant(
    work: &mut Work<'_, '_>,
    grantee: Grantee<'_>,
    options: &GrantOptions,
) -> Result<()> {
    let uid = grantee.uid(work.txn)?;
    let services = work.services;
    let read_write = Privilege(Privilege::READ.0 | Privilege::WRITE.0);
    let mut spaces = vec![
        (services.queue, Privilege::READ),
        (services.consumers, read_write),
        (services.taken, read_write),
        (work.tube.space_id, read_write),
        (services.session_ids, read_write),
        (services.shared_sessions, read_write),
    ];
    spaces.extend(work.tube.side_space_id.map(|space_id| (space_id, read_write)));
    for (space_id, rights) in spaces {
        add_right(work.txn, uid, ObjectType::Space, space_id, rights)?;
    }
    let prefix = options.prefix.as_deref().unwrap_or("queue.tube");
    let method = |name: &str| format!("{prefix}.{}:{name}", work.tube.name);
    let mut functions = Vec::new();
    if options.call {
        functions.extend(["queue.identify".to_owned(), "queue.statistics".to_owned()]);
        functions.extend(METHODS.iter().map(|name| method(name)));
    }
    if options.truncate {
        functions.push(method("truncate"));
    }
    for name in functions {
        let function_id = match function_by_name(work.txn.db(), &name) {
            Some(function) => function.id,
            None => create_function(work.txn, &name)?,
        };
        add_right(work.txn, uid, ObjectType::Function, function_id, Privilege::EXECUTE)?;
    }
    Ok(())
}

/// Adds rights on an object to those that are there.
fn add_right(
    txn: &mut Txn<'_>,
    uid: u32,
    object_type: ObjectType,
    object_id: u32,
    rights: Privilege,
) -> Result<()> {
    let mut key = Vec::with_capacity(24);
    write_array(&mut key, 3);
    write_uint(&mut key, u64::from(uid));
    write_str(&mut key, object_type.name());
    write_uint(&mut key, u64::from(object_id));
    let known = txn.db().space(space_id::PRIV)?.primary()?.get(&Key::from_array(&key));
    let known = known.map_or(0, |row| row::uint(row, 4));
    let wanted = known | u64::from(rights.0);
    if known == wanted {
        return Ok(());
    }
    let mut row = Vec::with_capacity(32);
    write_array(&mut row, 5);
    write_uint(&mut row, u64::from(txn.uid()));
    row.extend_from_slice(&key[1..]);
    write_uint(&mut row, wanted);
    txn.replace(space_id::PRIV, &row).map(|_| ())
}

/// Makes a row of `_func` for a name, so that there is something to grant on; gives its id.
fn create_function(txn: &mut Txn<'_>, name: &str) -> Result<u32> {
    let last = txn.db().space(space_id::FUNC)?.primary()?.select(Kind::Le, Key::EMPTY).next();
    let id = last.map_or(1, |row| row::uint(row, 0) + 1);
    let time = timestamp(txn.now());
    let mut row = Vec::with_capacity(160);
    write_array(&mut row, 19);
    write_uint(&mut row, id);
    write_uint(&mut row, u64::from(txn.uid()));
    write_str(&mut row, name);
    write_uint(&mut row, 0); // setuid
    write_str(&mut row, "LUA");
    write_str(&mut row, ""); // body
    write_str(&mut row, "function"); // routine_type
    write_array(&mut row, 0); // param_list
    write_str(&mut row, "any"); // returns
    write_str(&mut row, "none"); // aggregate
    write_str(&mut row, "none"); // sql_data_access
    write_bool(&mut row, false); // is_deterministic
    write_bool(&mut row, false); // is_sandboxed
    write_bool(&mut row, true); // is_null_call
    write_array(&mut row, 1); // exports
    write_str(&mut row, "LUA");
    write_map(&mut row, 0); // opts
    write_str(&mut row, ""); // comment
    write_str(&mut row, &time); // created
    write_str(&mut row, &time); // last_altered
    txn.insert(space_id::FUNC, &row)?;
    Ok(u32::try_from(id).unwrap_or(u32::MAX))
}

/// A moment, in seconds since the epoch, as `_func` has it: `2026-11-25 14:01:15`, in UTC.
fn timestamp(now: f64) -> String {
    const DAY: u64 = 86_400;
    let (days, second) = (now as u64 / DAY, now as u64 % DAY);
    // Years that begin in March put the leap day at the end; 400 of them have 146097 days. 719468 days lie between the
    // beginning of the year 0 so counted and the epoch.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn moments_are_written_as_dates() {
        let check = |now: f64, wanted: &str| assert_eq!(timestamp(now), wanted);
        check(0.0, "1970-01-01 00:00:00");
        check(951_782_400.9, "2000-02-29 00:00:00");
        check(1_577_641_971.0, "2019-12-29 17:52:51");
        check(1_795_615_275.0, "2026-11-25 14:01:15");
        check(4_107_542_399.0, "2100-02-28 23:59:59");
        check(4_107_542_400.0, "2100-03-01 00:00:00");
    }
}
