//! Blocks: the fixheader, the checksum, compression.
//!
//! ```text
//! fixheader := magic(4) len crc32p crc32c padding             19 bytes, all but the magic MsgPack
//! magic     := d5 ba 0b ab (plain) | d5 ba 0b ba (zstd)
//! len       := uint, bytes of data after the fixheader, as stored
//! crc32p    := uint, 0 when written, ignored when read
//! crc32c    := uint, checksum of the data as stored
//! padding   := one value that fills the 19 bytes; written as a string of zero bytes, absent if there is no room
//! ```
//!
//! The checksum is CRC-32C with initial value 0 and no final xor, which is not what is usual.
//!
//! Source: wal.md §1; Tarantool `src/box/xlog.c`, `xlog_fixheader_decode` and `xlog_tx_write`.

use std::io;

use lycosa_proto::msgpack::{Fault, read_uint, skip, write_uint};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

use super::super::Damage;

/// Bytes of a fixheader.
pub const FIXHEADER_BYTES: usize = 19;

/// A block that has this many bytes of rows takes no further transaction.
pub const BLOCK_BYTES_CUT: usize = 128 << 10;

/// A block that would have this many bytes with its fixheader is compressed, in files that are.
const COMPRESS_BYTES_MIN: usize = 2048;

/// The level that Tarantool compresses with.
const ZSTD_LEVEL: i32 = 3;

/// Bytes of data that a reader takes from one block, stored and unpacked.
const DATA_BYTES_MAX: u64 = 2 << 30;

/// Bytes by which the buffer of an unpacker grows at least.
const UNPACK_BYTES_STEP: usize = 256 << 10;

pub(super) const MAGIC_PLAIN: [u8; 4] = [0xd5, 0xba, 0x0b, 0xab];
pub(super) const MAGIC_ZSTD: [u8; 4] = [0xd5, 0xba, 0x0b, 0xba];

/// The checksum of a block's data.
pub(super) fn checksum(data: &[u8]) -> u32 {
    // The crate inverts before and after; two more inversions leave the bare remainder.
    !crc32c::crc32c_append(!0, data)
}

/// What a fixheader says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixheader {
    /// Whether the data is compressed.
    pub(super) is_zstd: bool,
    /// Bytes of the data as stored; never 0.
    pub(super) len: usize,
    /// Checksum of the data as stored.
    pub(super) crc: u32,
}

impl Fixheader {
    /// The fixheader of a block with this data.
    fn of(data: &[u8], is_zstd: bool) -> Self {
        Self { is_zstd, len: data.len(), crc: checksum(data) }
    }

    fn encode(self) -> [u8; FIXHEADER_BYTES] {
        let mut fields = Vec::with_capacity(FIXHEADER_BYTES);
        fields.extend_from_slice(if self.is_zstd { &MAGIC_ZSTD } else { &MAGIC_PLAIN });
        write_uint(&mut fields, self.len as u64);
        write_uint(&mut fields, 0);
        write_uint(&mut fields, u64::from(self.crc));
        let mut bytes = [0; FIXHEADER_BYTES];
        bytes[..fields.len()].copy_from_slice(&fields);
        if let Some(padding) = bytes[fields.len()..].first_mut() {
            *padding = 0xa0 | (FIXHEADER_BYTES - fields.len() - 1) as u8;
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FIXHEADER_BYTES]) -> Result<Self, Damage> {
        let (magic, mut rest) = bytes.split_first_chunk().expect("a fixheader is longer");
        let is_zstd = match *magic {
            MAGIC_PLAIN => false,
            MAGIC_ZSTD => true,
            other => return Err(Damage::Magic(u32::from_le_bytes(other))),
        };
        let mut field = || read_uint(&mut rest);
        let (len, _, crc) = (|| Ok((field()?, field()?, field()?)))().map_err(Damage::Fixheader)?;
        if !rest.is_empty() {
            skip(&mut rest).map_err(Damage::Fixheader)?;
        }
        if !rest.is_empty() {
            return Err(Damage::Fixheader(Fault::Junk));
        }
        match len {
            0 => Err(Damage::BlockEmpty),
            1..=DATA_BYTES_MAX => {
                let crc = u32::try_from(crc).map_err(|_| Damage::Fixheader(Fault::Type))?;
                Ok(Self { is_zstd, len: len as usize, crc })
            }
            _ => Err(Damage::BlockTooLong(len)),
        }
    }
}

