//! The header of a journal row: what is read and written again reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lycosa::wal::xlog::Row;
use lycosa_proto::xrow::Header;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(row) = Row::read(&mut rest) {
        let mut again = Vec::new();
        row.header.write(&mut again);
        let header = Header::read(&mut again.as_slice()).expect("a header that was written");
        // NaN is not equal to itself: its bits are compared.
        let bits = |header: &Header| header.timestamp.to_bits();
        // A zero with a sign is left out as every zero is.
        if row.header.timestamp != 0.0 {
            assert_eq!(bits(&header), bits(&row.header));
        }
        let plain = |header: &Header| Header { timestamp: 0.0, ..*header };
        assert_eq!(plain(&header), plain(&row.header));
    }
});
