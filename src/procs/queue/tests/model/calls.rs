//! What a step calls: methods with the tasks that are meant, and `queue.identify`.

use lycosa_proto::msgpack::{write_array, write_str};
use uuid::Uuid;

use super::call::{Method, PutOptions};
use super::play::{Player, same};
use super::spec::Model;
use super::steps::{Action, Pick, Step};

impl Player<'_> {
    /// The method that a step means in a tube of a model.
    pub(super) fn method(&self, step: &Step, model: &Model, tube_no: usize) -> Method {
        let id = |pick: &Pick| self.pick(model, tube_no, *pick);
        let data = self.next_call;
        match &step.action {
            Action::Put(options) => Method::Put(data.to_string(), options.clone()),
            Action::Take(patience) => Method::Take(*patience),
            Action::Ack(pick) => Method::Ack(id(pick)),
            Action::Release(pick, delay) => Method::Release(id(pick), *delay),
            Action::Touch(pick, delta) => Method::Touch(id(pick), *delta),
            Action::Peek(pick) => Method::Peek(id(pick)),
            Action::Bury(pick) => Method::Bury(id(pick)),
            Action::Delete(pick) => Method::Delete(id(pick)),
            Action::Kick(count) => Method::Kick(*count),
            Action::ReleaseAll => Method::ReleaseAll,
            Action::Truncate => Method::Truncate,
            Action::PutMany(tasks, options) => {
                let task = |(no, own): (usize, &Option<PutOptions>)| {
                    (format!("[{data}, {no}]"), own.clone())
                };
                Method::PutMany(tasks.iter().enumerate().map(task).collect(), options.clone())
            }
            Action::TakeMany(count, patience) => Method::TakeMany(*count, *patience),
            Action::AckMany(picks) => Method::AckMany(picks.iter().map(id).collect()),
            _ => Method::Drop,
        }
    }

    /// The id of a task that is meant; one that is not there if there is none.
    fn pick(&self, model: &Model, tube_no: usize, pick: Pick) -> u64 {
        let tasks = &model.tubes[tube_no].tasks;
        let meant = tasks.iter().filter(|task| task.state == pick.state || pick.state == ' ');
        let meant: Vec<u64> = meant.map(|task| task.id).collect();
        if meant.is_empty() { 3 } else { meant[pick.number % meant.len()] }
    }

    /// Makes a connection join the session of another.
    pub(super) async fn join(&mut self, connection: u64, other: u64) -> Result<(), String> {
        self.model.identify(other);
        let uuid = self.identify(other, None).await?;
        let session = self.model.session_of(other).expect("it has one now");
        let joined = self.identify(connection, Some(&uuid)).await?;
        assert!(self.model.join(connection, session), "a session of a connection is there");
        same("identify", &joined, &uuid)
    }

    /// Makes a connection join a session that there has been once.
    pub(super) async fn come_back(&mut self, connection: u64, number: usize) -> Result<(), String> {
        if self.uuids.is_empty() {
            return Ok(());
        }
        let (session, uuid) = self.uuids[number % self.uuids.len()].clone();
        let given = self.identify(connection, Some(&uuid)).await;
        let text = Uuid::from_slice_le(&uuid).expect("a UUID");
        let wanted = match self.model.join(connection, session) {
            true => Ok(uuid),
            false => Err(format!("The UUID {text} is unknown.")),
        };
        same("identify", &given, &wanted)
    }

    async fn identify(&self, connection: u64, uuid: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let mut args = Vec::new();
        write_array(&mut args, usize::from(uuid.is_some()));
        uuid.into_iter().for_each(|uuid| write_str(&mut args, uuid));
        let call = self.server.begin(connection, "queue.identify", &args);
        let values = self.finish(call.expect("a procedure").as_mut()).await;
        // A string of 16 bytes, after its one byte of length.
        values.map(|values| values.bytes()[1..].to_vec()).map_err(|error| error.to_string())
    }
}
