//! SELECT: the usual one, one of a page, one that walks far.
//!
//! Source: protocol.md §4, §16; Tarantool `src/box/iproto.cc` tx_process_select.

use lycosa_proto::error::Result;
use lycosa_proto::iproto::{Body, Data, Header, Reply, key};

use super::{Run, resolve_index, resolve_space};
use crate::db::index::After;
use crate::db::schema::space_id::SESSION_SETTINGS;
use crate::db::select::{Page, WALK_MAX};
use crate::db::{Select, Tuple};

impl Run<'_> {
    #[inline]
    pub(in crate::server) fn select(&mut self, header: &Header<'_>) -> Result<()> {
        let (select, page) = self.parse_select(header)?;
        if !page.is_whole() {
            return self.select_page(header, &select, &page);
        }
        let session = self.session;
        let uid = session.uid();
        let (db, out) = self.split_read();
        let reply = Reply::start(out, 0, header.sync, db.schema_version());
        let data = Data::start(out);
        if select.space_id == SESSION_SETTINGS {
            let settings = session.settings.lock();
            let each = |row: &Tuple| out.extend_from_slice(row.data());
            let count = settings.select(db, uid, &select, each)?;
            data.finish(out, count);
            reply.finish(out);
            return Ok(());
        }
        let walked = Select { limit: select.limit.min(WALK_MAX + 1), ..select };
        let mut count = 0;
        if select.offset <= WALK_MAX {
            count = db.select(uid, &walked, |tuple| out.extend_from_slice(tuple.data()))?;
        }
        if (count > WALK_MAX && select.limit > count) || select.offset > WALK_MAX {
            reply.cancel(out);
            return self.long_select(header, &select, &page);
        }
        data.finish(out, count);
        reply.finish(out);
        Ok(())
    }

    /// A SELECT that begins after a position or asks for one.
    #[cold]
    fn select_page(
        &mut self,
        header: &Header<'_>,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<()> {
        if select.offset.saturating_add(select.limit) > WALK_MAX {
            return self.long_select(header, select, page);
        }
        let uid = self.session.uid();
        let (db, out) = self.split_read();
        let reply = Reply::start(out, 0, header.sync, db.schema_version());
        let data = Data::start(out);
        let selected =
            db.select_page(uid, select, page, |tuple| out.extend_from_slice(tuple.data()))?;
        data.finish_page(out, selected.count, selected.position.as_deref());
        reply.finish(out);
        Ok(())
    }

    /// What a SELECT asks for. Takes the lock, if it is not held.
    #[inline]
    pub(in crate::server) fn parse_select<'h>(
        &mut self,
        header: &Header<'h>,
    ) -> Result<(Select<'h>, Page<'h>)> {
        let body = Body::decode(header.body)?;
        body.require(&[key::SPACE_ID, key::LIMIT, key::KEY])?;
        self.check_version(header)?;
        let db = self.db();
        let space_id = resolve_space(db, &body)?;
        let select = Select {
            space_id,
            index_id: resolve_index(db, space_id, &body)?,
            iterator: body.iterator,
            offset: body.offset,
            limit: body.limit,
            key: body.key.unwrap_or(&[0x90]),
        };
        Ok((select, page_of(&body)))
    }

    /// A SELECT over many tuples: takes a read view and lets go of the lock.
    #[cold]
    fn long_select(
        &mut self,
        header: &Header<'_>,
        select: &Select<'_>,
        page: &Page<'_>,
    ) -> Result<()> {
        let uid = self.session.uid();
        let db = self.db();
        let version = db.schema_version();
        let view = db.long_select(uid, select, page)?;
        self.release();
        let reply = Reply::start(self.out, 0, header.sync, version);
        let data = Data::start(self.out);
        let each = |tuple: &Tuple| self.out.extend_from_slice(tuple.data());
        let selected = match &view {
            Some(view) => view.run(select, each),
            None => self.shared.instance.read().select_page(uid, select, page, each)?,
        };
        data.finish_page(self.out, selected.count, selected.position.as_deref());
        reply.finish(self.out);
        Ok(())
    }
}

/// The page that a SELECT asks for: AFTER_POSITION wins over AFTER_TUPLE; an empty one is before everything.
#[inline]
fn page_of<'a>(body: &Body<'a>) -> Page<'a> {
    let after = match body.after_position {
        Some(position) => Some(After::Position(position)).filter(|_| !position.is_empty()),
        None => body.after_tuple.map(After::Tuple),
    };
    Page { after, fetch_position: body.fetch_position }
}
