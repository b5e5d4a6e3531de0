//! Figures of a run.

/// What a run has come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) strikes: u64,
    pub(super) ends: u64,
    pub(super) aborts: u64,
    pub(super) power_failures: u64,
    pub(super) checkpoints: u64,
    pub(super) gaps: u64,
}

impl Tally {
    /// Adds that of another run.
    pub(super) fn add(&mut self, other: Self) {
        let Self {
            acknowledged,
            refused,
            strikes,
            ends,
            aborts,
            power_failures,
            checkpoints,
            gaps,
        } = other;
        self.acknowledged += acknowledged;
        self.refused += refused;
        self.strikes += strikes;
        self.ends += ends;
        self.aborts += aborts;
        self.power_failures += power_failures;
        self.checkpoints += checkpoints;
        self.gaps += gaps;
    }
}
