//! The format of `.xlog` and `.snap` files.
//!
//! ```text
//! file   := meta block* end?
//! meta   := type "\n" version "\n" (key ": " value "\n")* "\n"
//! block  := fixheader(19 bytes) data                          data: rows, or one zstd stream of rows
//! end    := d5 10 ad ed                                       nothing may follow
//! row    := header body?                                      see lycosa_proto::xrow
//! ```
//!
//! A block is no transaction: it can hold many, and one can lie over several. A file without `end` is one whose server
//! did not close it; if it is cut inside of its last block, that block is lost and the rows before it are good (a torn
//! tail). Everything else that is not as above is damage and makes a reader stop, see [`Reader`].
//!
//! Source: wal.md §1 to §5; Tarantool `src/box/xlog.c`.

mod block;
mod meta;
mod reader;
mod writer;

pub use block::{BLOCK_BYTES_CUT, Blocks, FIXHEADER_BYTES, Packer};
pub use meta::{FileType, META_BYTES_MAX, Meta};
pub use reader::{End, Reader, Row};
pub use writer::{INPROGRESS, Writer};

use crate::db::journal::Vclock;

/// The marker that ends a file.
pub const END_MARKER: [u8; 4] = [0xd5, 0x10, 0xad, 0xed];

/// Digits in the name of a file.
const NAME_DIGITS: usize = 20;

/// The name of the file that begins at `vclock`.
pub fn file_name(vclock: &Vclock, file_type: FileType) -> String {
    format!("{:020}.{}", vclock.signature(), file_type.extension())
}

/// The signature in the name of a file of that type; None for other names.
pub fn signature(name: &str, file_type: FileType) -> Option<u64> {
    let digits = name.strip_suffix(file_type.extension())?.strip_suffix('.')?;
    let is_number = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
