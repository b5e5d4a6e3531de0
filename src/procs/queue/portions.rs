//! Methods that may have much to do: `kick`, `truncate`, `release_all`. Each is one transaction for [`PORTION`] tasks, with the
//! database free between them, so nobody waits long for whoever kicks a million; in an open transaction of a stream all is
//! done in that one.
//!
//! If one fails, those before it are done.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::Token;

use super::methods::Call;
use super::operations;
use super::times;
use crate::db::access::{ADMIN, Privilege};
use crate::procs::Values;

/// The most tasks of one transaction.
pub(super) const PORTION: usize = 1000;

impl Call {
    /// `kick(count)`: how many tasks were kicked.
    ///
    /// # Errors
    /// PROC_LUA for a count that is none; those of the transactions.
    pub(super) async fn kick(self) -> Result<Values> {
        let count = match self.args.token(0) {
            Token::Nil | Token::Bool(false) => 1.0,
            _ => match self.args.get(0).and_then(times::number) {
                Some(count) => count,
                None => return Err(err!(PROC_LUA, "'for' limit must be a number")),
            },
        };
        // The cast takes the fraction off and stops at the ends.
        let count = count as u64;
        let mut kicked = 0;
        while kicked < count {
            let portion = (count - kicked).min(PORTION as u64) as usize;
            let done = self.run_as(ADMIN, |work| operations::kick(work, portion)).await?;
            kicked += done as u64;
            if done < portion {
                break;
            }
        }
        Ok(Values::from(kicked))
    }

    /// `truncate()`: no value. Asks for the right to write the tube's space.
    ///
    /// # Errors
    /// ACCESS_DENIED; those of the transactions.
    pub(super) async fn truncate(self) -> Result<Values> {
        let uid = self.context.session.uid();
        loop {
            let done = self.run_as(ADMIN, |work| {
                let db = work.txn.db();
                let def = &db.space(work.tube.space_id)?.def;
                db.check_space(uid, def, Privilege::WRITE)?;
                operations::truncate(work, PORTION)
            });
            if done.await? {
                return Ok(Values::none());
            }
        }
    }

    /// `release_all()`: no value. What is taken meanwhile may stay with whoever took it.
    ///
    /// # Errors
    /// Those of the transactions.
    pub(super) async fn release_all(self) -> Result<Values> {
        let mut from = Some(0);
        while let Some(id) = from {
            let released = self.run_as(ADMIN, |work| operations::release_held(work, id, PORTION));
            from = released.await?;
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let looked = self
                .run_as(ADMIN, |work| operations::release_orphans(work, after.as_deref(), PORTION))
                .await?;
            after = looked.next;
            if after.is_none() {
                return Ok(Values::none());
            }
        }
    }
}
