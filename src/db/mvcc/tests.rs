//! Interactive transactions through the engine's interface.

mod closures;
mod definitions;
mod model;
mod numbers;
mod serializable;
mod spelling;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lycosa_proto::error::{Error, kind};
use lycosa_proto::iproto::{Iterator as Kind, request_type};
use parking_lot::Mutex;
use uuid::Uuid;

use self::spelling::Spelling;
use super::*;
use crate::db::journal::{Journal, Vclock};
use crate::db::schema::bootstrap;
use crate::db::schema::space_id;

/// Keeps rows, and says that they are durable when it is told to.
#[derive(Default)]
struct Memory {
    rows: Mutex<Vec<Vec<u8>>>,
    settled: AtomicU64,
}

impl Journal for Memory {
    fn append(&self, _: Ticket, rows: &[u8], _: &Vclock) {
        self.rows.lock().push(rows.to_vec());
    }

    fn settled(&self) -> Ticket {
        Ticket(self.settled.load(Ordering::Relaxed))
    }
}

/// MsgPack of small numbers: an array of them.
fn array(items: &[u8]) -> Vec<u8> {
    let mut out = vec![0x90 | items.len() as u8];
    out.extend_from_slice(items);
    out
}

fn mp(json: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let value = rmpv::ext::to_value(&value).expect("JSON is MsgPack");
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, &value).expect("a vector takes all");
    out
}

/// A database with the spaces 512 and 513: a primary index on field 0, a unique one on field 1, another on field 2, for
/// numbers that are written in a certain way.
fn database_of(spelling: Spelling) -> Database {
    let mut db = Database::new();
    bootstrap::run(&mut db, Uuid::from_u128(1), Uuid::from_u128(2)).expect("bootstrap");
    let (_, _) = db
        .transaction(ADMIN, 0.0, |txn| {
            for id in [512, 513] {
                let row = format!(r#"[{id},1,"t{id}","memtx",0,{{}},[]]"#);
                txn.insert(space_id::SPACE, &mp(&row))?;
                for (index, parts) in spelling.parts().iter().enumerate() {
                    let unique = index < 2;
                    let row = format!(
                        r#"[{id},{index},"i{index}","tree",{{"unique":{unique}}},{parts}]"#
                    );
                    txn.insert(space_id::INDEX, &mp(&row))?;
                }
            }
            Ok(())
        })
        .expect("good spaces");
    db
}

fn put<'a>(request_type: u64, space_id: u32, tuple: &'a [u8]) -> Statement<'a> {
    let empty: &[u8] = &[0x90];
    Statement { request_type, space_id, index_id: 0, key: empty, tuple, ops: empty, index_base: 0 }
}

fn by_key<'a>(request_type: u64, space_id: u32, key: &'a [u8], ops: &'a [u8]) -> Statement<'a> {
    Statement { key, ..put(request_type, space_id, ops) }
}

/// A database and its open transactions, to be driven in short lines.
struct Driver {
    db: Database,
    journal: Arc<Memory>,
}

impl Driver {
    fn new() -> Self {
        Self::of(Spelling::Plain)
    }

    fn of(spelling: Spelling) -> Self {
        let mut db = database_of(spelling);
        let journal = Arc::new(Memory::default());
        db.set_journal(journal.clone());
        Self { db, journal }
    }

    fn begin(&mut self) -> TxnId {
        self.db.begin_interactive(Isolation::BestEffort, false).expect("few are open")
    }

    /// A statement outside of interactive transactions.
    fn alone(&mut self, statement: &Statement<'_>) {
        self.db.transaction(ADMIN, 0.0, |txn| txn.execute(statement)).expect("a good statement");
    }

    fn replace(&mut self, tuple: [u8; 3]) {
        self.alone(&put(request_type::REPLACE, 512, &array(&tuple)));
    }

    fn run(&mut self, id: TxnId, statement: &Statement<'_>) -> Result<Option<Tuple>> {
        self.executed(id, statement).map(|executed| executed.tuple)
    }

    fn executed(&mut self, id: TxnId, statement: &Statement<'_>) -> Result<Executed> {
        match self.db.execute_interactive(id, ADMIN, 0.0, statement)? {
            Execution::Done(executed) => Ok(executed),
            Execution::Postponed(_) => panic!("there is not so much to build"),
        }
    }

