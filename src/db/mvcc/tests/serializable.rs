//! Whatever transactions do to each other, those that commit answer as if they had run one after another; and the journal
//! holds what makes the same tuples again.

use std::collections::{HashMap, HashSet};

use lycosa_proto::error::{Result, kind};
use lycosa_proto::iproto::{Body, request_type};
use lycosa_proto::{msgpack, xrow};
use proptest::prelude::*;

use super::model::{Answer, Model, Op, Row, op};
use super::spelling::Spelling;
use super::{Driver, by_key, database_of, put};
use crate::db::access::ADMIN;
use crate::db::database::Database;
use crate::db::mvcc::TxnId;
use crate::db::select::Select;
use crate::db::tuple::Tuple;
use crate::db::txn::{Statement, Txn};

/// What somebody does.
#[derive(Clone, Debug)]
enum Step {
    Do(Op),
    /// Both, whole or not at all.
    Both(Op, Op),
    Commit,
    RollBack,
}

/// Interactive transactions at once; one more actor runs statements that stand alone.
const ACTORS: usize = 3;

fn steps(spelling: Spelling) -> impl Strategy<Value = Vec<(usize, Step)>> {
    let op = move || op(spelling.count());
    let step = prop_oneof![
        6 => op().prop_map(Step::Do),
        2 => (op(), op()).prop_map(|(first, second)| Step::Both(first, second)),
        1 => Just(Step::Commit),
        1 => Just(Step::RollBack),
    ];
    proptest::collection::vec((0..=ACTORS, step), 1..28)
}

/// A transaction and what it was answered.
type History = Vec<(Op, Answer)>;

/// Carries operations out on numbers that are written in a certain way.
#[derive(Clone, Copy)]
struct Player(Spelling);

