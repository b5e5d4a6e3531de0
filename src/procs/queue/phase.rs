//! What the queue as a whole can do now, which the rock calls its state.
//!
//! ```text
//! INIT --writable--> STARTUP --> RUNNING --read-only--> ENDING --> WAITING --writable--> STARTUP
//! ```
//!
//! Tubes can be used while it is RUNNING.
//!
//! Source: queue/abstract/queue_state.lua.

use std::sync::atomic::{AtomicU8, Ordering};

/// A phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Phase {
    /// It has not been started: the instance has not been writable yet.
    Init,
    /// It makes itself ready.
    Startup,
    /// It works.
    Running,
    /// The instance has become read-only.
    Ending,
    /// The instance is read-only.
    Waiting,
}

/// The phases by number.
const PHASES: [Phase; 5] =
    [Phase::Init, Phase::Startup, Phase::Running, Phase::Ending, Phase::Waiting];

impl Phase {
    /// The name that `queue.state` answers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Startup => "STARTUP",
            Self::Running => "RUNNING",
            Self::Ending => "ENDING",
            Self::Waiting => "WAITING",
        }
    }
}

/// The phase of a queue.
#[derive(Debug, Default)]
pub(super) struct CurrentPhase(AtomicU8);

impl CurrentPhase {
    /// The phase.
    pub(super) fn get(&self) -> Phase {
        PHASES[usize::from(self.0.load(Ordering::Acquire))]
    }

    /// Goes to another.
    pub(super) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// True if tubes can be used.
    #[inline]
    pub(super) fn is_running(&self) -> bool {
        self.0.load(Ordering::Acquire) == Phase::Running as u8
    }

    /// True if tubes can be used; if not, the log is told which function was called in vain.
    pub(super) fn admits(&self, function: &str) -> bool {
        if !self.is_running() {
            tracing::error!("{function}: queue is in {} state", self.get().name());
        }
        self.is_running()
    }
}