/// Plain blocks in one buffer, ready to be written at once.
///
/// Each block's fixheader is left open until [`Blocks::seal`], so rows are copied once.
#[derive(Debug, Default)]
pub struct Blocks {
    bytes: Vec<u8>,
    /// Where each block's fixheader begins.
    starts: Vec<usize>,
}

impl Blocks {
    /// Adds the rows of one transaction: to the last block, or to a new one if that has enough.
    #[inline]
    pub fn push(&mut self, rows: &[u8]) {
        if rows.is_empty() {
            return;
        }
        let is_full = self
            .starts
            .last()
            .is_none_or(|start| self.bytes.len() - start - FIXHEADER_BYTES >= BLOCK_BYTES_CUT);
        if is_full {
            self.starts.push(self.bytes.len());
            self.bytes.extend_from_slice(&[0; FIXHEADER_BYTES]);
        }
        self.bytes.extend_from_slice(rows);
    }

    /// Fills in the fixheaders. Returns the bytes as a file wants them.
    pub fn seal(&mut self) -> &[u8] {
        for (place, start) in self.starts.iter().enumerate() {
            let end = self.starts.get(place + 1).copied().unwrap_or(self.bytes.len());
            let (fixheader, data) = self.bytes[*start..end].split_at_mut(FIXHEADER_BYTES);
            fixheader.copy_from_slice(&Fixheader::of(data, false).encode());
        }
        &self.bytes
    }

    /// Bytes so far, fixheaders included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Empties the buffer; its memory stays, up to `capacity_max` bytes.
    pub fn clear(&mut self, capacity_max: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(capacity_max);
        self.starts.clear();
    }
}

/// Makes blocks of rows, compressed where it pays.
pub struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    packed: Vec<u8>,
}

impl Packer {
    /// A packer with Tarantool's level of compression.
    pub fn new() -> io::Result<Self> {
        let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        // Tarantool's streams do not say how long they are when unpacked.
        zstd.include_contentsize(false)?;
        Ok(Self { zstd, packed: Vec::new() })
    }

    /// The block of these rows, which must not be empty: fixheader and data.
    pub fn pack(&mut self, rows: &[u8]) -> io::Result<&[u8]> {
        assert!(!rows.is_empty(), "a block of no rows cannot be read");
        self.packed.clear();
        self.packed.resize(FIXHEADER_BYTES, 0);
        let is_zstd = FIXHEADER_BYTES + rows.len() >= COMPRESS_BYTES_MIN;
        if is_zstd {
            let bound = zstd::zstd_safe::compress_bound(rows.len());
            self.packed.resize(FIXHEADER_BYTES + bound, 0);
            let len = self.zstd.compress_to_buffer(rows, &mut self.packed[FIXHEADER_BYTES..])?;
            self.packed.truncate(FIXHEADER_BYTES + len);
        } else {
            self.packed.extend_from_slice(rows);
        }
        let (fixheader, data) = self.packed.split_at_mut(FIXHEADER_BYTES);
        fixheader.copy_from_slice(&Fixheader::of(data, is_zstd).encode());
        Ok(&self.packed)
    }
}

