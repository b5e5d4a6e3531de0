//! Methods for many tasks in one call, each one transaction: `put_many`, `take_many`, `ack_many`. Not in the rock.

use lycosa_proto::err;
use lycosa_proto::error::Result;
use lycosa_proto::msgpack::{self, write_array, write_bool};

use super::methods::Call;
use super::operations::{self, NewTask};
use super::times;
use super::work::Work;
use crate::db::Tuple;
use crate::procs::Values;

/// The most tasks of one call.
const COUNT_MAX: usize = 1000;

impl Call {
    /// `put_many(tasks, options)`: an array of `[id, state, data]`, or nil if there was no room for all in time. Each of
    /// `tasks` is the arguments of a `put`: `[data]` or `[data, options]`; without options of its own it has those of the
    /// call.
    pub(super) fn put_many(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let options = self.args.get(1);
        let mut tasks = Vec::new();
        for task in self.array()? {
            if !matches!(msgpack::read_array(&mut { task }), Ok(1 | 2)) {
                return Err(err!(PROC_LUA, "each task must be [data] or [data, options]"));
            }
            let mut arguments = msgpack::items(task);
            let (data, own) = (arguments.next(), arguments.next());
            tasks.push(NewTask { data, options: own.or(options) });
        }
        let capacity = self.tube.capacity().filter(|capacity| *capacity < tasks.len() as u64);
        if let Some(capacity) = capacity {
            let text = format!("a capacity of {capacity} has no room for {} tasks", tasks.len());
            return Err(err!(PROC_LUA, text));
        }
        let tasks = operations::put_many(work, &tasks)?;
        Ok(tasks.map(|tasks| self.reply_many(&tasks)))
    }

    /// `take_many(count, timeout)`: an array of `[id, 't', data]`, as many as can be taken at once, at most `count`. Waits as
    /// `take` does until there is one; then it is empty.
    pub(super) fn take_many(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let count = self.args.get(0).and_then(times::number).unwrap_or(0.0) as usize;
        if !(1..=COUNT_MAX).contains(&count) {
            let text = format!("the number of tasks must be from 1 to {COUNT_MAX}");
            return Err(err!(PROC_LUA, text));
        }
        let tasks = operations::take_many(work, count, self.connection_id())?;
        Ok(tasks.map(|tasks| self.reply_many(&tasks)))
    }

    /// `ack_many(ids)`: an array that says of each id whether its task was acknowledged; those that the session does not
    /// hold were not.
    pub(super) fn ack_many(&self, work: &mut Work<'_, '_>) -> Result<Option<Values>> {
        let ids: Vec<&[u8]> = self.array()?.collect();
        let done = operations::ack_many(work, &ids, self.connection_id())?;
        Ok(Some(Values::one(|out| {
            write_array(out, done.len());
            done.iter().for_each(|is_done| write_bool(out, *is_done));
        })))
    }

    /// The first argument, an array that is not too long.
    fn array(&self) -> Result<impl Iterator<Item = &[u8]>> {
        let array = self.args.get(0).filter(|array| {
            msgpack::read_array(&mut { *array }).is_ok_and(|len| len as usize <= COUNT_MAX)
        });
        match array {
            Some(array) => Ok(msgpack::items(array)),
            None => {
                let text = format!("the first argument must be an array of at most {COUNT_MAX}");
                Err(err!(PROC_LUA, text))
            }
        }
    }

    /// An array of tasks.
    pub(super) fn reply_many(&self, tasks: &[Tuple]) -> Values {
        Values::one(|out| {
            write_array(out, tasks.len());
            tasks.iter().for_each(|task| self.tube.write(task, None, out));
        })
    }
}