impl Player {
    /// Calls `run` with the statement of an operation that is no select.
    fn with_statement<T>(self, op: &Op, run: impl FnOnce(&Statement<'_>) -> T) -> T {
        let set = |field: u8, to: u8| {
            let mut ops = vec![0x91, 0x93, 0xa1, b'=', field];
            self.0.write(&mut ops, field, to);
            ops
        };
        let array = |row: &Row| self.0.array(row);
        let key = |index: u8, key: &u8| self.0.key(index, Some(*key));
        match op {
            Op::Insert(row) => run(&put(request_type::INSERT, 512, &array(row))),
            Op::Replace(row) => run(&put(request_type::REPLACE, 512, &array(row))),
            Op::Update(at, field, to) => {
                run(&by_key(request_type::UPDATE, 512, &key(0, at), &set(*field, *to)))
            }
            Op::UpdateByUnique(at, to) => {
                let (key, ops) = (key(1, at), set(2, *to));
                run(&Statement { index_id: 1, ..by_key(request_type::UPDATE, 512, &key, &ops) })
            }
            Op::Delete(at) => run(&by_key(request_type::DELETE, 512, &key(0, at), &[0x90])),
            Op::DeleteByUnique(at) => {
                let key = key(1, at);
                run(&Statement { index_id: 1, ..by_key(request_type::DELETE, 512, &key, &[0x90]) })
            }
            Op::Upsert(row, to) => {
                let (row, ops) = (array(row), set(2, *to));
                run(&Statement { ops: &ops, ..put(request_type::UPSERT, 512, &row) })
            }
            Op::Select { .. } => unreachable!("a select is no statement"),
        }
    }

    fn rows(self, tuple: Option<&Tuple>) -> Vec<Row> {
        tuple.iter().map(|tuple| self.0.row(tuple.data())).collect()
    }

    /// The answer of an operation in a transaction; None if the transaction cannot go on, or not write.
    fn run_in(self, on: &mut Driver, id: TxnId, op: &Op) -> Option<Answer> {
        let result = match op {
            Op::Select { index, kind, key, limit } => {
                let key = self.0.key(*index, *key);
                on.select_key(id, u32::from(*index), *kind, &key, *limit)
                    .map(|tuples| tuples.iter().map(|tuple| self.0.row(tuple.data())).collect())
            }
            op => self
                .with_statement(op, |statement| on.run(id, statement))
                .map(|tuple| self.rows(tuple.as_ref())),
        };
        match result {
            Ok(rows) => Some(Ok(rows)),
            Err(error) if error.kind() == kind::TUPLE_FOUND => Some(Err(())),
            Err(error) => {
                assert_eq!(error.kind(), kind::TRANSACTION_CONFLICT, "{op:?}");
                None
            }
        }
    }

    /// The answer of an operation that is part of a closure.
    fn run_closed(self, txn: &mut Txn<'_>, op: &Op) -> Result<Vec<Row>> {
        let Op::Select { index, kind, key, limit } = op else {
            let tuple = self.with_statement(op, |statement| txn.execute(statement))?;
            return Ok(self.rows(tuple.as_ref()));
        };
        let (index_id, iterator) = (u32::from(*index), *kind as u32);
        let key = self.0.key(*index, *key);
        let limit = *limit;
        let select = Select { space_id: 512, index_id, iterator, offset: 0, limit, key: &key };
        let mut rows = Vec::new();
        txn.db().select(ADMIN, &select, |tuple| rows.push(self.0.row(tuple.data())))?;
        Ok(rows)
    }

    /// The answers of two operations as one closure; none if it has failed.
    fn run_both(self, on: &mut Driver, id: TxnId, ops: [Op; 2]) -> History {
        let result = on.db.run_interactive(id, ADMIN, 0.0, |txn| {
            let [first, second] = &ops;
            Ok([self.run_closed(txn, first)?, self.run_closed(txn, second)?])
        });
        match result {
            Ok(answers) => ops.into_iter().zip(answers.map(Ok)).collect(),
            Err(error) => {
                let expected = [kind::TUPLE_FOUND, kind::TRANSACTION_CONFLICT];
                assert!(expected.contains(&error.kind()), "{ops:?}: {error}");
                History::new()
            }
        }
    }
}

/// Plays the steps; gives the transactions that have committed.
fn play(on: &mut Driver, player: Player, steps: &[(usize, Step)]) -> Vec<History> {
    let mut open: HashMap<usize, (TxnId, History)> = HashMap::new();
    let mut committed = Vec::new();
    let ends = (0..ACTORS).map(|actor| (actor, Step::Commit));
    for (actor, step) in steps.iter().cloned().chain(ends) {
        match step {
            Step::Do(op) => {
                let is_alone = actor == ACTORS;
                let (id, history) =
                    open.entry(actor).or_insert_with(|| (on.begin(), History::new()));
                if is_alone && !matches!(op, Op::Select { .. }) {
                    // Not in a transaction: on the live spaces.
                    on.db.roll_back_interactive(*id);
                    open.remove(&actor);
                    let db = &mut on.db;
                    let done = player.with_statement(&op, |statement| {
                        db.transaction(ADMIN, 0.0, |txn| txn.execute(statement))
                    });
                    let answer = match done {
                        Ok((tuple, _)) => Ok(player.rows(tuple.as_ref())),
                        Err(_) => Err(()),
                    };
                    committed.push(vec![(op, answer)]);
                    continue;
                }
                if let Some(answer) = player.run_in(on, *id, &op) {
                    history.push((op, answer));
                }
                if is_alone {
                    let (id, history) = open.remove(&actor).expect("just begun");
                    on.commit(id).expect("nothing came between");
                    committed.push(history);
                }
            }
            Step::Both(first, second) if actor != ACTORS => {
                let (id, history) =
                    open.entry(actor).or_insert_with(|| (on.begin(), History::new()));
                history.extend(player.run_both(on, *id, [first, second]));
            }
            // Nothing is to be learned of closures on the live spaces here.
            Step::Both(..) => {}
            Step::Commit => {
                if let Some((id, history)) = open.remove(&actor)
                    && on.commit(id).is_ok()
                {
                    committed.push(history);
                }
            }
            Step::RollBack => {
                if let Some((id, _)) = open.remove(&actor) {
                    on.db.roll_back_interactive(id);
                }
            }
        }
    }
    assert!(!on.db.has_interactive());
    committed
}

/// Tells whether the transactions could have run one after another, in any order, to end in `end`.
fn is_serial(histories: &[History], end: &Model) -> bool {
    fn search(
        histories: &[History],
        done: u64,
        model: &Model,
        end: &Model,
        seen: &mut HashSet<(u64, Model)>,
    ) -> bool {
        if done.count_ones() as usize == histories.len() {
            return model == end;
        }
        if !seen.insert((done, model.clone())) {
            return false;
        }
        (0..histories.len()).filter(|no| done & (1 << no) == 0).any(|no| {
            let mut model = model.clone();
            histories[no].iter().all(|(op, answer)| model.run(op) == *answer)
                && search(histories, done | 1 << no, &model, end, seen)
        })
    }
    search(histories, 0, &Model::default(), end, &mut HashSet::new())
}

/// The tuples of space 512 in a database, which must be the same in all indexes.
fn model_of(db: &Database, spelling: Spelling) -> Model {
    let mut model = Model::default();
    let space = db.space(512).expect("the space");
    for tuple in space.primary().expect("an index").iter() {
        model.run(&Op::Insert(spelling.row(tuple.data()))).expect("keys differ");
    }
    for index in 0..3 {
        let rows = space.index(u32::from(index)).expect("an index").iter();
        let rows: Vec<Row> = rows.map(|tuple| spelling.row(tuple.data())).collect();
        assert_eq!(rows, model.rows(index));
    }
    model
}

/// The database that the rows of a journal make.
fn recovered(on: &Driver, spelling: Spelling) -> Database {
    let mut db = database_of(spelling);
    for rows in on.journal.rows.lock().iter() {
        let mut txn = db.begin_recovery();
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let header = xrow::Header::read(&mut rest).expect("a header");
            let body = Body::decode(msgpack::take(&mut rest).expect("a body")).expect("a body");
            txn.execute(&Statement::new(header.row_type, &body)).expect("what was done once");
        }
        txn.commit();
    }
    db
}

/// Plays the steps and checks that what was committed is serializable, recovers, and can be rolled back.
fn check(spelling: Spelling, steps: &[(usize, Step)]) -> std::result::Result<(), TestCaseError> {
    let mut on = Driver::of(spelling);
    let committed = play(&mut on, Player(spelling), steps);
    let end = model_of(&on.db, spelling);
    prop_assert!(is_serial(&committed, &end), "{committed:#?} -> {end:?}");
    prop_assert_eq!(model_of(&recovered(&on, spelling), spelling), end);
    let last = on.db.ticket();
    on.db.roll_back(crate::db::Ticket(1));
    prop_assert_eq!(model_of(&on.db, spelling), Model::default(), "{:?}", last);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn committed_transactions_are_serializable(steps in steps(Spelling::Plain)) {
        check(Spelling::Plain, &steps)?;
    }

    /// Keys that compare equal are one, however they are written.
    #[test]
    fn so_are_those_whose_keys_have_many_spellings(steps in steps(Spelling::Mixed)) {
        check(Spelling::Mixed, &steps)?;
    }
}
