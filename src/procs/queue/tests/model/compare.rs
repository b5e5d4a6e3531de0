//! Compares everything that the server keeps with the model.

use std::collections::BTreeMap;

use lycosa_proto::msgpack::Token;

use super::play::{Player, same};
use crate::procs::queue::row;
use crate::procs::queue::tests::text;

/// Rows of `_queue_taken_2`: tube, task, connection, session's UUID.
type Taken = (u64, u64, u64, Vec<u8>);

impl Player<'_> {
    /// `calls` of the statistics of a tube, `done` and `dead_letters`.
    pub(super) async fn counts(&self, tube: &str) -> BTreeMap<String, u64> {
        let args = format!(r#"["{tube}"]"#);
        let mut call = self.server.running(1, "queue.statistics", &args);
        let found = text(&self.finish(call.as_mut()).await.expect("statistics"));
        let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
        let mut numbers = found[0]["calls"].as_object().expect("a map").clone();
        numbers.insert("done".to_owned(), found[0]["tasks"]["done"].clone());
        numbers.insert("dead_letters".to_owned(), found[0]["dead_letters"].clone());
        let number = |value: serde_json::Value| value.as_u64().expect("a number");
        numbers.into_iter().map(|(name, value)| (name, number(value))).collect()
    }

    /// Compares it all.
    ///
    /// # Errors
    /// What differs.
    pub(super) async fn compare(&mut self) -> Result<(), String> {
        self.learn_sessions()?;
        for tube in &self.model.tubes {
            let name = &tube.definition.name;
            same(name, &self.server.rows(name), &tube.rows())?;
            self.server.check_counts(name);
            if tube.definition.is_buffered {
                let rows = self.server.rows(&format!("{name}_ready_buffer"));
                same("ready buffer", &rows, &tube.buffer_rows())?;
            }
            if tube.definition.rule.is_some() {
                let rows = self.server.rows(&format!("{name}_attempts"));
                same("attempts", &rows, &tube.attempts_rows())?;
            }
            let counts = self.counts(name).await;
            same(&format!("counts of {name}"), &counts, &tube.counts_of_all())?;
        }
        let taken = self.model.held().into_iter().map(|(tube, task, by, session)| {
            let session = self.model.sessions.iter().find(|s| s.number == session);
            let uuid = session.expect("a holder is a session that is there").uuid.clone();
            (tube, task, by, uuid)
        });
        same("taken", &self.taken_rows(), &taken.collect::<Vec<Taken>>())?;
        let session = |s: &super::sessions::Session| {
            (s.uuid.clone(), s.until.unwrap_or(0), s.until.is_none())
        };
        let mut wanted: Vec<_> = self.model.sessions.iter().map(session).collect();
        wanted.sort_unstable();
        same("sessions", &self.session_rows(), &wanted)
    }

    fn taken_rows(&self) -> Vec<Taken> {
        let db = self.server.instance.read();
        let rows = db.space_by_name("_queue_taken_2").expect("a space");
        let rows = rows.primary().expect("an index").iter();
        let number = row::uint;
        rows.map(|row| {
            (number(row, 0), number(row, 1), number(row, 2), row::bytes(row, 3).to_vec())
        })
        .collect()
    }

    /// Rows of `_queue_shared_sessions`: UUID, end, whether it is active.
    fn session_rows(&self) -> Vec<(Vec<u8>, u64, bool)> {
        let db = self.server.instance.read();
        let rows = db.space_by_name("_queue_shared_sessions").expect("a space");
        let rows = rows.primary().expect("an index").iter();
        let is_active = |row| row::token(row, 2) == Token::Bool(true);
        rows.map(|row| (row::bytes(row, 0).to_vec(), row::uint(row, 1), is_active(row))).collect()
    }

    /// Checks who belongs to which session, and keeps the UUIDs of new ones.
    fn learn_sessions(&mut self) -> Result<(), String> {
        let mut rows: BTreeMap<u64, Vec<u8>> = {
            let db = self.server.instance.read();
            let rows = db.space_by_name("_queue_session_ids").expect("a space");
            let rows = rows.primary().expect("an index").iter();
            rows.map(|row| (row::uint(row, 0), row::bytes(row, 1).to_vec())).collect()
        };
        for session in &mut self.model.sessions {
            for connection in &session.connections {
                let uuid = rows.remove(connection).unwrap_or_default();
                if session.uuid.is_empty() && !uuid.is_empty() {
                    session.uuid = uuid.clone();
                    self.uuids.push((session.number, uuid.clone()));
                }
                same("session of a connection", &uuid, &session.uuid)?;
            }
        }
        same("connections of no session", &rows, &BTreeMap::new())
    }
}
