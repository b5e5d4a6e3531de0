//! IPROTO: frames off the front of the input, headers, bodies.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lycosa_proto::iproto::{Body, Frame, Header, frame, key};
use lycosa_proto::msgpack;

const PACKET_BYTES_MAX: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    packet(data);
    let mut rest = data;
    while let Ok(Frame::Complete { head, total }) = frame(rest, PACKET_BYTES_MAX) {
        assert!(0 < head && head <= total && total <= rest.len());
        for cut in [0, head - 1, head, total - 1] {
            let part = frame(&rest[..cut.min(total - 1)], PACKET_BYTES_MAX);
            assert!(matches!(part, Ok(Frame::Incomplete { .. })), "a part of a packet waits");
        }
        packet(&rest[head..total]);
        rest = &rest[total..];
    }
});

fn packet(bytes: &[u8]) {
    let Ok(header) = Header::decode(bytes) else { return };
    let Ok(body) = Body::decode(header.body) else { return };
    let arrays = [body.key, body.tuple, body.ops, body.after_tuple];
    for array in arrays.into_iter().flatten() {
        assert!(msgpack::check_all(array).is_ok(), "what the engine gets is well-formed");
        assert!(msgpack::read_array(&mut { array }).is_ok(), "and an array");
    }
    let _ = body.require(&[key::SPACE_ID, key::KEY, key::TUPLE]);
}
