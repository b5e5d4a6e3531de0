//! Reading a file row by row.
//!
//! No more of a file is in memory than one block. A length is compared with what is left of the file before anything is
//! allocated for it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use lycosa_proto::iproto::request_type;
use lycosa_proto::msgpack::{self, Fault};
use lycosa_proto::xrow::Header;

use super::super::disk::{Disk, File, Open};
use super::super::{Damage, Error, Result};
use super::block::{Fixheader, MAGIC_PLAIN, MAGIC_ZSTD, Unpacker, checksum};
use super::{END_MARKER, FIXHEADER_BYTES, FileType, META_BYTES_MAX, Meta};

/// Bytes that are read at a time.
const WINDOW_BYTES: usize = 256 << 10;

/// One row: its header, and its body as MsgPack (empty for a NOP).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// What the row says of itself.
    pub header: Header,
    /// The body: one MsgPack map, or nothing.
    pub body: &'a [u8],
}

impl<'a> Row<'a> {
    /// Takes a row off the front of `input`. Its body is checked deeply: what is made of it relies on that.
    ///
    /// Source: Tarantool `src/box/xrow.c` xrow_header_decode.
    // Always inline, as `next_row`: a row that is passed through memory is read back before it has got there.
    #[inline(always)]
    pub fn read(input: &mut &'a [u8]) -> msgpack::Result<Self> {
        let header = Header::read(input)?;
        let has_body = header.row_type != request_type::NOP && !input.is_empty();
        let body = if has_body { msgpack::take_checked(input)? } else { &[] };
        match body {
            [] | [0x80..=0x8f | 0xde | 0xdf, ..] => Ok(Self { header, body }),
            _ => Err(Fault::Type),
        }
    }
}

/// How a file without damage ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With its marker: somebody closed it.
    Marker,
    /// After a whole block or its meta: nobody closed it, nothing of it is lost.
    Open,
    /// Inside of a block or a marker, which is lost.
    Torn,
}

/// Reads one file from its start to its end.
///
/// | what stands there | what becomes of it |
/// |---|---|
/// | a meta that is cut, too long, or does not parse | error, the file cannot be opened |
/// | fewer bytes than a magic, a fixheader, or a block's data needs, at the end | [`End::Torn`] |
/// | no magic | [`Damage::Magic`] |
/// | a fixheader that does not parse, a block of length 0 or above 2 GiB | error |
/// | another checksum | [`Damage::Checksum`] |
/// | anything after the end marker | [`Damage::AfterEnd`] |
/// | a row that does not parse | [`Damage::Row`] |
///
/// After an error the only thing to do with a reader is [`Reader::skip_damage`].
pub struct Reader {
    path: PathBuf,
    window: Window,
    meta: Meta,
    /// Offset of the block that is being read, or of what follows the last one.
    block_offset: u64,
    /// Bytes of the block that is being read, fixheader included; 0 before the first.
    block_len: usize,
    /// Whether the rows are in `unpacker`, not in `window`.
    is_zstd: bool,
    /// Where the rows of the block that are still to come stand, in `unpacker` or in `window`.
    rows: Range<usize>,
    unpacker: Option<Unpacker>,
    end: Option<End>,
    /// Bytes that the file had when it was opened; what is appended later is not read.
    len: u64,
}

impl Reader {
    /// Opens a file and reads its meta.
    pub fn open(disk: &dyn Disk, path: &Path, file_type: FileType) -> Result<Self> {
        Self::open_as(disk, path, Some(file_type))
    }

    /// Opens a file of whatever type its first line names, and reads its meta.
    pub fn open_any(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Self::open_as(disk, path, None)
    }

