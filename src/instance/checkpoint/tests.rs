//! Checkpoints that are wanted while another is written.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::*;
use crate::config::Config;
use crate::wal::disk::faults::{Call, Fate, MemoryDisk, Op, Script};

/// Wants a checkpoint whenever an operation comes.
struct Wanting {
    op: Op,
    instance: Mutex<Weak<Instance>>,
}

impl Script for Wanting {
    fn decide(&self, call: Call<'_>) -> Fate {
        if call.op == self.op
            && let Some(instance) = self.instance.lock().upgrade()
        {
            instance.want_checkpoint();
            assert!(!instance.is_checkpoint_due(), "one is being written");
        }
        Fate::Done
    }
}

#[test]
fn one_that_is_wanted_meanwhile_is_due_afterwards() {
    // While the snapshot is looked at, which is there already, and while old files are looked for.
    for op in [Op::Touch, Op::List] {
        let disk = MemoryDisk::new();
        let mut config = Config::default();
        config.wal.dir = "d".into();
        config.snapshot.dir = "d".into();
        let instance = Arc::new(Instance::open(&config, Arc::new(disk.clone())).expect("a start"));
        instance.checkpoint().expect("a snapshot");
        assert!(!instance.is_checkpoint_due());
        let wanting = Wanting { op, instance: Mutex::new(Arc::downgrade(&instance)) };
        let wanting = Arc::new(wanting);
        disk.follow(wanting.clone());
        instance.checkpoint().expect("a snapshot");
        *wanting.instance.lock() = Weak::new();
        assert!(instance.is_checkpoint_due(), "{op:?}");
        instance.checkpoint().expect("a snapshot");
        assert!(!instance.is_checkpoint_due());
    }
}
