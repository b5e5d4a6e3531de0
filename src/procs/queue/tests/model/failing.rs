//! Attempts that fail, as the specification has them, and where tasks go whose last one has.

use super::call::PutOptions;
use super::spec::Model;

impl Model {
    /// An attempt on a TAKEN task has failed; gives what a client sees of the task then.
    pub(super) fn fail(&mut self, tube_no: usize, id: u64, delay: u64, reason: &str) -> String {
        let now = self.now;
        let event = if reason == "ttr" { "ttr" } else { "release" };
        let tube = &mut self.tubes[tube_no];
        let (definition, number) = (tube.definition.clone(), tube.number);
        let task = tube.find(id).expect("a task that is held is there");
        let is_dead = definition.is_timed() && task.death() <= now;
        let Some(rule) = definition.rule.as_ref().filter(|_| !is_dead) else {
            tube.give_back(now, id, delay, event);
            return tube.find(id).expect("it is back").shown();
        };
        task.attempts += 1;
        let task = task.clone();
        if task.attempts < rule.max_attempts {
            tube.give_back(now, id, delay, event);
            return tube.find(id).expect("it is back").shown();
        }
        tube.count(event);
        let wanted = rule.dead_letter.as_ref();
        let mut others = self.tubes.iter_mut();
        let target = others.find(|other| Some(&other.definition.name) == wanted);
        if let Some(target) = target.filter(|target| target.has_room(1)) {
            let options = PutOptions {
                pri: definition.is_timed().then_some(task.pri),
                utube: definition.has_lanes().then_some(task.utube.clone()),
                ..PutOptions::default()
            };
            let data = match rule.keeps_origin {
                true => format!(
                    r#"{{"tube": "{}", "task_id": {id}, "attempts": {}, "reason": "{reason}", "data": {}}}"#,
                    definition.name, task.attempts, task.data
                ),
                false => task.data.clone(),
            };
            target.put(now, &data, &options);
            let tube_no = self.tube_no(number).expect("it was there just now");
            self.tubes[tube_no].remove(id);
            self.tubes[tube_no].count("dead_letters");
            return task.shown_as('-');
        }
        let tube = &mut self.tubes[tube_no];
        tube.find(id).expect("it is there").attempts = 0;
        tube.bury(id, now).expect("it is there")
    }

    /// Does what is due in a tube.
    pub(super) fn pass(&mut self, tube_no: usize) {
        let now = self.now;
        for state in ['~', 't', 'r', '!'] {
            while let Some(id) = self.tubes[tube_no].first_due(state, now) {
                match state {
                    '~' => self.tubes[tube_no].give_back(now, id, 0, "delay"),
                    't' => drop(self.fail(tube_no, id, 0, "ttr")),
                    _ => self.tubes[tube_no].end(id),
                }
            }
        }
    }
}
