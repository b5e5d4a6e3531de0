"""The verdict on one case: what the server under test answered against what real Tarantool answered."""

from enum import Enum

from ..iproto import ERROR_BIT
from .packet import ERROR_CODE, ERROR_FIELDS


class Verdict(Enum):
    """From best to worst."""

    SAME = "same"
    TEXT = "same-code-different-text"
    DIFFERENT = "different"
    NO_ANSWER = "no-answer"
    SETUP = "setup-failed"


ORDER = list(Verdict)


def judge(want, got, tags, want_closed, got_closed):
    """(verdict, reason) for the packets of a case and for what became of the connection."""
    if want and not got:
        return Verdict.NO_ANSWER, "closed" if got_closed else "no answer in time"
    if len(want) != len(got):
        return Verdict.DIFFERENT, f"{len(want)} packets, got {len(got)}"
    verdicts = [judge_packet(w, g, tags) for w, g in zip(want, got, strict=True)]
    if want_closed != got_closed:
        verdicts.append((Verdict.DIFFERENT, "closed" if got_closed else "left open"))
    return max(verdicts, key=lambda v: ORDER.index(v[0]), default=(Verdict.SAME, ""))


def judge_packet(want, got, tags):
    """(verdict, reason) for one packet. Error payloads count in full only where a case is about them."""
    if want.malformed or got.malformed:
        return Verdict.DIFFERENT, want.malformed or got.malformed
    if want.status != got.status:
        return Verdict.DIFFERENT, f"status {name(want.status)}, got {name(got.status)}"
    if want.sync != got.sync:
        return Verdict.DIFFERENT, f"sync {want.sync}, got {got.sync}"
    if want.header != got.header:
        return Verdict.DIFFERENT, "other header keys"
    if "schema_version" in tags and want.schema_version != got.schema_version:
        return Verdict.DIFFERENT, f"schema version {want.schema_version}, got {got.schema_version}"
    if not want.is_error:
        if want.body != got.body:
            keys = sorted(want.body.keys() ^ got.body.keys())
            return Verdict.DIFFERENT, "body keys " + ", ".join(map(hex, keys)) if keys else "body"
        if "bytes" in tags and want.data != got.data:
            return Verdict.DIFFERENT, "bytes of the data"
        return Verdict.SAME, ""
    about_payload = "error_stack" in tags
    if about_payload and shape(want.frames) != shape(got.frames):
        return Verdict.DIFFERENT, "error stack"
    if want.message != got.message:
        return Verdict.TEXT, "message"
    if about_payload and member(want.frames, ERROR_FIELDS) != member(got.frames, ERROR_FIELDS):
        return Verdict.TEXT, "error fields"
    return Verdict.SAME, ""


def name(status):
    if isinstance(status, int) and status & ERROR_BIT:
        return f"error {status & ~ERROR_BIT}"
    return f"{status}"


def member(frames, key):
    return frames and [dict(f).get(key) for f in frames]


def shape(frames):
    """Types and codes of an error and its causes."""
    return frames and [(dict(f).get(0), dict(f).get(ERROR_CODE)) for f in frames]
