//! Operations of UPDATE and UPSERT on a tuple, through the engine.
//!
//! Input: a byte of choices, a tuple, operations. Whatever happens, a transaction that is dropped leaves nothing.

#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use lycosa::db::access::ADMIN;
use lycosa::db::schema::{bootstrap, space_id};
use lycosa::db::{Database, Txn};
use lycosa_proto::msgpack;
use uuid::Uuid;

const SPACE: u32 = 512;

static DB: LazyLock<Mutex<Database>> = LazyLock::new(|| Mutex::new(database()));

/// A space with a format, whose primary key is an unsigned first field.
fn database() -> Database {
    let mut db = Database::new();
    bootstrap::run(&mut db, Uuid::from_u128(1), Uuid::from_u128(2)).expect("bootstrap");
    // [512, 1, "t", "memtx", 0, {}, [{name: id, type: unsigned}, {name: a, type: any, is_nullable: true}]]
    let space =
        b"\x97\xcd\x02\x00\x01\xa1t\xa5memtx\x00\x80\x92\x82\xa4name\xa2id\xa4type\xa8unsigned\
        \x83\xa4name\xa1a\xa4type\xa3any\xabis_nullable\xc3";
    // [512, 0, "pk", "tree", {}, [[0, "unsigned"]]]
    let index = b"\x96\xcd\x02\x00\x00\xa2pk\xa4tree\x80\x91\x92\x00\xa8unsigned";
    db.transaction(ADMIN, 0.0, |txn| {
        txn.insert(space_id::SPACE, space)?;
        txn.insert(space_id::INDEX, index)
    })
    .expect("a space");
    db
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let mut array = || {
        let start = rest;
        msgpack::check(&mut rest).ok()?;
        let value = &start[..start.len() - rest.len()];
        msgpack::read_array(&mut { value }).ok().map(|_| value)
    };
    let (Some(tuple), Some(ops)) = (array(), array()) else { return };
    let mut db = DB.lock().expect("no earlier panic");
    let once = run(&mut db, choice, tuple, ops);
    assert_eq!(
        db.space(SPACE).expect("the space").len(),
        0,
        "a dropped transaction leaves nothing"
    );
    assert_eq!(run(&mut db, choice, tuple, ops), once, "the same twice is the same");
});

/// What UPDATE or UPSERT makes of the tuple, or the code and text of its error.
fn run(db: &mut Database, choice: u8, tuple: &[u8], ops: &[u8]) -> Result<Vec<u8>, (u32, String)> {
    let mut txn = db.begin(ADMIN, 0.0);
    let index_base = u32::from(choice >> 1 & 1);
    let done = change(&mut txn, choice & 1 == 1, tuple, ops, index_base);
    if let Ok(new) = &done {
        assert!(msgpack::check_all(new).is_ok(), "the new tuple is well-formed");
        assert!(msgpack::read_array(&mut { new.as_slice() }).is_ok(), "and an array");
    }
    done.map_err(|error| (error.code(), error.to_string()))
}

fn change(
    txn: &mut Txn<'_>,
    is_upsert: bool,
    tuple: &[u8],
    ops: &[u8],
    index_base: u32,
) -> lycosa_proto::error::Result<Vec<u8>> {
    let old = txn.replace(SPACE, tuple)?;
    if is_upsert {
        txn.upsert(SPACE, tuple, ops, index_base)?;
        let space = txn.db().space(SPACE)?;
        return Ok(space.primary()?.iter().next().expect("one tuple").data().to_vec());
    }
    let mut key = vec![0x91];
    key.extend_from_slice(old.field(0).expect("a primary key"));
    let new = txn.update(SPACE, 0, &key, ops, index_base)?;
    Ok(new.expect("the tuple that was put").data().to_vec())
}
