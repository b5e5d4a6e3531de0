//! A space of a few small numbers as a map: what statements and selects answer when nothing else goes on.

use std::collections::BTreeMap;

use lycosa_proto::iproto::Iterator as Kind;
use proptest::prelude::*;

/// A tuple: the key, the unique number, another number.
pub(super) type Row = [u8; 3];

/// One statement or select.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Insert(Row),
    Replace(Row),
    /// By the primary key: the field to set, its value.
    Update(u8, u8, u8),
    /// By the unique secondary key: the last field.
    UpdateByUnique(u8, u8),
    Delete(u8),
    DeleteByUnique(u8),
    /// The tuple, and what its last field becomes if the key is there.
    Upsert(Row, u8),
    Select {
        index: u8,
        kind: Kind,
        key: Option<u8>,
        limit: u32,
    },
}

/// Numbers from nought below this; those above are the same again, for spaces where each has several spellings.
pub(super) const NUMBERS: u8 = 4;

/// Any operation on numbers of so many spellings.
pub(super) fn op(spellings: u8) -> impl Strategy<Value = Op> {
    let number = move || 0..NUMBERS * spellings;
    let row = || (number(), number(), number()).prop_map(|(a, b, c)| [a, b, c]);
    let kind = prop_oneof![
        Just(Kind::Eq),
        Just(Kind::Req),
        Just(Kind::Ge),
        Just(Kind::Gt),
        Just(Kind::Le),
        Just(Kind::Lt),
    ];
    let limit = prop_oneof![Just(1), Just(2), Just(100)];
    prop_oneof![
        2 => row().prop_map(Op::Insert),
        3 => row().prop_map(Op::Replace),
        2 => (number(), 1..3u8, number()).prop_map(|(key, field, to)| Op::Update(key, field, to)),
        1 => (number(), number()).prop_map(|(key, to)| Op::UpdateByUnique(key, to)),
        2 => number().prop_map(Op::Delete),
        1 => number().prop_map(Op::DeleteByUnique),
        1 => (row(), number()).prop_map(|(row, to)| Op::Upsert(row, to)),
        3 => (0..3u8, kind, proptest::option::weighted(0.8, number()), limit)
            .prop_map(|(index, kind, key, limit)| Op::Select { index, kind, key, limit }),
    ]
}

/// What an operation answers: tuples, or that there is a duplicate.
pub(super) type Answer = Result<Vec<Row>, ()>;

/// The space.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Model(BTreeMap<u8, Row>);

impl Model {
    /// The tuples in the order of an index.
    pub(super) fn rows(&self, index: u8) -> Vec<Row> {
        let mut rows: Vec<Row> = self.0.values().copied().collect();
        rows.sort_by_key(|row| (row[index as usize], row[0]));
        rows
    }

    fn by_unique(&self, number: u8) -> Option<Row> {
        self.0.values().find(|row| row[1] == number).copied()
    }

    fn put(&mut self, row: Row) -> Answer {
        if self.by_unique(row[1]).is_some_and(|other| other[0] != row[0]) {
            return Err(());
        }
        self.0.insert(row[0], row);
        Ok(vec![row])
    }

    fn set(&mut self, old: Option<Row>, field: u8, to: u8) -> Answer {
        let Some(mut row) = old else { return Ok(vec![]) };
        row[field as usize] = to;
        self.put(row)
    }

    fn remove(&mut self, old: Option<Row>) -> Answer {
        if let Some(old) = old {
            self.0.remove(&old[0]);
        }
        Ok(old.into_iter().collect())
    }

    /// Carries an operation out.
    pub(super) fn run(&mut self, op: &Op) -> Answer {
        let plain = |number: &u8| number % NUMBERS;
        let at = |key: &u8| self.0.get(&plain(key)).copied();
        let by_unique = |number: &u8| self.by_unique(plain(number));
        match op {
            Op::Insert(row) if at(&row[0]).is_some() => Err(()),
            Op::Insert(row) | Op::Replace(row) => self.put(row.map(|number| plain(&number))),
            Op::Update(key, field, to) => self.set(at(key), *field, plain(to)),
            Op::UpdateByUnique(key, to) => self.set(by_unique(key), 2, plain(to)),
            Op::Delete(key) => self.remove(at(key)),
            Op::DeleteByUnique(key) => self.remove(by_unique(key)),
            Op::Upsert(row, to) => {
                let done = match at(&row[0]) {
                    Some(old) => self.set(Some(old), 2, plain(to)),
                    None => self.put(row.map(|number| plain(&number))),
                };
                done.map(|_| vec![])
            }
            Op::Select { index, kind, key, limit } => {
                let mut rows = self.rows(*index);
                if matches!(kind, Kind::Req | Kind::Le | Kind::Lt) {
                    rows.reverse();
                }
                let has = |row: &Row| {
                    let Some(key) = key.as_ref().map(plain) else { return true };
                    let number = row[*index as usize];
                    match kind {
                        Kind::Eq | Kind::Req => number == key,
                        Kind::Ge => number >= key,
                        Kind::Gt => number > key,
                        Kind::Le => number <= key,
                        _ => number < key,
                    }
                };
                Ok(rows.into_iter().filter(has).take(*limit as usize).collect())
            }
        }
    }
}
