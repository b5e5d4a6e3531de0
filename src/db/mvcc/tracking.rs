//! What an interactive transaction reads by what it does, looks and statements alike.
//!
//! Source: Tarantool `src/box/memtx_tx.c` memtx_tx_track_read, memtx_tx_track_point, memtx_tx_track_gap.

use lycosa_proto::error::{Result, kind};
use lycosa_proto::iproto::{Iterator as Kind, request_type};

use crate::db::constraint;
use crate::db::database::Database;
use crate::db::index::Index;
use crate::db::key_def::Key;
use crate::db::schema::views;
use crate::db::select::{Select, is_point};
use crate::db::space::Space;
use crate::db::tuple::Tuple;
use crate::db::txn::{Statement, Undo};

use super::interactive::{Interactive, Status};

impl Interactive {
    /// Notes what a statement reads before it changes anything.
    pub(super) fn track_before(&mut self, db: &Database, statement: &Statement<'_>) {
        let Ok(space) = db.space(statement.space_id) else { return };
        self.track_constraints(db, space, statement.request_type != request_type::DELETE);
        match statement.request_type {
            request_type::UPDATE | request_type::DELETE => {
                if let Ok(index) = space.index(statement.index_id) {
                    self.track_key(space, index, &Key::from_array(statement.key));
                }
            }
            request_type::UPSERT => {
                let tuple = with_defaults(space, statement);
                let is_good = space.format.check(tuple.data(), &space.def).is_ok();
                if let (true, Ok(primary)) = (is_good, space.primary()) {
                    self.track_place(space, primary, &tuple);
                }
            }
            _ => {}
        }
    }

    /// Notes what any statement on a space may depend on: what refers to it and, if it puts a tuple, what its foreign keys
    /// refer to and what must not have one of the several keys of that tuple.
    fn track_constraints(&mut self, db: &Database, space: &Space, is_put: bool) {
        for child in db.references.get(&space.def.id).into_iter().flatten() {
            self.fresh.add_whole(*child, 0);
        }
        if !is_put {
            return;
        }
        for foreign in space.def.foreign_spaces() {
            self.fresh.add_whole(foreign, 0);
        }
        let indexes = space.indexes().iter();
        for index in indexes.filter(|index| index.def.is_unique && !index.has_one_key()) {
            self.fresh.add_whole(space.def.id, index.def.id);
        }
    }

    /// Notes what a statement has turned out to depend on.
    pub(super) fn track_after(
        &mut self,
        db: &Database,
        statement: &Statement<'_>,
        result: &Result<Option<Tuple>>,
    ) {
        let Ok(space) = db.space(statement.space_id) else { return };
        let is_insert = statement.request_type == request_type::INSERT;
        match result {
            // An INSERT needs its key to be free; a REPLACE does not care.
            Ok(Some(tuple)) if is_insert => {
                if self.writes.written_at(space, tuple).is_none()
                    && let Ok(primary) = space.primary()
                {
                    let hash = primary.def.key_def.hash(tuple);
                    self.fresh.add_key(space.def.id, primary.def.id, hash);
                }
            }
            Err(error) if error.kind() == kind::TUPLE_FOUND => {
                let is_put = is_insert || statement.request_type == request_type::REPLACE;
                if is_put && space.sequence.is_none() {
                    self.track_duplicate(space, &with_defaults(space, statement), is_insert);
                } else {
                    self.fresh.add_whole(space.def.id, 0);
                }
            }
            _ => {}
        }
    }

    /// Notes the duplicate that kept `tuple` out.
    fn track_duplicate(&mut self, space: &Space, tuple: &Tuple, is_insert: bool) {
        let unique = space.indexes().iter().filter(|index| index.def.is_unique);
        for index in unique.skip(usize::from(!is_insert)) {
            self.track_place(space, index, tuple);
            if index.find(tuple).is_some() {
                break;
            }
        }
    }

