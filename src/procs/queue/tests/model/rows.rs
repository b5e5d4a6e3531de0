//! The rows that a tube of the model should have.

use std::collections::BTreeMap;

use super::task::Task;
use super::tube::Tube;

impl Tube {
    /// The tasks by id.
    fn by_id(&self) -> Vec<&Task> {
        let mut tasks: Vec<&Task> = self.tasks.iter().collect();
        tasks.sort_by_key(|task| task.id);
        tasks
    }

    /// The rows of the tube's space.
    pub(super) fn rows(&self) -> Vec<String> {
        let is_timed = self.definition.is_timed();
        let row = |task: &Task| {
            let times = [task.next_event, task.ttl, task.ttr, task.pri, task.created];
            let mut fields = vec![task.id.to_string(), format!("\"{}\"", task.state)];
            fields.extend(times.iter().filter(|_| is_timed).map(u64::to_string));
            fields.extend(self.definition.has_lanes().then(|| format!("\"{}\"", task.utube)));
            fields.push(task.data.clone());
            format!("[{}]", fields.join(", "))
        };
        self.by_id().into_iter().map(row).collect()
    }

    /// The rows of failed attempts.
    pub(super) fn attempts_rows(&self) -> Vec<String> {
        let tried = self.by_id().into_iter().filter(|task| task.attempts > 0);
        tried.map(|task| format!("[{}, {}]", task.id, task.attempts)).collect()
    }

    /// The rows of the side space: the first READY task of each sub-queue in which none is held.
    pub(super) fn buffer_rows(&self) -> Vec<String> {
        let mut firsts: BTreeMap<&str, &Task> = BTreeMap::new();
        for task in self.tasks.iter().filter(|task| task.state == 'r') {
            if !self.is_lane_busy(&task.utube) {
                let first = firsts.entry(&task.utube).or_insert(task);
                if task.rank() < first.rank() {
                    *first = task;
                }
            }
        }
        let mut firsts: Vec<&Task> = firsts.into_values().collect();
        firsts.sort_by_key(|task| task.id);
        let row = |task: &Task| match self.definition.is_timed() {
            true => format!(r#"[{}, "{}", {}]"#, task.id, task.utube, task.pri),
            false => format!(r#"[{}, "{}"]"#, task.id, task.utube),
        };
        firsts.into_iter().map(row).collect()
    }
}
