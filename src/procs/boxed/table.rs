//! The table of everything that can be called under `box`.
//!
//! A row: name, what kind of procedure it is, its function, what it takes and gives. From it follow the dispatch and
//! docs/procedures.md, which a test compares.

use lycosa_proto::error::Result;

use super::methods::{Change, Target};
use super::schema::{functions, grants, indexes, sequences, spaces, users};
use super::{
    backup, cfg, ctl, errors, frommap, info, measure, memory, read, session, stat, transaction,
    write,
};
use crate::db::space::Space;
use crate::db::{Database, Txn};
use crate::procs::{Args, Context, Running, Session, Values};

/// A procedure that is no method.
#[derive(Clone, Copy)]
pub(super) enum Function {
    /// Answers from what the caller and the instance are.
    Tell(fn(&Context, &Args) -> Result<Values>),
    /// Works in a transaction of the caller.
    Transact(fn(&mut Txn<'_>, &Session, &Args) -> Result<Values>),
    /// Answers later.
    Wait(fn(&Context, &Args) -> Running),
}

/// A method of a space or of an index.
#[derive(Clone, Copy)]
pub(super) enum Method {
    /// Reads.
    Read(fn(&Target<'_>, &Args) -> Result<Values>),
    /// Reads long: works on a read view of the space. The check of the caller's rights comes first.
    View(fn(&Database, u32, &Space) -> Result<()>, fn(&Space, u32, &Args) -> Result<Values>),
    /// Works in a transaction of the caller.
    Write(fn(&mut Txn<'_>, &Change<'_>) -> Result<Values>),
}

/// A method of a sequence, which is given by id: works in a transaction of the caller.
pub(super) type SequenceMethod = fn(&mut Txn<'_>, u32, &Args) -> Result<Values>;

macro_rules! procedures {
    ($($(#[doc = $doc:literal])* $find:ident, $rows:ident: $Type:ty {
        $($name:literal $kind:path => $function:expr, $text:literal;)*
    })*) => {
        $(
            /// The names, with what they take and give.
            #[cfg(test)]
            pub(super) const $rows: &[(&str, &str)] = &[$(($name, $text)),*];

            $(#[doc = $doc])*
            pub(super) fn $find(name: &str) -> Option<$Type> {
                match name {
                    $($name => Some($kind($function)),)*
                    _ => None,
                }
            }
        )*
    };
}

/// What a method of a sequence is made of: nothing but itself.
fn method(method: SequenceMethod) -> SequenceMethod {
    method
}

/// A method that counts or picks on a read view.
fn view(run: fn(&Space, u32, &Args) -> Result<Values>) -> Method {
    Method::View(measure::check_read, run)
}

/// The same of what everybody may know.
fn free_view(run: fn(&Space, u32, &Args) -> Result<Values>) -> Method {
    Method::View(measure::check_nothing, run)
}

procedures! {
    /// A procedure by its whole name.
    function, FUNCTIONS: Function {
        "box.info" Function::Tell => info::info, "(): one map";
        "box.info.memory" Function::Tell => memory::memory, "(): one map, bytes by what takes them";
        "box.info.gc" Function::Tell => info::gc, "(): one map, the snapshots that are kept";
        "box.info.replication_anon" Function::Tell => info::replication_anon, "(): an empty map";
        "box.cfg" Function::Tell => cfg::cfg, "(): one map, the options; (options): no value, once they are changed";
        "box.backup.start" Function::Wait => backup::start, "(n), ({from_vclock, ttl}): the files to copy, which stay until the backup ends; n counts snapshots back";
        "box.backup.stop" Function::Wait => backup::stop, "(): no value";
        "box.backup.info" Function::Tell => backup::info, "(): one map, what the backup in progress is made of, or nil";
        "box.snapshot" Function::Wait => info::snapshot, "(): 'ok' once a snapshot is written";
        "box.stat" Function::Tell => stat::stat, "(): one map, requests by kind";
        "box.stat.net" Function::Tell => stat::net, "(): one map, bytes, connections, streams, requests";
        "box.stat.reset" Function::Tell => stat::reset, "(): no value; totals and rates begin anew";
        "box.stat.memtx" Function::Tell => memory::memtx, "(): one map, bytes of tuples, indexes, transactions";
        "box.stat.memtx.tx" Function::Tell => memory::memtx_tx, "(): its member `tx`";
        "box.slab.info" Function::Tell => memory::slab_info, "(): one map, memory for tuples and indexes, and how much of it is taken";
        "box.begin" Function::Tell => transaction::begin, "(options): no value; error 30 outside of a stream, as a transaction ends with its call there";
        "box.commit" Function::Wait => transaction::commit, "(options): no value";
        "box.rollback" Function::Tell => transaction::roll_back, "(): no value";
        "box.is_in_txn" Function::Tell => transaction::is_in_txn, "(): whether the stream has an open transaction";
        "box.txn_id" Function::Tell => transaction::txn_id, "(): the number of the open transaction, or nil";
        "box.savepoint" Function::Tell => transaction::savepoint, "(): error 32, as a savepoint cannot be sent; error 114 without a transaction";
        "box.ctl.is_recovery_finished" Function::Tell => ctl::is_recovery_finished, "(): true";
        "box.ctl.wait_ro" Function::Wait => ctl::wait_ro, "(timeout): no value once the instance is read-only; error 115 when the time is over";
        "box.ctl.wait_rw" Function::Wait => ctl::wait_rw, "(timeout): no value once the instance is writable; error 115 when the time is over";
        "box.ctl.wal_sync" Function::Wait => ctl::wal_sync, "(): no value once the journal has all that was committed before";
        "box.error.last" Function::Tell => errors::last, "(): the error that the session was answered last, or nil";
        "box.error.clear" Function::Tell => errors::clear, "(): no value; from now on there was no error";
        "box.session.id" Function::Tell => session::id, "(): the number of the session";
        "box.session.type" Function::Tell => session::kind, "(): 'binary'";
        "box.session.uid" Function::Tell => session::uid, "(): the id of the user";
        "box.session.user" Function::Tell => session::user, "(): the name of the user";
        "box.session.euid" Function::Tell => session::uid, "(): as uid";
        "box.session.effective_user" Function::Tell => session::user, "(): as user";
        "box.session.euser" Function::Tell => session::user, "(): as user";
        "box.session.sync" Function::Tell => session::sync, "(): the sync of the request";
        "box.session.exists" Function::Tell => session::exists, "(id): whether there is such a session";
        "box.session.fd" Function::Tell => session::fd, "(id): the number of the client's socket";
        "box.session.peer" Function::Tell => session::peer, "(id): the client's address";
        "box.session.su" Function::Transact => users::su, "(user): no value; the session is that user's from now on";
        "box.schema.space.create" Function::Transact => spaces::create, "(name, options): the space, 'created' or 'not created'";
        "box.schema.create_space" Function::Transact => spaces::create, "(name, options): as box.schema.space.create";
        "box.schema.space.drop" Function::Transact => spaces::drop, "(id, name, options): no value";
        "box.schema.space.format" Function::Transact => spaces::format, "(id, format): the format without a new one, else no value";
        "box.schema.space.rename" Function::Transact => spaces::rename, "(id, name): no value";
        "box.schema.space.alter" Function::Transact => spaces::alter, "(id, options): no value";
        "box.schema.index.create" Function::Transact => indexes::create, "(space id, name, options): the index";
        "box.schema.index.drop" Function::Transact => indexes::drop, "(space id, index id): no value";
        "box.schema.index.rename" Function::Transact => indexes::rename, "(space id, index id, name): no value";
        "box.schema.index.alter" Function::Transact => indexes::alter, "(space id, index id, options): no value";
        "box.schema.user.create" Function::Transact => users::create_user, "(name, options): no value";
        "box.schema.user.drop" Function::Transact => users::drop_user, "(name, options): no value";
        "box.schema.user.exists" Function::Transact => users::user_exists, "(name or id): whether the caller sees such a user";
        "box.schema.user.grant" Function::Transact => grants::grant_user, "(user, privileges, object type, object name, options), (user, role): no value";
        "box.schema.user.revoke" Function::Transact => grants::revoke_user, "(user, privileges, object type, object name, options), (user, role): no value";
        "box.schema.user.passwd" Function::Transact => users::passwd, "(user, password), (password): no value";
        "box.schema.user.password" Function::Transact => users::password, "(password): what `_user` would hold of it";
        "box.schema.user.info" Function::Transact => users::user_info, "(user): a list of [privileges, object type, object name]";
        "box.schema.user.enable" Function::Transact => users::enable, "(user): no value";
        "box.schema.user.disable" Function::Transact => users::disable, "(user): no value";
        "box.schema.role.create" Function::Transact => users::create_role, "(name, options): no value";
        "box.schema.role.drop" Function::Transact => users::drop_role, "(name, options): no value";
        "box.schema.role.exists" Function::Transact => users::role_exists, "(name or id): whether the caller sees such a role";
        "box.schema.role.grant" Function::Transact => grants::grant_role, "(role, privileges, object type, object name, options), (role, role): no value";
        "box.schema.role.revoke" Function::Transact => grants::revoke_role, "(role, privileges, object type, object name, options), (role, role): no value";
        "box.schema.role.info" Function::Transact => users::role_info, "(role): a list of [privileges, object type, object name]";
        "box.schema.func.create" Function::Transact => functions::create, "(name, options): no value";
        "box.schema.func.drop" Function::Transact => functions::drop, "(name, options): no value";
        "box.schema.func.exists" Function::Transact => functions::exists, "(name or id): whether the caller sees such a function";
        "box.schema.sequence.create" Function::Transact => sequences::create, "(name, options): the sequence";
        "box.schema.sequence.alter" Function::Transact => sequences::alter, "(name, options): no value";
        "box.schema.sequence.drop" Function::Transact => sequences::drop, "(name, options): no value";
    }
    /// A method of spaces.
    of_space, OF_SPACES: Method {
        "select" Method::Read => read::select, "(key, options): one value, an array of the tuples; with `fetch_pos` a second, the position";
        "get" Method::Read => read::get, "(key): the tuple, or no value";
        "len" Method::Read => measure::len, "(): the number of tuples";
        "count" Method::Read => measure::count, "(key, options): the number of tuples selected";
        "offset_of" Method::Read => measure::offset_of, "(key, options): the number of tuples before those selected";
        "quantile" view => measure::quantile, "(level, begin key, end key): the key below which a share of the tuples stands, or nil";
        "bsize" free_view => measure::bsize, "(): the bytes of all tuples";
        "stat" free_view => measure::space_stat, "(): one map, what the memory of the tuples is made of";
        "frommap" Method::Read => frommap::frommap, "(map, options): the tuple with these fields; nil and a text";
        "pairs" Method::Read => read::pairs, "(): error 32, as an iterator cannot be sent";
        "insert" Method::Write => write::insert, "(tuple): the new tuple";
        "replace" Method::Write => write::replace, "(tuple): the new tuple";
        "put" Method::Write => write::replace, "(tuple): as replace";
        "auto_increment" Method::Write => write::auto_increment, "(tuple without its first field): the new tuple";
        "update" Method::Write => write::update, "(key, operations): the new tuple, or no value";
        "upsert" Method::Write => write::upsert, "(tuple, operations): no value";
        "delete" Method::Write => write::delete, "(key): the tuple that was there, or no value";
        "truncate" Method::Write => write::truncate, "(): no value";
        "create_index" Method::Write => indexes::create_method, "(name, options): the index";
        "format" Method::Write => spaces::format_method, "(format): the format without a new one, else no value";
        "rename" Method::Write => spaces::rename_method, "(name): no value";
        "alter" Method::Write => spaces::alter_method, "(options): no value";
        "drop" Method::Write => spaces::drop_method, "(): no value";
    }
    /// A method of indexes.
    of_index, OF_INDEXES: Method {
        "select" Method::Read => read::select, "(key, options): one value, an array of the tuples; with `fetch_pos` a second, the position";
        "get" Method::Read => read::get, "(key): the tuple, or no value";
        "min" Method::Read => read::min, "(key): the first tuple that matches, or no value";
        "max" Method::Read => read::max, "(key): the last tuple that matches, or no value";
        "random" view => measure::random, "(seed): some tuple, or no value";
        "len" Method::Read => measure::len, "(): the number of tuples";
        "count" Method::Read => measure::count, "(key, options): the number of tuples selected";
        "offset_of" Method::Read => measure::offset_of, "(key, options): the number of tuples before those selected";
        "quantile" view => measure::quantile, "(level, begin key, end key): the key below which a share of the tuples stands, or nil";
        "tuple_pos" Method::Read => read::tuple_pos, "(tuple): its position, for the option `after`";
        "bsize" view => measure::index_bsize, "(): the bytes of memory that the index takes";
        "pairs" Method::Read => read::pairs, "(): error 32, as an iterator cannot be sent";
        "stat" Method::Read => read::stat, "(): an empty map";
        "compact" Method::Read => read::compact, "(): no value";
        "update" Method::Write => write::update, "(key, operations): the new tuple, or no value";
        "delete" Method::Write => write::delete, "(key): the tuple that was there, or no value";
        "rename" Method::Write => indexes::rename_method, "(name): no value";
        "alter" Method::Write => indexes::alter_method, "(options): no value";
        "drop" Method::Write => indexes::drop_method, "(): no value";
    }
    /// A method of sequences.
    of_sequence, OF_SEQUENCES: SequenceMethod {
        "next" method => sequences::next, "(): the next value";
        "current" method => sequences::current, "(): the value that next gave last";
        "set" method => sequences::set, "(value): no value";
        "reset" method => sequences::reset, "(): no value";
        "alter" method => sequences::alter_method, "(options): no value";
        "drop" method => sequences::drop_method, "(): no value";
    }
}

/// A method by name.
pub(super) fn method_of(name: &str, is_of_index: bool) -> Option<Method> {
    if is_of_index { of_index(name) } else { of_space(name) }
}

/// True for a name that leads to a table of procedures: one that stands before a point in the table.
pub(super) fn is_table(name: &str) -> bool {
    matches!(
        name,
        "box"
            | "box.backup"
            | "box.ctl"
            | "box.space"
            | "box.sequence"
            | "box.session"
            | "box.session.settings"
            | "box.index"
            | "box.info.vclock"
            | "box.info.replication"
            | "box.info.replicaset"
            | "box.info.cluster"
            | "box.info.election"
            | "box.schema"
            | "box.schema.space"
            | "box.schema.index"
            | "box.schema.user"
            | "box.schema.role"
            | "box.schema.func"
            | "box.schema.sequence"
    )
}
