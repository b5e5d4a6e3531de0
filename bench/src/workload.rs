//! The workloads: which requests a slot sends, in which order, and what must come back.

use std::fmt;

use clap::ValueEnum;

use crate::error::Error;
use crate::iproto::{ITERATOR_EQ, request_type};
use crate::reply::{self, Reply};
use crate::request::{self, Template};
use crate::schema::{SPACE, Spaces, TUBE};

/// A body that carries no rows, `{0x30: []}` with a count of 4 bytes; with rows it is longer.
const EMPTY_DATA_BYTES: usize = 7;

/// MsgPack of true.
const TRUE: u8 = 0xc3;

/// What a report says about the unit of the queue workload.
pub(crate) const QUEUE_NOTE: &str =
    "queue: put, take and ack are three requests; tasks per second are a third of req/s";

/// A named mix of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// PING.
    Ping,
    /// SELECT of one row by its primary key.
    Select,
    /// SELECT of one row by a unique secondary key of ten characters.
    SelectSecondary,
    /// REPLACE of a row that is there.
    Replace,
    /// INSERT with growing keys into an empty space.
    Insert,
    /// UPDATE that adds one to a field.
    Update,
    /// UPSERT of a row that is there: adds one to a field.
    Upsert,
    /// CALL of `box.space.bench_main:get`.
    Call,
    /// CALL of put, take and ack of a fifo tube, one after another.
    Queue,
    /// The same with a fifottl tube.
    QueueFifottl,
    /// The same with a utube, each task in a sub-queue of its own.
    QueueUtube,
    /// The same with a utubettl.
    QueueUtubettl,
    /// CALL of `auth.check_auth` with the session of a user with a password.
    CheckAuth,
    /// Half SELECT, half REPLACE: the canonical mix.
    Mix,
}

/// Where a step's key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The request has no key.
    None,
    /// Any row that was loaded.
    Random,
    /// A key never used before.
    Growing,
    /// The task taken by the step before.
    Task,
}

/// What a successful reply must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// An empty body map.
    Nothing,
    /// DATA without rows.
    NoRows,
    /// One row, whatever its key.
    Row,
    /// One row with the key of the request first.
    RowOfKey,
    /// One task; its id is the key of the next step.
    Task,
    /// True, and a user.
    User,
}

/// One kind of request of a workload.
pub(crate) struct Step {
    /// Its name in errors.
    pub(crate) name: &'static str,
    /// The prebuilt request.
    pub(crate) template: Template,
    /// Its key.
    pub(crate) key: KeySource,
    /// Its reply.
    expected: Expected,
}

/// What every slot of a measurement does.
pub(crate) struct Plan {
    /// The kinds of request, at least one.
    steps: Vec<Step>,
    /// Whether the steps follow one another and end together; else each is drawn at random.
    is_cycle: bool,
}

impl Workload {
    /// Every workload, in the order of reports.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// Builds the requests for a server on which `spaces` were created and `session` is a login session.
    pub(crate) fn plan(self, spaces: &Spaces, session: &str) -> Plan {
        let step = |name, template, key, expected| Step { name, template, key, expected };
        let row = |name, template| step(name, template, KeySource::Random, Expected::RowOfKey);
        let main = spaces.main;
        let by_key = || request::select(main, 0, ITERATOR_EQ, 1).array(1).key().finish();
        let replace = || request::write(request_type::REPLACE, main);
        let steps = match self {
            Self::Ping => {
                vec![step("ping", request::ping(), KeySource::None, Expected::Nothing)]
            }
            Self::Select => vec![row("select", by_key())],
            Self::SelectSecondary => {
                let select = request::select(spaces.secondary, 1, ITERATOR_EQ, 1);
                vec![row("select by secondary key", select.array(1).key_digits().finish())]
            }
            Self::Replace => vec![row("replace", replace())],
            Self::Insert => {
                let insert = request::write(request_type::INSERT, spaces.insert);
                vec![step("insert", insert, KeySource::Growing, Expected::RowOfKey)]
            }
            Self::Update => vec![row("update", request::update(main))],
            Self::Upsert => {
                let upsert = request::upsert(main);
                vec![step("upsert", upsert, KeySource::Random, Expected::NoRows)]
            }
            Self::Call => {
                let name = format!("box.space.{SPACE}:get");
                vec![row("call", request::call(&name).array(1).array(1).key().finish())]
            }
            Self::Queue | Self::QueueFifottl | Self::QueueUtube | Self::QueueUtubettl => {
                let call = |method| request::call(&format!("queue.tube.{TUBE}:{method}"));
                let has_lanes = matches!(self, Self::QueueUtube | Self::QueueUtubettl);
                let (put, key) = match has_lanes {
                    false => (call("put").array(1).row(), KeySource::None),
                    true => {
                        let options = call("put").array(2).row().map(1).str("utube");
                        (options.key_digits(), KeySource::Growing)
                    }
                };
                let put = put.finish();
                let take = call("take").array(1).uint(0u64).finish();
                let ack = call("ack").array(1).key().finish();
                vec![
                    step("put", put, key, Expected::Row),
                    step("take", take, KeySource::None, Expected::Task),
                    step("ack", ack, KeySource::Task, Expected::RowOfKey),
                ]
            }
            Self::CheckAuth => {
                let check = request::call("auth.check_auth").array(1).str(session).finish();
                vec![step("check_auth", check, KeySource::None, Expected::User)]
            }
            Self::Mix => vec![row("select", by_key()), row("replace", replace())],
        };
        Plan { steps, is_cycle: self.tube_type().is_some() }
    }

