//! Rows of system spaces: definitions of spaces, indexes, users, rights, sequences.
//!
//! Input: a byte that says whether the rows come from a client or from a file; then rows one after another, each a byte
//! that names a system space and a tuple. They make one transaction, which is dropped at the end: then everything is as
//! it was.

#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use lycosa::db::Database;
use lycosa::db::access::ADMIN;
use lycosa::db::schema::{bootstrap, space_id};
use lycosa_proto::msgpack;
use uuid::Uuid;

const SPACES: [u32; 16] = [
    space_id::SPACE,
    space_id::INDEX,
    space_id::USER,
    space_id::PRIV,
    space_id::FUNC,
    space_id::SEQUENCE,
    space_id::SEQUENCE_DATA,
    space_id::SPACE_SEQUENCE,
    space_id::TRUNCATE,
    space_id::SCHEMA,
    space_id::COLLATION,
    // Spaces that rows before may have made.
    512,
    513,
    space_id::FUNC_INDEX,
    space_id::FK_CONSTRAINT,
    space_id::CLUSTER,
];

static DB: LazyLock<Mutex<Database>> = LazyLock::new(|| {
    let mut db = Database::new();
    bootstrap::run(&mut db, Uuid::from_u128(1), Uuid::from_u128(2)).expect("bootstrap");
    Mutex::new(db)
});

/// The tuples of each space. The values of sequences are beside them, and no rollback takes those back.
fn counts(db: &Database) -> Vec<(u32, usize, usize)> {
    let mut counts: Vec<_> =
        db.spaces().map(|space| (space.def.id, space.indexes().len(), space.len())).collect();
    counts.sort_unstable();
    counts
}

fuzz_target!(|data: &[u8]| {
    let mut db = DB.lock().expect("no earlier panic");
    let before = counts(&db);
    let Some((&origin, mut rest)) = data.split_first() else { return };
    let is_file = origin & 1 == 1;
    let mut txn = if is_file { db.begin_recovery() } else { db.begin(ADMIN, 0.0) };
    for _ in 0..32 {
        let Some((&choice, tail)) = rest.split_first() else { break };
        rest = tail;
        if msgpack::check(&mut rest).is_err() {
            break;
        }
        let value = &tail[..tail.len() - rest.len()];
        if msgpack::read_array(&mut { value }).is_err() {
            break;
        }
        let space_id = SPACES[usize::from(choice & 0x3f) % SPACES.len()];
        let done = match choice >> 6 {
            0 => txn.insert(space_id, value).map(drop),
            1 | 2 => txn.replace(space_id, value).map(drop),
            _ => txn.delete(space_id, 0, value).map(drop),
        };
        if let Err(error) = done {
            assert!(!error.to_string().is_empty());
        }
    }
    drop(txn);
    assert_eq!(counts(&db), before, "a dropped transaction leaves nothing");
});
