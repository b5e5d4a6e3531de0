//! UPDATE and UPSERT operations: decoding, application to a tuple.
//!
//! Operations apply in order, each to the result of those before it. A tuple under change is a list of fields that still
//! borrow from the old tuple where nothing touched them.
//!
//! Source: protocol.md §18; Tarantool `src/box/xrow_update.c`, `xrow_update_array.c`.

mod arithmetic;
mod bar;
mod below;
mod container;
mod former;
mod op;
mod route;

use lycosa_proto::err;
use lycosa_proto::error::{Result, kind};
use lycosa_proto::msgpack::{self, write_array};
use smallvec::SmallVec;

use super::space::Space;
use below::Field;
use former::Former;
use op::{Code, Op};

/// The most operations of one request.
const OPERATION_MAX: u32 = 4000;
/// Operations of a request that take no memory of their own.
const OPERATIONS_USUAL: usize = 2;
/// Fields of a tuple that take no memory of their own.
const FIELDS_USUAL: usize = 12;
/// Fields among which operations on one and the same are looked for.
const FIELDS_TOLD_APART: i64 = 64;

/// A release of Tarantool, major and minor.
pub type Release = (u32, u32);

/// Which operations fail, and what comes of those that do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// They are an error.
    Update,
    /// They are skipped.
    Upsert,
    /// They are skipped, and so are those that this release could not apply.
    UpsertOf(Release),
}

/// What operations have made of a tuple.
#[derive(Debug)]
pub struct Updated {
    /// The new tuple.
    pub data: Vec<u8>,
    /// Tarantool 2.6 would refuse the operations, or in an UPSERT skip some: they change a field again, or reach beyond the
    /// end. It must not find them in a file.
    pub is_recent: bool,
}

/// The operations of a request.
#[derive(Debug)]
pub struct Update<'a>(SmallVec<[Op<'a>; OPERATIONS_USUAL]>);

/// The fields of a tuple under change.
type Fields<'a> = SmallVec<[Field<'a>; FIELDS_USUAL]>;

impl<'a> Update<'a> {
    /// Decodes operations and checks what can be checked without a tuple.
    ///
    /// # Errors
    /// ILLEGAL_PARAMS, UNKNOWN_UPDATE_OP, UPDATE_ARG_TYPE, UPDATE_FIELD, NO_SUCH_FIELD_NO, NO_SUCH_FIELD_NAME.
    pub fn decode(ops: &'a [u8], space: &Space, index_base: u32) -> Result<Self> {
        let count = msgpack::read_array(&mut { ops }).unwrap_or(0);
        if count > OPERATION_MAX {
            return Err(err!(ILLEGAL_PARAMS, "too many operations for update"));
        }
        // Tarantool keeps the base as an int: the largest bases count from below.
        let index_base = i64::from(index_base as i32);
        let decode = |(no, op)| Op::decode(no + 1, op, space, index_base);
        msgpack::items(ops).enumerate().map(decode).collect::<Result<_>>().map(Self)
    }

    /// Applies the operations to a tuple.
    ///
    /// # Errors
    /// Those of the operations: NO_SUCH_FIELD_NO, NO_SUCH_FIELD_NAME, UPDATE_FIELD, UPDATE_ARG_TYPE, UPDATE_SPLICE,
    /// UPDATE_INTEGER_OVERFLOW, UPDATE_DECIMAL_OVERFLOW.
    /// MEMTX_MAX_TUPLE_SIZE if a field so far beyond the end is set that the fields between would take more than
    /// `bytes_max`; this one not even UPSERT skips.
    pub fn apply(
        &self,
        old: &[u8],
        space: &Space,
        manner: Manner,
        bytes_max: usize,
    ) -> Result<Updated> {
        let mut fields: Fields<'_> = msgpack::items(old).map(Field::Same).collect();
        let mut is_recent = self.may_repeat_a_field();
        let mut former = match manner {
            Manner::UpsertOf(release) => Former::of(release, fields.len()),
            Manner::Update | Manner::Upsert => None,
        };
        for op in &self.0 {
            is_recent |= op.is_beyond(fields.len());
            if former.as_ref().is_some_and(|former| former.skips(op)) {
                continue;
            }
            match op.apply(&mut fields, bytes_max) {
                Err(error)
                    if manner != Manner::Update && error.kind() != kind::MEMTX_MAX_TUPLE_SIZE =>
                {
                    tracing::debug!(space = &*space.def.name, %error, "UPSERT operation skipped");
                }
                done => {
                    done?;
                    if let Some(former) = &mut former {
                        former.note(op);
                    }
                }
            }
        }
        let mut out = Vec::with_capacity(old.len() + 16);
        write_array(&mut out, fields.len());
        for (no, field) in fields.iter().enumerate() {
            match field {
                Field::Same(bytes) => out.extend_from_slice(bytes),
                changed => changed.store(&mut out, space.format.place(no as u32)),
            }
        }
        Ok(Updated { data: out, is_recent })
    }

    /// Whether two operations may be about the same field. True also where a longer look would tell them apart.
    fn may_repeat_a_field(&self) -> bool {
        if let [_] = &*self.0 {
            return false;
        }
        let mut seen = 0_u64;
        self.0.iter().any(|op| {
            if !(0..FIELDS_TOLD_APART).contains(&op.field_no) {
                return true;
            }
            let bit = 1 << op.field_no;
            let is_again = seen & bit != 0;
            seen |= bit;
            is_again
        })
    }
}

impl<'a> Op<'a> {
    /// Whether the operation is about a field that a tuple of so many fields does not have, nor gets next.
    fn is_beyond(&self, len: usize) -> bool {
        let can_append = matches!(self.code, Code::Assign | Code::Insert);
        self.below.is_end() && self.field_no >= len as i64 + i64::from(can_append)
    }

    fn apply(&self, fields: &mut Fields<'a>, bytes_max: usize) -> Result<()> {
        if self.field_no >= 0 {
            return self.apply_at(fields, self.field_no as usize, bytes_max);
        }
        let is_insert = self.code == Code::Insert && self.below.is_end();
        let from_front = self.field_no + fields.len() as i64 + i64::from(is_insert);
        let at = usize::try_from(from_front).map_err(|_| self.not_found())?;
        // From here on messages count from the front.
        Self { field_no: from_front, ..*self }.apply_at(fields, at, bytes_max)
    }

    /// Applies the operation to field `at`, or to what is below it.
    fn apply_at(&self, fields: &mut Fields<'a>, at: usize, bytes_max: usize) -> Result<()> {
        if !self.below.is_end() {
            let field = fields.get_mut(at).ok_or_else(|| self.not_found())?;
            return field.apply(*self);
        }
        match self.code {
            Code::Assign | Code::Insert => {
                // Every field takes a byte at least: refuse before the memory is taken.
                if at > bytes_max {
                    return Err(err!(MEMTX_MAX_TUPLE_SIZE, at, bytes_max));
                }
                while fields.len() < at {
                    fields.push(Field::Same(&[0xc0]));
                }
                if self.code == Code::Assign && at < fields.len() {
                    fields[at] = Field::Same(self.arg);
                } else {
                    fields.insert(at, Field::Same(self.arg));
                }
            }
            Code::Delete => {
                if at < fields.len() {
                    let end = at.saturating_add(self.delete_count()).min(fields.len());
                    fields.drain(at..end);
                }
            }
            _ => fields.get_mut(at).ok_or_else(|| self.not_found())?.compute(self)?,
        }
        Ok(())
    }
}
