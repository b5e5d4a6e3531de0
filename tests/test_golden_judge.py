"""The replayer's judge can tell what it is for: answers that differ by one thing get the verdict for that thing."""

import json
import struct
from types import SimpleNamespace

import msgpack
import pytest

from lib.golden import packet
from lib.golden.judge import Verdict, judge
from lib.golden.known import Known
from lib.golden.replay import Outcome
from lib.golden.value import Decoder, Malformed
from lib.iproto import frame

SAME, TEXT, DIFFERENT, NO_ANSWER = Verdict.SAME, Verdict.TEXT, Verdict.DIFFERENT, Verdict.NO_ANSWER


def reply(data, sync=7, status=0):
    """A reply whose DATA is the given MsgPack."""
    return frame(msgpack.packb({0: status, 1: sync, 5: 80}) + b"\x81\x30" + data)


def error(code, text, kind="ClientError", line=1):
    stack = {0: [{0: kind, 1: "f.c", 2: line, 3: text, 4: 0, 5: code}]}
    return frame(
        msgpack.packb({0: 0x8000 | code, 1: 7, 5: 80}) + msgpack.packb({0x31: text, 0x52: stack})
    )


def verdict(want, got, tags=(), want_closed=False, got_closed=False, **norms):
    packets = [
        packet.normalise(
            packet.decode_all(stream), norms.get("norms", ()), norms.get("unordered", False)
        )
        for stream in (want, got)
    ]
    return judge(*packets, set(tags), want_closed, got_closed)[0]


ONE = b"\xdd\x00\x00\x00\x01"  # DATA of one element, as servers write its head


@pytest.mark.parametrize(
    "want, got, expected",
    [
        (b"\x01", b"\x01", SAME),
        (b"\x01", b"\xcd\x00\x01", SAME),  # another width of the same integer
        (b"\x01", b"\x02", DIFFERENT),
        (b"\x01", b"\xc3", DIFFERENT),  # true is not 1
        (b"\x01", b"\xcb" + struct.pack(">d", 1), DIFFERENT),
        (b"\xca" + struct.pack(">f", 1), b"\xcb" + struct.pack(">d", 1), DIFFERENT),
        (b"\xa1a", b"\xd9\x01a", SAME),
        (b"\xa1a", b"\xc4\x01a", DIFFERENT),  # a string is not a binary
        (b"\x00", b"\xc0", DIFFERENT),
        (b"\x90", b"\x80", DIFFERENT),
        (b"\x82\xa1a\x01\xa1b\x02", b"\x82\xa1b\x02\xa1a\x01", SAME),
        (b"\x82\xa1a\x01\xa1b\x02", b"\x82\xa1a\x02\xa1b\x01", DIFFERENT),
        (
            b"\xc7\x03\x01\x01\x01\x2c",
            b"\xc7\x04\x01\x01\x00\x01\x2c",
            SAME,
        ),  # a decimal with padding
        (b"\xc7\x03\x01\x01\x01\x2c", b"\xc7\x03\x01\x01\x01\x2d", DIFFERENT),  # its sign
    ],
)
def test_values(want, got, expected):
    assert verdict(reply(ONE + want), reply(ONE + got)) is expected


def test_widths_count_where_a_case_is_about_bytes():
    assert verdict(reply(ONE + b"\x01"), reply(ONE + b"\xcc\x01"), ["bytes"]) is DIFFERENT
    assert verdict(reply(ONE + b"\x01"), reply(b"\x91\x01"), ["bytes"]) is SAME


def test_errors():
    wanted = error(3, "Duplicate key")
    assert verdict(wanted, error(3, "Duplicate key", line=99)) is SAME
    assert verdict(wanted, error(3, "duplicate key")) is TEXT
    assert verdict(wanted, error(4, "Duplicate key")) is DIFFERENT
    assert verdict(wanted, reply(ONE + b"\x01")) is DIFFERENT
    assert verdict(wanted, error(3, "Duplicate key", kind="LuajitError")) is SAME
    assert (
        verdict(wanted, error(3, "Duplicate key", kind="LuajitError"), ["error_stack"]) is DIFFERENT
    )


def test_packets_and_connections():
    one = reply(ONE + b"\x01")
    assert verdict(one, b"") is NO_ANSWER
    assert verdict(b"", one) is DIFFERENT
    assert verdict(one, one + one) is DIFFERENT
    assert verdict(one, reply(ONE + b"\x01", sync=8)) is DIFFERENT
    assert verdict(one, one, want_closed=True) is DIFFERENT
    assert verdict(one, one, got_closed=True) is DIFFERENT
    assert verdict(one, frame(b"\x81\x00\xc1")) is DIFFERENT


def test_order_counts_unless_a_case_says_otherwise():
    two, turned = reply(b"\x92\x01\x02"), reply(b"\x92\x02\x01")
    assert verdict(two, turned) is DIFFERENT
    assert verdict(two, turned, unordered=True) is SAME
    assert verdict(two, reply(b"\x92\x02\x03"), unordered=True) is DIFFERENT


@pytest.mark.parametrize(
    "broken", [b"", b"\xc1", b"\x92\x01", b"\xa5ab", b"\xdf\xff\xff\xff\xff", b"\x91" * 300]
)
def test_broken_values_are_noticed(broken):
    with pytest.raises(Malformed):
        Decoder(broken).value()


def outcome(name, verdict, reason=""):
    return Outcome(SimpleNamespace(full_name=name), verdict, reason, [])


def known(path, pattern, section="Files"):
    entry = {"pattern": pattern, "reason": "because", "section": section}
    path.write_text(json.dumps([entry]))
    return Known(path)


def test_a_difference_needs_a_reason_and_a_reason_a_difference(tmp_path):
    entries = known(tmp_path / "known.json", "^group/a.*: different, error")
    explained = outcome("group/a1", DIFFERENT, "error 5")
    strange = outcome("group/a2", TEXT, "message")
    fine = outcome("group/b", SAME)
    assert len(entries.stale()) == 1
    assert entries.explain([explained, strange, fine]) == [strange]
    assert entries.stale() == []


def test_an_older_version_is_explained_by_the_one_that_is_followed(tmp_path):
    entries = known(tmp_path / "known.json", "x")
    followed = [outcome("group/same", SAME)]
    older = [outcome("group/same", DIFFERENT), outcome("group/of_old", DIFFERENT)]
    assert entries.explain_older(older, followed) == older[1:]


def test_a_reason_names_a_section_of_the_list_of_differences(tmp_path):
    with pytest.raises(ValueError, match="no section"):
        known(tmp_path / "known.json", "x", section="Nowhere")
