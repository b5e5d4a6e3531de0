//! A task as the specification has it.

/// A hundred years, in microseconds: what lasts longer lasts for ever.
pub(super) const CENTURY: u64 = 3_153_600_000_000_000;

/// A task; types without times leave those at 0.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Task {
    pub(super) id: u64,
    /// As the row has it: `r`, `t`, `!`, `~`.
    pub(super) state: char,
    pub(super) next_event: u64,
    pub(super) ttl: u64,
    pub(super) ttr: u64,
    pub(super) pri: u64,
    pub(super) created: u64,
    pub(super) utube: String,
    /// JSON.
    pub(super) data: String,
    /// Connection and session that hold it, exactly while it is TAKEN.
    pub(super) holder: Option<(u64, u64)>,
    /// Attempts that have failed.
    pub(super) attempts: u64,
}

impl Task {
    /// The end of its life.
    pub(super) fn death(&self) -> u64 {
        self.created.saturating_add(self.ttl)
    }

    /// What a client sees of it.
    pub(super) fn shown(&self) -> String {
        self.shown_as(self.state)
    }

    /// The same in another state.
    pub(super) fn shown_as(&self, state: char) -> String {
        format!(r#"[{}, "{state}", {}]"#, self.id, self.data)
    }

    /// Puts it into a state in which it stays until its life ends.
    pub(super) fn settle(&mut self, state: char) {
        self.state = state;
        self.next_event = self.death();
        self.holder = None;
    }

    /// Its place in its tube's order.
    pub(super) fn rank(&self) -> (u64, u64) {
        (self.pri, self.id)
    }
}

/// The moment that comes so long after another.
pub(super) fn after(now: u64, duration: u64) -> u64 {
    if duration > CENTURY { u64::MAX } else { now.saturating_add(duration) }
}
