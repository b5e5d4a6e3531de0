//! The rows of a transaction, from the statements that make them to the journal.

use lycosa_proto::iproto::key;
use lycosa_proto::msgpack::{write_map, write_uint};
use lycosa_proto::xrow::{GROUP_LOCAL, Header};

use crate::db::journal::Vclock;
use crate::db::schema::space_def::SpaceDef;
use crate::db::space::Space;
use crate::db::tuple::Tuple;

/// A row that waits for its LSN.
struct Row {
    row_type: u64,
    group_id: u32,
    /// Where its body ends in [`Rows::bodies`].
    end: usize,
}

/// Rows in the order of their statements.
#[derive(Default)]
pub(in crate::db) struct Rows {
    rows: Vec<Row>,
    /// The bodies one after another.
    bodies: Vec<u8>,
}

impl Rows {
    /// The number of rows.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// True without rows.
    #[inline]
    pub(in crate::db) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// True if no other instance is to get any of them.
    pub(in crate::db) fn is_fully_local(&self) -> bool {
        self.rows.iter().all(|row| row.group_id == GROUP_LOCAL)
    }

    /// Bytes of the bodies.
    pub(in crate::db) fn bytes(&self) -> usize {
        self.bodies.len()
    }

    /// Adds a row whose body `write` appends.
    #[inline]
    pub(super) fn push(&mut self, row_type: u64, group_id: u32, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bodies);
        self.rows.push(Row { row_type, group_id, end: self.bodies.len() });
    }

    /// Drops all rows but the first `len`.
    pub(super) fn truncate(&mut self, len: usize) {
        self.rows.truncate(len);
        let end = self.rows.last().map_or(0, |row| row.end);
        self.bodies.truncate(end);
    }

    /// Drops all rows.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.bodies.clear();
    }

    /// Moves the rows of `other` behind these.
    pub(in crate::db) fn append(&mut self, other: &mut Self) {
        let from = self.bodies.len();
        self.bodies.append(&mut other.bodies);
        let moved = other.rows.drain(..).map(|row| Row { end: row.end + from, ..row });
        self.rows.extend(moved);
    }

    /// Gives the rows their LSNs, encodes them into `out` and drops them. The rows of one transaction share the LSN of its
    /// first global row as TSN.
    pub(super) fn encode(
        &mut self,
        vclock: &mut Vclock,
        replica_id: u32,
        now: f64,
        out: &mut Vec<u8>,
    ) {
        let originator = |group_id| if group_id == GROUP_LOCAL { 0 } else { replica_id };
        let is_global = |row: &&Row| row.group_id != GROUP_LOCAL;
        let first = self.rows.iter().find(is_global).or(self.rows.first());
        let tsn = first.map_or(0, |row| vclock.get(originator(row.group_id)) + 1);
        let mut start = 0;
        let last = self.rows.len().saturating_sub(1);
        for (no, row) in self.rows.iter().enumerate() {
            let originator = originator(row.group_id);
            let lsn = vclock.get(originator) + 1;
            vclock.set(originator, lsn);
            let header = Header {
                row_type: row.row_type,
                replica_id: originator,
                group_id: row.group_id,
                lsn,
                timestamp: now,
                tsn,
                is_commit: no == last,
                flags: 0,
            };
            header.write(out);
            out.extend_from_slice(&self.bodies[start..row.end]);
            start = row.end;
        }
        self.clear();
    }
}

/// Writes space and key of a DELETE or an UPDATE: the primary key of the tuple that was found, else what the request had.
/// `more` keys follow in the map.
pub(super) fn write_key(
    body: &mut Vec<u8>,
    space: Option<&Space>,
    index_id: u32,
    old: Option<&Tuple>,
    key_bytes: &[u8],
    more: usize,
) {
    let def: Option<&SpaceDef> = space.map(|space| &*space.def);
    let primary = space.and_then(|space| space.primary().ok());
    let is_rebound = index_id == 0 || (old.is_some() && primary.is_some());
    write_map(body, 2 + more + usize::from(!is_rebound));
    write_uint(body, key::SPACE_ID);
    write_uint(body, u64::from(def.map_or(0, |def| def.id)));
    if !is_rebound {
        write_uint(body, key::INDEX_ID);
        write_uint(body, u64::from(index_id));
    }
    // UPDATE has INDEX_BASE before KEY only by convention of order: readers take any.
    write_uint(body, key::KEY);
    match (old, primary) {
        (Some(old), Some(primary)) if index_id != 0 => primary.def.key_def.extract(old, body),
        _ => body.extend_from_slice(key_bytes),
    }
}
