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
mod op;
mod route;

use lycosa_proto::err;
use lycosa_proto::error::{Result, kind};
use lycosa_proto::msgpack::{self, write_array};
use smallvec::SmallVec;

use super::space::Space;
use below::Field;
use op::{Code, Op};

/// The most operations of one request.
const OPERATION_MAX: u32 = 4000;
/// Operations of a request that take no memory of their own.
const OPERATIONS_USUAL: usize = 2;
/// Fields of a tuple that take no memory of their own.
const FIELDS_USUAL: usize = 12;

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

    /// Applies the operations to a tuple. With `is_upsert` an operation that cannot be applied is skipped.
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
        is_upsert: bool,
        bytes_max: usize,
    ) -> Result<Vec<u8>> {
        let mut fields: Fields<'_> = msgpack::items(old).map(Field::Same).collect();
        for op in &self.0 {
            match op.apply(&mut fields, bytes_max) {
                Err(error) if is_upsert && error.kind() != kind::MEMTX_MAX_TUPLE_SIZE => {
                    tracing::debug!(space = &*space.def.name, %error, "UPSERT operation skipped");
                }
                done => done?,
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
        Ok(out)
    }
}

impl<'a> Op<'a> {
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