    fn open_as(disk: &dyn Disk, path: &Path, file_type: Option<FileType>) -> Result<Self> {
        let file = disk.open(path, Open::Read).map_err(Error::io("open", path))?;
        let len = file.len().map_err(Error::io("read", path))?;
        let mut window =
            Window { file, left: len, buf: Vec::new(), start: 0, filled: 0, offset: 0 };
        let start = window.peek(META_BYTES_MAX).map_err(Error::io("read", path))?;
        let text_len = start.windows(2).position(|pair| pair == b"\n\n").ok_or_else(|| {
            let is_cut = start.len() < META_BYTES_MAX;
            let damage = if is_cut { Damage::MetaEnds } else { Damage::MetaTooLong };
            Error::damaged(path, start.len() as u64, damage)
        })?;
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let file_type = file_type.or(FileType::of_line(line)).unwrap_or(FileType::Xlog);
        let meta = Meta::parse(&String::from_utf8_lossy(&start[..text_len]), file_type)
            .map_err(|damage| Error::damaged(path, 0, damage))?;
        let meta_len = text_len + 2;
        window.consume(meta_len);
        Ok(Self {
            path: path.to_owned(),
            window,
            meta,
            block_offset: meta_len as u64,
            block_len: 0,
            is_zstd: false,
            rows: 0..0,
            unpacker: None,
            end: None,
            len,
        })
    }

    /// What the file says of itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Offset of the block of the row that was read last; at the end, where the last whole block ends.
    pub fn offset(&self) -> u64 {
        self.block_offset
    }

    /// Bytes that the file had when it was opened.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// Bytes of the file behind which nothing has been looked at yet: how far it has been read.
    pub fn read_len(&self) -> u64 {
        self.block_offset + self.block_len as u64
    }

    /// How the file ends, once there are no more rows.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The error that there is damage at the current block.
    pub fn damaged(&self, damage: Damage) -> Error {
        Error::damaged(&self.path, self.block_offset, damage)
    }

