//! Keys: SELECT, DELETE and UPDATE by any key, over indexes of every kind.
//!
//! Input: four bytes that choose index, iterator, offset and limit; then the key, a MsgPack array.

#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use lycosa::db::access::ADMIN;
use lycosa::db::schema::{bootstrap, space_id};
use lycosa::db::{Database, Select};
use lycosa_proto::msgpack;
use uuid::Uuid;

const SPACE: u32 = 512;
const ROWS: u8 = 40;
/// What follows `[512, ` in rows of `_index`, in MsgPack. Kinds that are not there yet are left out.
const INDEXES: [&[u8]; 7] = [
    b"\x00\xa2pk\xa4tree\x80\x91\x92\x00\xa8unsigned",
    b"\x01\xa1n\xa4tree\x81\xa6unique\xc2\x92\
        \x83\xa5field\x01\xa4type\xa6scalar\xabis_nullable\xc3\
        \x83\xa5field\x00\xa4type\xa8unsigned\xaasort_order\xa4desc",
    b"\x02\xa1h\xa4hash\x80\x92\x92\x00\xa8unsigned\x92\x02\xa6string",
    b"\x03\xa1c\xa4tree\x81\xa6unique\xc2\x91\x83\xa5field\x02\xa4type\xa6string\xa9collation\x02",
    b"\x04\xa1r\xa5rtree\x81\xa6unique\xc2\x91\x92\x03\xa5array",
    b"\x05\xa1b\xa6bitset\x81\xa6unique\xc2\x91\x92\x00\xa8unsigned",
    b"\x06\xa1m\xa4tree\x81\xa6unique\xc2\x91\
        \x83\xa5field\x03\xa4type\xa8unsigned\xa4path\xa3[*]",
];

static DB: LazyLock<Mutex<Database>> = LazyLock::new(|| Mutex::new(database()));

/// A space with rows `[number, scalar or nil, string, [number, number]]`.
fn database() -> Database {
    let mut db = Database::new();
    bootstrap::run(&mut db, Uuid::from_u128(1), Uuid::from_u128(2)).expect("bootstrap");
    db.transaction(ADMIN, 0.0, |txn| {
        let row = b"\x97\xcd\x02\x00\x01\xa1t\xa5memtx\x00\x80\x90";
        txn.insert(space_id::SPACE, row)?;
        for index in INDEXES {
            let row = [b"\x96\xcd\x02\x00", index].concat();
            let _ = txn.insert(space_id::INDEX, &row);
        }
        let scalars: [&[u8]; 5] = [b"\xc0", b"\x01", b"\xa1a", b"\xc3", b"\xff"];
        for number in 0..ROWS {
            let mut row = vec![0x94, number];
            row.extend_from_slice(scalars[usize::from(number) % scalars.len()]);
            row.extend_from_slice(&[0xa1, b'a' + number % 26, 0x92, number % 7, number]);
            txn.insert(SPACE, &row)?;
        }
        Ok(())
    })
    .expect("a space");
    db
}

fuzz_target!(|data: &[u8]| {
    let Some((&[index, iterator, offset, limit], key)) = data.split_first_chunk::<4>() else {
        return;
    };
    if msgpack::check_all(key).is_err() || msgpack::read_array(&mut { key }).is_err() {
        return;
    }
    let mut db = DB.lock().expect("no earlier panic");
    let index_id = u32::from(index % 8);
    let (offset, limit) = (u32::from(offset), u32::from(limit));
    let select = Select {
        space_id: SPACE,
        index_id,
        iterator: u32::from(iterator % 16),
        offset,
        limit,
        key,
    };
    let mut found = Vec::new();
    match db.select(ADMIN, &select, |tuple| found.push(tuple.clone())) {
        Ok(count) => assert!(count as usize == found.len() && count <= limit),
        Err(error) => assert!(!error.to_string().is_empty() && found.is_empty()),
    }
    let mut txn = db.begin(ADMIN, 0.0);
    let updated = txn.update(SPACE, index_id, key, b"\x91\x93\xa1=\x07\x01", 0);
    let deleted = txn.delete(SPACE, index_id, key);
    let is_there = |done: &Result<Option<_>, _>| done.as_ref().is_ok_and(Option::is_some);
    assert_eq!(is_there(&updated), is_there(&deleted), "both find the same tuple");
    drop(txn);
    assert_eq!(db.space(SPACE).expect("the space").len(), usize::from(ROWS));
});