/// Unpacks the data of compressed blocks.
pub(super) struct Unpacker {
    zstd: zstd::stream::raw::Decoder<'static>,
    rows: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { zstd: zstd::stream::raw::Decoder::new()?, rows: Vec::new() })
    }

    /// What was unpacked last.
    pub(super) fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// Unpacks a whole stream of one or more frames.
    pub(super) fn unpack(&mut self, data: &[u8]) -> Result<(), Damage> {
        let refused = |error: io::Error| Damage::Zstd(error.to_string());
        self.zstd.reinit().map_err(refused)?;
        let mut input = InBuffer::around(data);
        let mut filled = 0;
        loop {
            if filled == self.rows.len() {
                if filled as u64 >= DATA_BYTES_MAX {
                    return Err(Damage::BlockTooLong(filled as u64));
                }
                self.rows.resize(filled + filled.max(UNPACK_BYTES_STEP), 0);
            }
            let mut output = OutBuffer::around(&mut self.rows[filled..]);
            let hint = self.zstd.run(&mut input, &mut output).map_err(refused)?;
            filled += output.pos();
            let is_all_read = input.pos() == data.len();
            // The hint is 0 once a frame is over and all of it has been given out.
            if is_all_read && hint == 0 {
                break;
            }
            if is_all_read && filled < self.rows.len() {
                return Err(Damage::Zstd("the stream ends early".into()));
            }
            if hint == 0 {
                self.zstd.reinit().map_err(refused)?;
            }
        }
        self.rows.truncate(filled);
        if filled == 0 { Err(Damage::BlockEmpty) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checksums_of_known_data() {
        assert_eq!(checksum(b"123456789"), 0x58e3_fa20);
        assert_eq!(checksum(b"a"), 0x93ad_1061);
        assert_eq!(checksum(&[0xff; 4]), 0xb798_b438);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn fixheaders_of_other_widths_are_read() {
        let check = |text: &str, expected: Result<usize, Damage>| {
            let mut bytes = [0; FIXHEADER_BYTES];
            for (place, pair) in text.as_bytes().chunks(2).enumerate() {
                let digits = std::str::from_utf8(pair).expect("digits");
                bytes[place] = u8::from_str_radix(digits, 16).expect("digits");
            }
            assert_eq!(Fixheader::decode(&bytes).map(|header| header.len), expected, "{text}");
        };
        check("d5ba0bab5c00ce91ebbb0aa700000000000000", Ok(0x5c));
        check("d5ba0bbace00000011ce00000000ce00000001", Ok(0x11));
        check("d5ba0bab5c00ce91ebbb0ac407000000000000", Err(Damage::Fixheader(Fault::Truncated)));
        check("d5ba0bab5c00ce91ebbb0aa600000000000000", Err(Damage::Fixheader(Fault::Junk)));
        check("d5ba0baba0000000000000000000000000000a", Err(Damage::Fixheader(Fault::Type)));
        check("d5ba0bab0000ce91ebbb0aa700000000000000", Err(Damage::BlockEmpty));
        check("d5ba0babce8000000100ce91ebbb0aa3000000", Err(Damage::BlockTooLong(0x8000_0001)));
        check("00000000ce8000000100ce91ebbb0aa3000000", Err(Damage::Magic(0)));
    }

    #[test]
    fn several_frames_and_a_cut_one() {
        let frame = |data: &[u8]| zstd::bulk::compress(data, 1).expect("a frame");
        let [first, second] = [vec![1; 300_000], vec![2; 10]];
        let mut stream = frame(&first);
        stream.extend_from_slice(&frame(&second));
        let mut unpacker = Unpacker::new().expect("an unpacker");
        for _ in 0..2 {
            unpacker.unpack(&stream).expect("rows");
            assert_eq!(unpacker.rows(), [first.as_slice(), second.as_slice()].concat());
        }
        for cut in 1..stream.len() {
            if cut != frame(&first).len() {
                assert!(matches!(unpacker.unpack(&stream[..cut]), Err(Damage::Zstd(_))), "{cut}");
            }
        }
        assert!(matches!(unpacker.unpack(b"no zstd"), Err(Damage::Zstd(_))));
        assert_eq!(unpacker.unpack(&frame(b"")), Err(Damage::BlockEmpty));
        unpacker.unpack(&stream).expect("rows after a failure");
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(len in 1usize..5000, seed: u8) {
            let rows: Vec<u8> = (0..len).map(|i| (i / 7) as u8 ^ seed).collect();
            let mut packer = Packer::new().expect("a packer");
            let block = packer.pack(&rows).expect("a block");
            let (fixheader, data) = block.split_first_chunk().expect("a fixheader");
            let fixheader = Fixheader::decode(fixheader).expect("a fixheader");
            prop_assert_eq!(fixheader.len, data.len());
            prop_assert_eq!(fixheader.crc, checksum(data));
            prop_assert_eq!(fixheader.is_zstd, len >= 2029);
            if fixheader.is_zstd {
                let mut unpacker = Unpacker::new().expect("an unpacker");
                unpacker.unpack(data).expect("rows");
                prop_assert_eq!(unpacker.rows(), rows);
            } else {
                prop_assert_eq!(data, rows);
            }
        }

        #[test]
        fn no_fixheader_makes_it_panic(bytes: [u8; FIXHEADER_BYTES]) {
            let _ = Fixheader::decode(&bytes);
        }
    }
}