    fn replace_in(&mut self, id: TxnId, tuple: [u8; 3]) -> Result<Option<Tuple>> {
        self.run(id, &put(request_type::REPLACE, 512, &array(&tuple)))
    }

    fn get(&mut self, id: TxnId, key: u8) -> Result<Vec<Vec<u8>>> {
        self.select(id, 0, Kind::Eq, &[key], u32::MAX)
    }

    fn select(
        &mut self,
        id: TxnId,
        index_id: u32,
        kind: Kind,
        key: &[u8],
        limit: u32,
    ) -> Result<Vec<Vec<u8>>> {
        let tuples = self.select_key(id, index_id, kind, &array(key), limit)?;
        Ok(tuples.iter().map(|tuple| tuple.data()[1..].to_vec()).collect())
    }

    /// Selects by a key in MsgPack.
    fn select_key(
        &mut self,
        id: TxnId,
        index_id: u32,
        kind: Kind,
        key: &[u8],
        limit: u32,
    ) -> Result<Vec<Tuple>> {
        let iterator = kind as u32;
        let select = Select { space_id: 512, index_id, iterator, offset: 0, limit, key };
        let mut out = Vec::new();
        self.db.select_interactive(id, ADMIN, &select, &Page::default(), |tuple| {
            out.push(tuple.clone());
        })?;
        Ok(out)
    }

    fn commit(&mut self, id: TxnId) -> Result<Ticket> {
        self.db.commit_interactive(id, 0.0)
    }

    /// The tuples of space 512 by an index.
    fn live(&self, index_id: u32) -> Vec<Vec<u8>> {
        let index = self.db.space(512).and_then(|space| space.index(index_id)).expect("an index");
        index.iter().map(|tuple| tuple.data()[1..].to_vec()).collect()
    }
}

fn code<T: std::fmt::Debug>(result: std::result::Result<T, Error>) -> u32 {
    result.expect_err("an error").code()
}

const CONFLICT: u32 = kind::TRANSACTION_CONFLICT.0;
const YIELD: u32 = kind::TRANSACTION_YIELD.0;

#[test]
fn changes_show_outside_when_they_are_committed() {
    let mut on = Driver::new();
    let id = on.begin();
    on.replace_in(id, [1, 1, 1]).expect("new");
    assert_eq!(on.live(0).len(), 0);
    assert_eq!(on.get(id, 1).expect("own"), [[1, 1, 1]]);
    on.commit(id).expect("no conflict");
    assert_eq!([on.live(0), on.live(1), on.live(2)], [[[1, 1, 1]], [[1, 1, 1]], [[1, 1, 1]]]);
    assert_eq!(code(on.commit(id)), kind::NO_TRANSACTION.0);
}

#[test]
fn who_has_only_read_goes_on_in_a_read_view() {
    let mut on = Driver::new();
    on.replace([1, 1, 1]);
    let id = on.begin();
    assert_eq!(on.get(id, 1).expect("there"), [[1, 1, 1]]);
    on.replace([1, 1, 2]);
    on.replace([2, 2, 2]);
    assert_eq!(on.select(id, 0, Kind::All, &[], 9).expect("the view"), [[1, 1, 1]]);
    assert_eq!(on.select(id, 2, Kind::All, &[], 9).expect("the view"), [[1, 1, 1]]);
    on.commit(id).expect("it has only read");
    let id = on.begin();
    on.get(id, 1).expect("there");
    on.replace([1, 1, 3]);
    assert_eq!(code(on.replace_in(id, [3, 3, 3])), CONFLICT);
    assert_eq!(code(on.get(id, 1)), CONFLICT);
    assert_eq!(code(on.commit(id)), CONFLICT);
}

#[test]
fn who_has_written_is_aborted() {
    let mut on = Driver::new();
    on.replace([1, 1, 1]);
    let id = on.begin();
    on.get(id, 1).expect("there");
    on.replace_in(id, [2, 2, 2]).expect("new");
    on.replace([1, 1, 2]);
    assert_eq!(code(on.get(id, 2)), CONFLICT);
    assert_eq!(code(on.commit(id)), CONFLICT);
    assert_eq!(on.live(0), [[1, 1, 2]]);
}

