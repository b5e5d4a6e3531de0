//! What spaces of the queue look like: fields and indexes, as tables of constants.
//!
//! Names, order and types are those of the rock, since files and clients outlive the server.
//!
//! Source: queue/abstract.lua `build_metatable`/`method.start`, queue/abstract/driver/*.lua `create_space`.

use crate::db::field_type::FieldType;
use crate::db::index::Index;
use crate::db::schema::index_def::IndexType;
use crate::db::space::Space;

/// The fields and indexes of a space. All indexes are TREE.
#[derive(Debug)]
pub(super) struct Layout {
    /// Name and type of each field. The type `*` is written as such: it is an alias of `any`.
    pub(super) fields: &'static [(&'static str, &'static str)],
    /// The indexes; an index's id is its place.
    pub(super) indexes: &'static [IndexLayout],
}

/// An index of a [`Layout`].
#[derive(Debug)]
pub(super) struct IndexLayout {
    /// The name.
    pub(super) name: &'static str,
    /// Its parts: places of fields, zero-based.
    pub(super) parts: &'static [usize],
    /// Two rows with an equal key cannot be.
    pub(super) is_unique: bool,
}

impl Layout {
    /// True if a space has these fields, no others, and these indexes before all others.
    pub(super) fn is_of(&self, space: &Space) -> bool {
        let (fields, indexes) = (&space.def.fields, space.indexes());
        let is_alike = |(name, field_type): &(&str, &str), no: usize| {
            let field = &fields[no];
            &*field.name == *name
                && Some(field.field_type) == FieldType::parse(field_type)
                && !field.is_nullable()
        };
        fields.len() == self.fields.len()
            && self.fields.iter().enumerate().all(|(no, field)| is_alike(field, no))
            && indexes.len() >= self.indexes.len()
            && self.indexes.iter().zip(indexes).all(|(layout, index)| layout.is_of(self, index))
    }
}

impl IndexLayout {
    fn is_of(&self, layout: &Layout, index: &Index) -> bool {
        let parts = index.def.key_def.parts();
        let is_alike = |field_no: usize, no: usize| {
            let part = &parts[no];
            part.field_no as usize == field_no
                && Some(part.field_type) == FieldType::parse(layout.fields[field_no].1)
                && part.path.is_none()
                && !part.is_desc
        };
        &*index.def.name == self.name
            && index.def.index_type == IndexType::Tree
            && index.def.is_unique == self.is_unique
            && parts.len() == self.parts.len()
            && self.parts.iter().enumerate().all(|(no, field_no)| is_alike(*field_no, no))
    }
}

/// A space that the queue keeps for itself.
#[derive(Debug)]
pub(super) struct Service {
    /// The name.
    pub(super) name: &'static str,
    /// Its rows go with the process.
    pub(super) is_temporary: bool,
    /// Fields and indexes.
    pub(super) layout: Layout,
}

/// An index without equal keys.
pub(super) const fn unique(name: &'static str, parts: &'static [usize]) -> IndexLayout {
    IndexLayout { name, parts, is_unique: true }
}

/// An index that may have equal keys.
pub(super) const fn plain(name: &'static str, parts: &'static [usize]) -> IndexLayout {
    IndexLayout { name, parts, is_unique: false }
}

/// The tubes: [tube_name, tube_id, space_name, tube_type, opts].
pub(super) static QUEUE: Service = Service {
    name: "_queue",
    is_temporary: false,
    layout: Layout {
        fields: &[
            ("tube_name", "string"),
            ("tube_id", "unsigned"),
            ("space_name", "string"),
            ("tube_type", "string"),
            ("opts", "*"),
        ],
        indexes: &[unique("tube", &[0]), unique("tube_id", &[1])],
    },
};

/// The index `tube_id` of `_queue`.
pub(super) const TUBE_ID_INDEX: u32 = 1;

/// Waiting consumers as the rock keeps them. Here it stays empty: consumers wait in memory, see [`super::waiters`].
pub(super) static CONSUMERS: Service = Service {
    name: "_queue_consumers",
    is_temporary: true,
    layout: Layout {
        fields: &[
            ("connection_id", "unsigned"),
            ("fiber_id", "unsigned"),
            ("tube_id", "unsigned"),
            ("event_time", "unsigned"),
            ("fiber_time", "unsigned"),
        ],
        indexes: &[unique("pk", &[0, 1]), plain("consumer", &[2, 3])],
    },
};

/// Taken tasks: [tube_id, task_id, connection_id, session_uuid, taken_time in microseconds].
pub(super) static TAKEN: Service = Service {
    name: "_queue_taken_2",
    is_temporary: true,
    layout: Layout {
        fields: &[
            ("tube_id", "unsigned"),
            ("task_id", "unsigned"),
            ("connection_id", "unsigned"),
            ("session_uuid", "string"),
            ("taken_time", "unsigned"),
        ],
        indexes: &[unique("task", &[0, 1]), plain("uuid", &[3])],
    },
};

/// Which connection belongs to which session: [connection_id, session_uuid].
pub(super) static SESSION_IDS: Service = Service {
    name: "_queue_session_ids",
    is_temporary: true,
    layout: Layout {
        fields: &[("connection_id", "unsigned"), ("session_uuid", "string")],
        indexes: &[unique("conn_id", &[0]), plain("uuid", &[1])],
    },
};

/// The sessions: [uuid, exp_time in microseconds, 0 while a connection is there, active].
pub(super) static SHARED_SESSIONS: Service = Service {
    name: "_queue_shared_sessions",
    is_temporary: true,
    layout: Layout {
        fields: &[("uuid", "string"), ("exp_time", "unsigned"), ("active", "boolean")],
        indexes: &[unique("uuid", &[0]), unique("active", &[2, 0])],
    },
};

/// The space for taken tasks before sessions had UUIDs; it is dropped when found.
pub(super) const TAKEN_LEGACY: &str = "_queue_taken";

/// The index over (state, ...) that every tube has.
pub(super) const STATUS_INDEX: u32 = 1;