    /// The next row; None at the end, see [`Reader::end`].
    #[inline(always)]
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        while self.rows.is_empty() {
            if !self.next_block()? {
                return Ok(None);
            }
        }
        let rows = match &self.unpacker {
            Some(unpacker) if self.is_zstd => unpacker.rows(),
            _ => &self.window.buf,
        };
        let mut rest = &rows[self.rows.clone()];
        match Row::read(&mut rest) {
            Ok(row) => {
                self.rows.start = self.rows.end - rest.len();
                Ok(Some(row))
            }
            Err(fault) => Err(Error::damaged(&self.path, self.block_offset, Damage::Row(fault))),
        }
    }

    /// Goes on to the next block; false at the end.
    fn next_block(&mut self) -> Result<bool> {
        if self.end.is_some() {
            return Ok(false);
        }
        self.window.consume(self.block_len);
        self.block_offset += std::mem::take(&mut self.block_len) as u64;
        let left = self.window.left;
        let head = self.window.peek(FIXHEADER_BYTES).map_err(Error::io("read", &self.path))?;
        if head.is_empty() {
            return self.ends(End::Open);
        }
        let Some(magic) = head.first_chunk().copied() else { return self.ends(End::Torn) };
        let fixheader = head.first_chunk().copied();
        if magic == END_MARKER {
            if left > END_MARKER.len() as u64 {
                let offset = self.block_offset + END_MARKER.len() as u64;
                return Err(Error::damaged(&self.path, offset, Damage::AfterEnd));
            }
            return self.ends(End::Marker);
        }
        if magic != MAGIC_PLAIN && magic != MAGIC_ZSTD {
            return Err(self.damaged(Damage::Magic(u32::from_le_bytes(magic))));
        }
        let Some(fixheader) = fixheader else { return self.ends(End::Torn) };
        let fixheader = Fixheader::decode(&fixheader).map_err(|damage| self.damaged(damage))?;
        let block_len = FIXHEADER_BYTES + fixheader.len;
        if left < block_len as u64 {
            return self.ends(End::Torn);
        }
        self.load(fixheader, block_len)?;
        Ok(true)
    }

    /// After an error in the bytes of the file: goes on behind the damage, as Tarantool does where recovery is forced.
    ///
    /// A block whose rows do not parse is left; after any other damage the next bytes that look like the beginning of a
    /// block are searched. What follows the end marker is ignored. If there is nothing more, the file ends torn.
    ///
    /// Errors: those of reading the file.
    ///
    /// Source: wal.md §5; Tarantool `src/box/xlog.c`, `xlog_cursor_find_tx_magic`.
    pub fn skip_damage(&mut self) -> Result<()> {
        self.rows = 0..0;
        if self.end.is_some() || self.block_len > 0 {
            return Ok(());
        }
        let mut is_first = true;
        loop {
            let head = self.window.peek(WINDOW_BYTES).map_err(Error::io("read", &self.path))?;
            if is_first && head.starts_with(&END_MARKER) {
                self.end = Some(End::Marker);
                return Ok(());
            }
            let from = usize::from(is_first);
            let found = head.windows(END_MARKER.len()).skip(from).position(|bytes| {
                [MAGIC_PLAIN, MAGIC_ZSTD, END_MARKER].iter().any(|magic| magic == bytes)
            });
            let is_over = head.len() < WINDOW_BYTES;
            let skipped = match found {
                Some(place) => from + place,
                None if is_over => head.len(),
                // The last bytes may be the beginning of a magic.
                None => head.len() + 1 - END_MARKER.len(),
            };
            self.window.consume(skipped);
            self.block_offset += skipped as u64;
            if found.is_some() {
                return Ok(());
            }
            if is_over {
                self.end = Some(End::Torn);
                return Ok(());
            }
            is_first = false;
        }
    }

    fn ends(&mut self, end: End) -> Result<bool> {
        self.end = Some(end);
        Ok(false)
    }

    /// Loads the block at the front of the window, all of which is in the file.
    fn load(&mut self, fixheader: Fixheader, block_len: usize) -> Result<()> {
        let block = self.window.peek(block_len).map_err(Error::io("read", &self.path))?;
        let data = block.get(FIXHEADER_BYTES..).unwrap_or_default();
        let found = checksum(data);
        if data.len() < fixheader.len {
            // The file was longer when it was opened.
            return Err(self.damaged(Damage::Fixheader(Fault::Truncated)));
        }
        if found != fixheader.crc {
            return Err(self.damaged(Damage::Checksum(fixheader.crc, found)));
        }
        self.is_zstd = fixheader.is_zstd;
        if fixheader.is_zstd {
            let unpacker = match &mut self.unpacker {
                Some(unpacker) => unpacker,
                none => none.insert(Unpacker::new().map_err(Error::io("decompress", &self.path))?),
            };
            unpacker
                .unpack(data)
                .map_err(|damage| Error::damaged(&self.path, self.block_offset, damage))?;
            self.rows = 0..unpacker.rows().len();
        } else {
            let start = self.window.start;
            self.rows = start + FIXHEADER_BYTES..start + block_len;
        }
        self.block_len = block_len;
        Ok(())
    }
}

/// The part of a file that is in memory.
struct Window {
    file: Box<dyn File>,
    /// Bytes of the file that have not been consumed.
    left: u64,
    buf: Vec<u8>,
    /// Where in `buf` the first byte that has not been consumed stands.
    start: usize,
    /// Where in `buf` the bytes of the file end.
    filled: usize,
    /// Offset in the file of what follows `filled`.
    offset: u64,
}

impl Window {
    /// The next `len` bytes, fewer only if the file ends before.
    fn peek(&mut self, len: usize) -> std::io::Result<&[u8]> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(len);
        if self.filled - self.start < wanted {
            self.fill(wanted)?;
        }
        let end = self.filled.min(self.start + len);
        Ok(&self.buf[self.start..end])
    }

    fn fill(&mut self, wanted: usize) -> std::io::Result<()> {
        self.buf.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        // A short file needs a short window: a recovery may open many.
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let capacity = wanted.max(WINDOW_BYTES.min(left));
        if self.buf.len() < capacity {
            self.buf.resize(capacity, 0);
        }
        while self.filled < wanted {
            match self.file.read_at(&mut self.buf[self.filled..], self.offset) {
                Ok(0) => break,
                Ok(count) => {
                    self.filled += count;
                    self.offset += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        self.left -= len as u64;
    }
}
