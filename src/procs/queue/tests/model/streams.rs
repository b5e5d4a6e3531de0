//! Calls in the open transaction of a stream.
//!
//! What the specification says is simple: a transaction that commits has seen and done what it would have seen and done had
//! all of its calls been made at that moment; one that does not has done nothing, but for what was counted. So the model
//! remembers the calls and makes them when it commits. That a transaction fails is allowed if somebody else has changed a
//! tube that it has used.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use super::call::{Method, Patience};
use super::play::{Player, REFUSED, reply_of, same};
use super::spec::{Model, Reply};
use super::steps::{Action, Step};
use super::tube::Tube;
use crate::instance::now;
use crate::procs::queue::tests::{Args, Context, Module, mp};
use crate::procs::{BeginOptions, StreamTransaction};

/// Codes of errors that say that a transaction is aborted: conflict, a definition that has changed.
const ABORTED: [u32; 2] = [97, 154];

/// A call that was made in a transaction.
struct Made {
    call: u64,
    now: u64,
    /// The name of its tube, which may be another tube by the end.
    tube: String,
    method: Method,
    reply: Reply,
}

/// An open transaction.
pub(super) struct Opened {
    connection: u64,
    stream: Arc<StreamTransaction>,
    /// What it sees as long as nobody else does anything.
    view: Model,
    calls: Vec<Made>,
    /// It has been told that it is aborted.
    is_doomed: bool,
    /// Numbers of tubes that others have changed.
    changed: BTreeSet<u64>,
    /// Others have changed definitions, sessions or who holds what, which each call reads whole, or the journal has refused
    /// something.
    is_shaken: bool,
}

impl Opened {
    /// Nobody else has done anything since it began.
    fn is_alone(&self) -> bool {
        self.changed.is_empty() && !self.is_shaken
    }

    /// True if it may fail: what it has used has been changed by others.
    fn may_fail(&self, model: &Model) -> bool {
        let is_used =
            |tube: &&Tube| self.calls.iter().any(|made| made.tube == tube.definition.name);
        let mut used: BTreeSet<u64> =
            model.tubes.iter().filter(is_used).map(|tube| tube.number).collect();
        for tube in &model.tubes {
            let rule = tube.definition.rule.as_ref().filter(|_| used.contains(&tube.number));
            let target = rule.and_then(|rule| rule.dead_letter.as_ref());
            let target = model.tubes.iter().find(|other| Some(&other.definition.name) == target);
            used.extend(target.map(|target| target.number));
        }
        self.is_shaken || !used.is_disjoint(&self.changed)
    }
}

