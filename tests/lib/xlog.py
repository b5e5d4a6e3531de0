"""Journals as files: which rows stand where. For tests that cut them, or count their LSNs.

Only blocks that are not compressed are read, which those of lycosa are not.
"""

import msgpack

END_MARKER = b"\xd5\x10\xad\xed"
MAGIC = b"\xd5\xba\x0b\xab"
FIXHEADER_BYTES = 19
# Keys of a row's header, and a type of rows without a body.
TYPE, REPLICA_ID, LSN = 0, 2, 3
NOP = 12


class Journal:
    """A file's meta lines, and its whole blocks: (offset of the end, rows as (header, body))."""

    def __init__(self, path):
        self.path = path
        data = path.read_bytes()
        head, _, _ = data.partition(b"\n\n")
        self.meta = head.decode().splitlines()
        self.meta_bytes = len(head) + 2
        self.bytes = len(data)
        self.blocks = []
        at = self.meta_bytes
        while data[at : at + 4] == MAGIC:
            end = at + FIXHEADER_BYTES + msgpack_uint(data, at + 4)
            if end > len(data):
                break
            self.blocks.append((end, rows(data[at + FIXHEADER_BYTES : end])))
            at = end
        self.is_closed = data[at:] == END_MARKER

    def start(self):
        """The LSN of replica 1 that the file begins after."""
        (line,) = [line for line in self.meta if line.startswith("VClock: ")]
        parts = dict(part.split(": ") for part in line[9:-1].split(", ") if part)
        return int(parts.get("1", 0))

    def lsns(self):
        """LSNs of replica 1, in the order of the file."""
        return [
            header[LSN]
            for _, block in self.blocks
            for header, _ in block
            if header.get(REPLICA_ID) == 1
        ]


def msgpack_uint(data, at):
    unpacker = msgpack.Unpacker()
    unpacker.feed(data[at : at + 9])
    return unpacker.unpack()


def rows(data):
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape")
    unpacker.feed(data)
    out = []
    while unpacker.tell() < len(data):
        header = unpacker.unpack()
        out.append((header, None if header[TYPE] == NOP else unpacker.unpack()))
    return out


def journals(directory):
    """The journals of a directory, oldest first."""
    return [Journal(path) for path in sorted(directory.glob("*.xlog"))]


def assert_no_gaps(directory):
    """Every row's LSN is the next one, over all files."""
    expected = None
    for journal in journals(directory):
        start = journal.start()
        assert expected in (None, start), (
            f"{journal.path.name} begins after {start}, not {expected}"
        )
        for lsn in journal.lsns():
            assert lsn == start + 1, f"{journal.path.name}: LSN {lsn} after {start}"
            start = lsn
        expected = start