#[test]
fn whoever_does_not_look_first_overwrites() {
    let mut on = Driver::new();
    let id = on.begin();
    on.replace_in(id, [1, 1, 1]).expect("new");
    on.replace([1, 2, 2]);
    assert_eq!(on.get(id, 1).expect("own"), [[1, 1, 1]]);
    on.commit(id).expect("it has read nothing");
    assert_eq!([on.live(0), on.live(1)], [[[1, 1, 1]], [[1, 1, 1]]]);
}

#[test]
fn what_was_not_there_counts_as_read() {
    let check = |read: &dyn Fn(&mut Driver, TxnId), disturb: [u8; 3], is_conflict: bool| {
        let mut on = Driver::new();
        on.replace([5, 5, 5]);
        let id = on.begin();
        read(&mut on, id);
        on.replace_in(id, [9, 9, 9]).expect("new");
        on.replace(disturb);
        assert_eq!(on.commit(id).is_err(), is_conflict, "{disturb:?}");
    };
    let get = |on: &mut Driver, id: TxnId| drop(on.get(id, 3));
    check(&get, [3, 3, 3], true);
    check(&get, [4, 4, 4], false);
    let range = |on: &mut Driver, id: TxnId| drop(on.select(id, 0, Kind::Ge, &[4], 9));
    check(&range, [3, 3, 3], false);
    check(&range, [4, 4, 4], true);
    check(&range, [6, 6, 6], true);
    let limited = |on: &mut Driver, id: TxnId| drop(on.select(id, 0, Kind::Gt, &[3], 1));
    check(&limited, [3, 3, 3], false);
    check(&limited, [4, 4, 4], true);
    check(&limited, [6, 6, 6], false);
    let down = |on: &mut Driver, id: TxnId| drop(on.select(id, 2, Kind::Lt, &[7], 1));
    check(&down, [7, 7, 7], false);
    check(&down, [6, 6, 6], true);
    check(&down, [4, 4, 4], false);
    let insert = |on: &mut Driver, id: TxnId| {
        on.run(id, &put(request_type::INSERT, 512, &array(&[3, 3, 3]))).expect("new");
    };
    check(&insert, [3, 4, 4], true);
    check(&insert, [4, 4, 4], false);
    let delete = |on: &mut Driver, id: TxnId| {
        on.run(id, &by_key(request_type::DELETE, 512, &array(&[3]), &[0x90])).expect("nothing");
    };
    check(&delete, [3, 3, 3], true);
    check(&delete, [4, 4, 4], false);
}

#[test]
fn two_may_not_take_the_same_key_of_a_unique_index() {
    let mut on = Driver::new();
    let id = on.begin();
    on.replace_in(id, [1, 7, 1]).expect("new");
    on.replace_in(id, [1, 8, 1]).expect("moved");
    // A row of the journal says that 7 was free for a moment.
    on.replace([2, 7, 2]);
    assert_eq!(code(on.commit(id)), CONFLICT);
}

#[test]
fn tuples_may_swap_their_secondary_keys() {
    let mut on = Driver::new();
    on.replace([1, 1, 0]);
    on.replace([2, 2, 0]);
    let id = on.begin();
    on.replace_in(id, [1, 3, 0]).expect("free");
    on.replace_in(id, [2, 1, 0]).expect("free now");
    on.replace_in(id, [1, 2, 0]).expect("free now");
    on.commit(id).expect("no conflict");
    assert_eq!(on.live(1), [[2, 1, 0], [1, 2, 0]]);
    let before = on.db.ticket();
    on.db.roll_back(before);
    assert_eq!(on.live(1), [[1, 1, 0], [2, 2, 0]]);
}

