//! The header of a row: in journals, in snapshots, and between replicas.
//!
//! ```text
//! row    := header body?                     the body is the next MsgPack map; a NOP has none
//! header := map { 0x00: type, 0x02: replica_id, 0x07: group_id, 0x03: lsn, 0x04: timestamp, 0x08: tsn, 0x09: flags }
//! ```
//!
//! Keys are written in this order and only when they are not zero. The TSN travels as `lsn - tsn` modulo 2^64 and only in
//! transactions of several rows; a row without it is the last row of the transaction that bears its LSN. A reader skips
//! keys that it does not know and refuses known ones of another type.
//!
//! Source: wal.md §2; Tarantool `src/box/xrow.c`, `xrow_header_encode` and `xrow_header_decode`.

use crate::iproto::{key, key_type};
use crate::msgpack::{
    self, Fault, read, read_map, read_uint, skip, write_f64, write_map, write_uint,
};

/// The last row of its transaction.
pub const FLAG_COMMIT: u64 = 1;
/// The transaction waits for the synchronous ones before it.
pub const FLAG_WAIT_SYNC: u64 = 2;
/// The transaction waits until replicas have acknowledged it.
pub const FLAG_WAIT_ACK: u64 = 4;

/// Group of the rows of local spaces, which never leave the instance.
pub const GROUP_LOCAL: u32 = 1;

/// What a row says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Header {
    /// Request type; see [`crate::iproto::request_type`].
    pub row_type: u64,
    /// The instance that made the row; 0 for rows of local spaces and in snapshots.
    pub replica_id: u32,
    /// 0, or [`GROUP_LOCAL`].
    pub group_id: u32,
    /// The row's number among those of `replica_id`; in a snapshot the number of the row, from 0.
    pub lsn: u64,
    /// When the row was written, in seconds since 1970.
    pub timestamp: f64,
    /// LSN of the first global row of the transaction: the same in all its rows. The row's own LSN if it stands alone.
    pub tsn: u64,
    /// Whether the row is the last one of its transaction.
    pub is_commit: bool,
    /// The other flags; [`FLAG_COMMIT`] is never among them.
    pub flags: u64,
}

impl Header {
    /// Writes the header; the body must follow.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        let stands_alone = self.tsn == self.lsn && self.is_commit;
        let commit = if self.is_commit && !stands_alone { FLAG_COMMIT } else { 0 };
        let flags = self.flags & !FLAG_COMMIT | commit;
        let optional = [
            self.replica_id != 0,
            self.group_id != 0,
            self.lsn != 0,
            self.timestamp != 0.0,
            !stands_alone,
            flags != 0,
        ];
        write_map(out, 1 + optional.into_iter().filter(|is_there| *is_there).count());
        write_uint(out, key::REQUEST_TYPE);
        write_uint(out, self.row_type);
        write_nonzero(out, key::REPLICA_ID, u64::from(self.replica_id));
        write_nonzero(out, key::GROUP_ID, u64::from(self.group_id));
        write_nonzero(out, key::LSN, self.lsn);
        if self.timestamp != 0.0 {
            write_uint(out, key::TIMESTAMP);
            write_f64(out, self.timestamp);
        }
        if !stands_alone {
            write_uint(out, key::TSN);
            write_uint(out, self.lsn.wrapping_sub(self.tsn));
        }
        write_nonzero(out, key::FLAGS, flags);
    }

    /// Reads a header off the front of `input`; a body, if the type has one, is what follows.
    ///
    /// Errors: [`Fault::Type`] for a known key of another type, a key that is no MP_UINT, an id above 32 bits.
    pub fn read(input: &mut &[u8]) -> msgpack::Result<Self> {
        let mut header = Self::default();
        let mut tsn_distance = None;
        let mut flags = 0;
        for _ in 0..read_map(input)? {
            match read_uint(input)? {
                key::REQUEST_TYPE => header.row_type = read_uint(input)?,
                key::REPLICA_ID => header.replica_id = read_u32(input)?,
                key::GROUP_ID => header.group_id = read_u32(input)?,
                key::LSN => header.lsn = read_uint(input)?,
                key::TIMESTAMP => header.timestamp = read_double(input)?,
                key::TSN => tsn_distance = Some(read_uint(input)?),
                key::FLAGS => flags = read_uint(input)?,
                other => skip_key(other, input)?,
            }
        }
        header.tsn = header.lsn.wrapping_sub(tsn_distance.unwrap_or(0));
        header.is_commit = tsn_distance.is_none() || flags & FLAG_COMMIT != 0;
        header.flags = flags & !FLAG_COMMIT;
        Ok(header)
    }
}