    /// Notes that the place of `tuple` in a unique index was looked at.
    fn track_place(&mut self, space: &Space, index: &Index, tuple: &Tuple) {
        let key_def = &index.def.key_def;
        if !index.has_one_key() {
            return self.fresh.add_whole(space.def.id, index.def.id);
        }
        if !key_def.includes(tuple) || key_def.has_nil(tuple) {
            return;
        }
        // What it finds of its own says nothing about others.
        let found = index.find(tuple).or((index.def.id == 0).then_some(tuple));
        if found.and_then(|found| self.writes.written_at(space, found)).is_none() {
            self.fresh.add_key(space.def.id, index.def.id, key_def.hash(tuple));
        }
    }

    /// Notes that a key of a unique index was looked for.
    fn track_key(&mut self, space: &Space, index: &Index, key: &Key<'_>) {
        let key_def = &index.def.key_def;
        if !index.has_one_key() {
            return self.fresh.add_whole(space.def.id, index.def.id);
        }
        if !index.def.is_unique || key_def.check_exact_key(key).is_err() {
            return;
        }
        let is_own = match index.get(key) {
            Some(tuple) => self.writes.written_at(space, tuple).is_some(),
            None => index.def.id == 0 && self.writes.has_key(space, index, key),
        };
        if !is_own {
            self.fresh.add_key(space.def.id, index.def.id, key_def.key_hash(key));
        }
    }

    /// Notes what statements depended on that have succeeded and are taken back: nobody else had the keys of their tuples.
    pub(super) fn track_undone(&mut self, db: &Database, undo: &[Undo]) {
        for change in undo {
            let Undo::Change { space_id, new: Some(new), .. } = change else { continue };
            let Ok(space) = db.space(*space_id) else { continue };
            for index in space.indexes().iter().skip(1).filter(|index| index.def.is_unique) {
                self.track_place(space, index, new);
            }
        }
    }

    /// Notes that a key of a unique index was looked for.
    pub(super) fn track_found(&mut self, space: &Space, index: &Index, key: &Key<'_>) {
        // A read view is one state whatever others do.
        if !matches!(self.status, Status::InReadView(_)) {
            self.track_key(space, index, key);
        }
    }

    /// Notes that a space was looked into, who knows where.
    pub(super) fn track_space(&mut self, space_id: u32) {
        if !matches!(self.status, Status::InReadView(_)) {
            self.fresh.add_whole(views::source(space_id).unwrap_or(space_id), 0);
        }
    }

    /// Notes what a SELECT has read; `last` is the tuple that it ended at because of its limit. Where its page begins is left
    /// out: it counts as read from the start.
    pub(super) fn track_select(&mut self, db: &Database, select: &Select<'_>, last: Option<Tuple>) {
        // A read view is one state whatever others do.
        if select.limit == 0 || matches!(self.status, Status::InReadView(_)) {
            return;
        }
        // A view has the indexes of its source.
        let space_id = views::source(select.space_id).unwrap_or(select.space_id);
        let (Ok(space), Ok(kind)) = (db.space(space_id), Kind::from_number(select.iterator)) else {
            return;
        };
        let Ok(index) = space.index(select.index_id) else { return };
        let key = Key::from_array(select.key);
        if is_point(index, kind, &key) {
            self.track_key(space, index, &key);
        } else {
            let walk = (kind, select.key);
            self.fresh.add_walk(space.def.id, index, walk, last, self.writes.keys());
        }
    }
}

/// The tuple of a statement as it is put: with the defaults of its space.
fn with_defaults(space: &Space, statement: &Statement<'_>) -> Tuple {
    let filled = match space.def.default_count {
        0 => None,
        // Without them the statement fails.
        _ => constraint::fill_defaults(&space.def, statement.tuple).ok().flatten(),
    };
    Tuple::probe(filled.as_deref().unwrap_or(statement.tuple))
}