    /// The type of the tube that it needs.
    pub(crate) fn tube_type(self) -> Option<&'static str> {
        match self {
            Self::Queue => Some("fifo"),
            Self::QueueFifottl => Some("fifottl"),
            Self::QueueUtube => Some("utube"),
            Self::QueueUtubettl => Some("utubettl"),
            _ => None,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ping => "ping",
            Self::Select => "select",
            Self::SelectSecondary => "select-secondary",
            Self::Replace => "replace",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Call => "call",
            Self::Queue => "queue",
            Self::QueueFifottl => "queue-fifottl",
            Self::QueueUtube => "queue-utube",
            Self::QueueUtubettl => "queue-utubettl",
            Self::CheckAuth => "check-auth",
            Self::Mix => "mix",
        })
    }
}

impl Plan {
    /// The step at `index`.
    pub(crate) fn step(&self, index: usize) -> &Step {
        &self.steps[index]
    }

    /// The first step of a slot; `draw` gives a number below its argument.
    pub(crate) fn first(&self, draw: impl FnOnce(u32) -> u32) -> usize {
        if self.is_cycle || self.steps.len() == 1 {
            0
        } else {
            draw(self.steps.len() as u32) as usize
        }
    }

    /// The step that must follow `done` before the slot may stop, if any.
    pub(crate) fn following(&self, done: usize) -> Option<usize> {
        (self.is_cycle && done + 1 < self.steps.len()).then_some(done + 1)
    }
}

impl Step {
    /// Whether each reply must be decoded, since the next step needs what it says.
    pub(crate) fn yields_key(&self) -> bool {
        self.expected == Expected::Task
    }

    /// Checks what costs nothing: status, and whether rows came when they had to.
    pub(crate) fn check(&self, reply: &Reply<'_>) -> Result<(), Error> {
        if reply.status != 0 {
            return Err(reply.error(self.name).expect("the status says so"));
        }
        match self.expected {
            Expected::Row | Expected::RowOfKey | Expected::Task | Expected::User
                if reply.body.len() <= EMPTY_DATA_BYTES =>
            {
                Err(self.unexpected("no row in it"))
            }
            _ => Ok(()),
        }
    }

    /// Decodes the whole body and checks it against the request's key. Returns the key in it, if
    /// there is one.
    pub(crate) fn decode(&self, reply: &Reply<'_>, key: u32) -> Result<Option<u32>, Error> {
        if !reply::is_whole(reply.body) {
            return Err(Error::Malformed { problem: "its body is not one MsgPack value" });
        }
        if self.expected == Expected::Nothing {
            return Ok(None);
        }
        let (count, mut rows) =
            reply::data(reply.body).ok_or_else(|| self.unexpected("no DATA"))?;
        if self.expected == Expected::User {
            let is_user = count == 2 && rows.rest().first() == Some(&TRUE);
            return if is_user { Ok(None) } else { Err(self.unexpected("no user")) };
        }
        if self.expected == Expected::NoRows {
            return if count == 0 { Ok(None) } else { Err(self.unexpected("rows in it")) };
        }
        if count != 1 {
            return Err(self.unexpected(&format!("{count} rows instead of one")));
        }
        let found = rows.array().and_then(|_| rows.uint()).and_then(|id| u32::try_from(id).ok());
        let found = found.ok_or_else(|| self.unexpected("its row does not start with a key"))?;
        if self.expected == Expected::RowOfKey && found != key {
            return Err(self.unexpected(&format!("a row with key {found} instead of {key}")));
        }
        Ok(Some(found))
    }

    /// An error about a reply to this step.
    #[cold]
    fn unexpected(&self, problem: &str) -> Error {
        Error::Unexpected { request: self.name.to_owned(), problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Space ids as after `schema::create`.
    const SPACES: Spaces = Spaces { main: 512, secondary: 513, insert: 514 };

    /// A successful reply with this body.
    fn reply(body: &[u8]) -> Reply<'_> {
        Reply { status: 0, sync: 0, body, frame_size: 0 }
    }

    #[test]
    fn queue_steps_end_together() {
        let plan = Workload::Queue.plan(&SPACES, "s");
        assert_eq!(plan.first(|_| unreachable!()), 0);
        assert_eq!([0, 1, 2].map(|done| plan.following(done)), [Some(1), Some(2), None]);
        assert!(plan.step(1).yields_key());
    }

    #[test]
    fn mix_draws_its_steps() {
        let plan = Workload::Mix.plan(&SPACES, "s");
        assert_eq!(plan.first(|bound| bound - 1), 1);
        assert_eq!(plan.following(0), None);
    }

    #[test]
    fn rows_are_compared_with_the_request() {
        let plan = Workload::Select.plan(&SPACES, "s");
        let step = plan.step(0);
        let row = [0x81, 0x30, 0xdd, 0, 0, 0, 1, 0x92, 0xcc, 200, 0xa0];
        assert!(step.check(&reply(&row)).is_ok());
        assert_eq!(step.decode(&reply(&row), 200).unwrap(), Some(200));
        assert!(step.decode(&reply(&row), 201).is_err());
        assert!(step.decode(&reply(&row[..10]), 200).is_err());
        assert!(step.check(&reply(&row[..7])).is_err());
    }

    #[test]
    fn upsert_answers_without_rows() {
        let plan = Workload::Upsert.plan(&SPACES, "s");
        let empty = [0x81, 0x30, 0xdd, 0, 0, 0, 0];
        assert!(plan.step(0).check(&reply(&empty)).is_ok());
        assert_eq!(plan.step(0).decode(&reply(&empty), 1).unwrap(), None);
    }
}