#[test]
fn ddl_ends_with_its_request_and_leaves_nothing() {
    let mut on = Driver::new();
    let version = on.db.schema_version();
    let id = on.begin();
    on.replace_in(id, [1, 1, 1]).expect("new");
    let row = mp(r#"[600,1,"new","memtx",0,{},[]]"#);
    let executed =
        on.executed(id, &put(request_type::INSERT, space_id::SPACE, &row)).expect("a good row");
    assert_eq!(executed.schema_version, version + 1);
    assert!(on.db.space(600).is_err());
    assert_eq!(on.live(0).len(), 0);
    assert_eq!(code(on.get(id, 1)), YIELD);
    assert_eq!(code(on.commit(id)), YIELD);
    // Refused before it came to the schema: the transaction goes on.
    let id = on.begin();
    let twice = mp(r#"[512,1,"t512","memtx",0,{},[]]"#);
    let twice = put(request_type::INSERT, space_id::SPACE, &twice);
    assert_eq!(code(on.run(id, &twice)), kind::TUPLE_FOUND.0);
    on.replace_in(id, [1, 1, 1]).expect("it goes on");
    on.commit(id).expect("no conflict");
}

#[test]
fn ddl_of_others_aborts_whoever_has_touched_the_space() {
    let mut on = Driver::new();
    let (reader, writer, other) = (on.begin(), on.begin(), on.begin());
    on.get(reader, 1).expect("nothing there");
    on.replace_in(writer, [1, 1, 1]).expect("new");
    on.run(other, &put(request_type::REPLACE, 513, &array(&[1, 1, 1]))).expect("new");
    on.alone(&by_key(request_type::DELETE, space_id::INDEX, &mp("[512,2]"), &[0x90]));
    assert_eq!(code(on.get(reader, 1)), CONFLICT);
    assert_eq!(code(on.commit(writer)), CONFLICT);
    on.commit(other).expect("another space");
}

#[test]
fn a_failed_journal_aborts_what_may_have_seen_its_rows() {
    let mut on = Driver::new();
    on.replace([1, 1, 1]);
    let id = on.begin();
    assert_eq!(on.db.read_ticket(id), on.db.ticket());
    assert_eq!(on.get(id, 1).expect("there").len(), 1);
    on.replace_in(id, [2, 2, 2]).expect("new");
    on.db.roll_back(Ticket(1));
    on.journal.settled.store(1, Ordering::Relaxed);
    assert_eq!(code(on.commit(id)), CONFLICT);
    assert_eq!(on.live(0).len(), 0);
}

#[test]
fn a_commit_is_one_transaction_of_the_journal() {
    let mut on = Driver::new();
    let id = on.begin();
    on.replace_in(id, [1, 1, 1]).expect("new");
    on.run(id, &put(request_type::INSERT, 512, &array(&[1, 1, 1]))).expect_err("a duplicate");
    on.run(id, &by_key(request_type::DELETE, 512, &array(&[7]), &[0x90])).expect("nothing there");
    assert_eq!(on.journal.rows.lock().len(), 0);
    let ticket = on.commit(id).expect("no conflict");
    let rows = on.journal.rows.lock().clone();
    assert_eq!((rows.len(), ticket), (1, Ticket(1)));
    let mut rest = rows[0].as_slice();
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let header = lycosa_proto::xrow::Header::read(&mut rest).expect("a header");
        lycosa_proto::msgpack::take(&mut rest).expect("a body");
        headers.push((header.row_type, header.lsn, header.tsn, header.is_commit));
    }
    assert_eq!(headers, [(request_type::REPLACE, 1, 1, false), (request_type::DELETE, 2, 1, true)]);
    // Nothing was written: nothing is logged.
    let id = on.begin();
    on.get(id, 1).expect("there");
    assert_eq!(on.commit(id).expect("no conflict"), Ticket::SETTLED);
    assert_eq!(on.journal.rows.lock().len(), 1);
}

#[test]
fn time_rollback_and_synchrony() {
    let mut on = Driver::new();
    let id = on.begin();
    on.replace_in(id, [1, 1, 1]).expect("new");
    on.db.time_out_interactive(id);
    assert_eq!(code(on.get(id, 1)), kind::TRANSACTION_TIMEOUT.0);
    assert_eq!(code(on.commit(id)), kind::TRANSACTION_TIMEOUT.0);
    let id = on.begin();
    on.replace_in(id, [1, 1, 1]).expect("new");
    on.db.roll_back_interactive(id);
    assert_eq!(on.live(0).len(), 0);
    assert!(!on.db.has_interactive());
    let id = on.db.begin_interactive(Isolation::BestEffort, true).expect("few are open");
    on.replace_in(id, [1, 1, 1]).expect("new");
    assert_eq!(code(on.commit(id)), kind::SYNC_QUEUE_UNCLAIMED.0);
    let id = on.db.begin_interactive(Isolation::Linearizable, false).expect("few are open");
    assert_eq!(code(on.get(id, 1)), kind::UNSUPPORTED.0);
}