impl Player<'_> {
    fn opened(&self, connection: u64) -> Option<usize> {
        self.opened.iter().position(|opened| opened.connection == connection)
    }

    /// True if a step is to be done in the connection's open transaction.
    pub(super) fn is_inside(&self, step: &Step, connection: u64) -> bool {
        step.is_inside && step.action.is_of_tasks() && self.opened(connection).is_some()
    }

    /// Opens a transaction, unless one is open.
    pub(super) fn open_transaction(&mut self, connection: u64) {
        if self.opened(connection).is_some() {
            return;
        }
        let (instance, stream) = (&self.server.instance, Arc::new(StreamTransaction::default()));
        let options = BeginOptions::defaults(instance);
        stream.begin(instance, &mut instance.write(), options).expect("none is open");
        self.opened.push(Opened {
            connection,
            stream,
            view: self.model.clone(),
            calls: Vec::new(),
            is_doomed: false,
            changed: BTreeSet::new(),
            is_shaken: false,
        });
    }

    /// A method of a tube in the open transaction. Nothing waits there.
    pub(super) async fn call_inside(&mut self, step: &Step, connection: u64) -> Result<(), String> {
        let at = self.opened(connection).expect("one is open");
        let mut opened = self.opened.remove(at);
        self.next_call += 1;
        let tube_no = step.tube % opened.view.tubes.len();
        let mut method = self.method(step, &opened.view, tube_no);
        match &mut method {
            Method::Take(patience) | Method::TakeMany(_, patience) => *patience = Patience::None,
            Method::Put(_, options) | Method::PutMany(_, options) => {
                options.timeout = Patience::None;
            }
            _ => {}
        }
        let name = opened.view.tubes[tube_no].definition.name.clone();
        let (method_name, args) = method.request();
        let context =
            Context { stream: Some(opened.stream.clone()), ..self.server.context(connection) };
        let procedure = format!("queue.tube.{name}:{method_name}");
        let call = self.server.queue.call(&context, &procedure, Args::new(&mp(&args)));
        let given = self.finish(call.expect("a procedure").as_mut()).await;
        self.finish(pin!(context.settle())).await.map_err(|error| error.to_string())?;
        opened.is_doomed |= given.as_ref().is_err_and(|error| ABORTED.contains(&error.code()));
        let reply = reply_of(given).ok_or("the journal was asked")?;
        opened.view.now = self.model.now;
        for (tube, known) in opened.view.tubes.iter_mut().zip(&self.model.tubes) {
            // Others count while they are in transactions, too.
            tube.counts = known.counts.clone();
        }
        let wanted = opened.view.call(self.next_call, connection, tube_no, &method);
        let is_alone = opened.is_alone();
        if is_alone {
            same(&procedure, &Some(&reply), &wanted.as_ref())?;
        }
        for tube in 0..self.model.tubes.len() {
            let counts = self.counts(&self.model.tubes[tube].definition.name).await;
            if is_alone {
                let seen = opened.view.tubes[tube].counts_of_all();
                same("counts in a transaction", &counts, &seen)?;
            }
            self.model.tubes[tube].recount(&counts);
        }
        let (call, now) = (self.next_call, self.model.now);
        opened.calls.push(Made { call, now, tube: name, method, reply });
        self.opened.push(opened);
        Ok(())
    }

    /// Rolls the connection's transaction back, if one is open.
    pub(super) fn roll_back(&mut self, connection: u64) {
        if let Some(at) = self.opened(connection) {
            let opened = self.opened.remove(at);
            opened.stream.roll_back(&mut self.server.instance.write());
        }
    }

    /// Commits the connection's transaction, if one is open.
    pub(super) async fn commit(&mut self, connection: u64, is_refused: bool) -> Result<(), String> {
        let Some(at) = self.opened(connection) else { return Ok(()) };
        let opened = self.opened.remove(at);
        let (instance, before) = (self.server.instance.clone(), self.all_rows());
        let committed = opened.stream.commit(&mut instance.write(), now(), false);
        let settled = match committed {
            Ok(ticket) => self.finish(pin!(instance.journal().wait(ticket))).await,
            Err(error) => Err(error),
        };
        drop(instance);
        match settled {
            Ok(()) if opened.is_doomed => Err("what was aborted is committed".to_owned()),
            // One that has only read may have read what others have changed since.
            Ok(()) if before == self.all_rows() && !opened.is_alone() => Ok(()),
            Ok(()) => self.replay(&opened),
            Err(error) if error.code() == REFUSED && is_refused => Ok(()),
            Err(error) if ABORTED.contains(&error.code()) && opened.may_fail(&self.model) => Ok(()),
            Err(error) => Err(format!("COMMIT: {error}")),
        }
    }

    /// Makes the calls of a transaction now.
    fn replay(&mut self, opened: &Opened) -> Result<(), String> {
        let mut model = self.model.clone();
        for made in &opened.calls {
            model.now = made.now;
            let is_it = |tube: &Tube| tube.definition.name == made.tube;
            let tube_no = model.tubes.iter().position(is_it).expect("a tube of this name");
            let reply = model.call(made.call, opened.connection, tube_no, &made.method);
            let what = format!("reply of {:?}, made again", made.method);
            same(&what, &Some(&made.reply), &reply.as_ref())?;
        }
        model.now = self.model.now;
        // All was counted when it was done.
        for (tube, known) in model.tubes.iter_mut().zip(&self.model.tubes) {
            tube.counts = known.counts.clone();
        }
        self.model = model;
        // The timer looks at what the transaction was at work on before it looks at anything else.
        self.model.look_at_tubes();
        Ok(())
    }

    /// Every row by which a transaction can be seen.
    fn all_rows(&self) -> Vec<Vec<String>> {
        let tubes = self.model.tubes.iter();
        let names = tubes.clone().map(|tube| tube.definition.name.clone());
        let counting = tubes.filter(|tube| tube.definition.rule.is_some());
        let attempts = counting.map(|tube| format!("{}_attempts", tube.definition.name));
        let own = ["_queue_session_ids", "_queue_taken_2"].map(str::to_owned);
        names.chain(attempts).chain(own).map(|name| self.server.rows(&name)).collect()
    }

    /// Notes for open transactions what a step has changed.
    pub(super) fn note_changes(&mut self, before: &Model, step: &Step) {
        let now = &self.model;
        for opened in &mut self.opened {
            opened.is_shaken |= step.is_refused
                || matches!(step.action, Action::Truncate | Action::Drop)
                || before.created != now.created
                || before.sessions != now.sessions
                || before.held() != now.held();
            for tube in &before.tubes {
                let known = now.tubes.iter().find(|other| other.number == tube.number);
                match known {
                    // What was changed and changed back was counted.
                    Some(known) if known.tasks == tube.tasks && known.counts == tube.counts => {}
                    _ => drop(opened.changed.insert(tube.number)),
                }
            }
        }
    }
}