fn write_nonzero(out: &mut Vec<u8>, key: u64, value: u64) {
    if value != 0 {
        write_uint(out, key);
        write_uint(out, value);
    }
}

fn read_u32(input: &mut &[u8]) -> msgpack::Result<u32> {
    u32::try_from(read_uint(input)?).map_err(|_| Fault::Type)
}

fn read_double(input: &mut &[u8]) -> msgpack::Result<f64> {
    if let [0xcb, rest @ ..] = *input
        && let Some((bits, rest)) = rest.split_first_chunk()
    {
        *input = rest;
        return Ok(f64::from_be_bytes(*bits));
    }
    Err(read(input).err().unwrap_or(Fault::Type))
}

/// Skips the value of a key that no row needs, once its type is known to be right.
fn skip_key(key: u64, input: &mut &[u8]) -> msgpack::Result<()> {
    let token = read(&mut { *input })?;
    let fits = key_type(key).is_none_or(|kind| kind.fits(&token));
    if fits { skip(input) } else { Err(Fault::Type) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .map(|byte| char::from(byte).to_digit(16).expect("a digit") as u8)
            .collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// `bytes` read as `header`, and `header` is written as `bytes`.
    fn check(bytes: &str, header: Header) {
        let bytes = hex(bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(Header::read(&mut rest), Ok(header));
        assert!(rest.is_empty());
        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn rows_of_real_files() {
        let timestamp = f64::from_bits(0x41da_c11c_0aa4_de4c);
        let row =
            Header { row_type: 2, replica_id: 1, timestamp, is_commit: true, ..Header::default() };
        check("8400020201030104cb41dac11c0aa4de4c", Header { lsn: 1, tsn: 1, ..row });
        check(
            "8600020201030104cb41dac11c0aa4de4c08000902",
            Header { lsn: 1, tsn: 1, is_commit: false, flags: 2, ..row },
        );
        check("8600020201030304cb41dac11c0aa4de4c08020901", Header { lsn: 3, tsn: 1, ..row });
        check(
            "8500020701030104cb41dac11c0aa4de4c08cfffffffffffffffd0",
            Header { replica_id: 0, group_id: 1, lsn: 1, tsn: 49, is_commit: false, ..row },
        );
        check("82000204cb41dac11c0aa4de4c", Header { replica_id: 0, ..row });
        check("8100 0c", Header { row_type: 12, is_commit: true, ..Header::default() });
    }

    #[test]
    fn unknown_keys_are_skipped_and_known_ones_of_another_type_refused() {
        let check = |bytes: &str, fault: Option<Fault>| {
            let bytes = hex(bytes);
            assert_eq!(Header::read(&mut bytes.as_slice()).err(), fault, "{bytes:02x?}");
        };
        check("82 0002 cc7e 9203c0", None);
        check("82 0002 0a07", None);
        check("82 0002 0ac0", Some(Fault::Type));
        check("82 0002 2105", Some(Fault::Type));
        check("82 0002 0405", Some(Fault::Type));
        check("82 0002 a14105", Some(Fault::Type));
        check("82 0002 02cf0000000100000000", Some(Fault::Type));
        check("82 0002", Some(Fault::Truncated));
        check("90", Some(Fault::Type));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            (row_type, replica_id, group_id) in (any::<u64>(), any::<u32>(), any::<u32>()),
            (lsn, tsn, flags) in (any::<u64>(), any::<u64>(), any::<u64>()),
            (timestamp, is_commit) in (-1e12..1e12, any::<bool>()),
        ) {
            let flags = flags & !FLAG_COMMIT;
            let header =
                Header { row_type, replica_id, group_id, lsn, timestamp, tsn, is_commit, flags };
            let mut out = Vec::new();
            header.write(&mut out);
            out.push(0x80);
            let mut rest = out.as_slice();
            prop_assert_eq!(Header::read(&mut rest), Ok(header));
            prop_assert_eq!(rest, [0x80]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Header::read(&mut bytes.as_slice());
        }
    }
}
