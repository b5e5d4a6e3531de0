"""`box.*` over CALL: our server and Debian's Tarantool get the same calls in the same order and answer alike.

Both start empty. Where Tarantool 3 answers otherwise than 2.6, ours follows 3: the constants and functions below have every
such difference.
"""

import json
import subprocess

import pytest

from lib.iproto import Key, ServerError, Type
from lib.server import Lycosa, Tarantool, tarantool_binary

pytestmark = pytest.mark.lycosa

# One call a line: name, arguments as JSON. Those that fail must leave nothing behind.
CALLS = """
box.session.su ["admin"]
box.schema.space.create ["s", {"id": 700}]
box.schema.space.create ["s"]
box.schema.space.create ["s", {"if_not_exists": true}]
box.schema.space.create [1]
box.schema.space.create ["x", {"foo": 1}]
box.schema.space.create ["x", {"id": "x"}]
box.schema.space.create ["x", {"user": "nope"}]
box.schema.space.create ["x", {"engine": "zz"}]
box.schema.space.create ["x", 5]
box.schema.space.create ["f", {"id": 701, "format": [["a", "unsigned"], {"name": "b", "type": "str", "is_nullable": true}, ["c"], "d"]}]
box.schema.space.create ["far", {"id": 900, "temporary": true, "field_count": 3}]
box.space.f:format []
box.space.f:format [[["a", "unsigned"], ["b", "string"]]]
box.space.f:format []
box.space.f:format [[["a", 5]]]
box.space.f:format [[{"type": "unsigned"}]]
box.schema.space.format [9999]
box.schema.space.format ["x"]
box.space.s:create_index ["pk"]
box.space.s:create_index ["pk"]
box.space.s:create_index ["pk", {"if_not_exists": true}]
box.space.s:create_index [5]
box.space.s:create_index ["sk", {"parts": [[2, "string"]], "foo": 1}]
box.space.s:create_index ["sk", {"parts": [["zz", "string"]]}]
box.space.s:create_index ["sk", {"parts": []}]
box.space.s:create_index ["sk", {"parts": [0, "string", 1, "unsigned"]}]
box.space.s:create_index ["sk", {"parts": [[0, "string"]]}]
box.space.s:create_index ["sk", {"parts": [{"field": 2, "type": "string", "is_nullable": 1}]}]
box.space.s:create_index ["sk", {"parts": [{"field": 2, "type": "string", "collation": "nope"}]}]
box.space.s:create_index ["sk", {"parts": [2, "str", 3, "uint"], "unique": false}]
box.space.s:create_index ["s3", {"parts": [{"field": 2, "type": "string", "is_nullable": true}], "unique": false, "id": 7}]
box.space.s:create_index ["s4", {"parts": [3], "type": "hash"}]
box.space.s:create_index ["s5", {"sequence": true, "parts": [3, "unsigned"]}]
box.space.s.index.sk:rename ["sk2"]
box.space.s.index.sk2:rename [1]
box.space.s.index.sk2:alter [{"unique": true}]
box.space.s.index.sk2:alter [{"foo": true}]
box.space.s.index.sk2:alter [{"id": 5, "unique": true}]
box.space.s.index.sk2:alter [{"parts": [[3, "unsigned"]]}]
box.space.s.index.sk2:alter []
box.space.s.index.sk2:drop []
box.space.s.index.s3:drop []
box.schema.index.drop ["x", 0]
box.space.s:insert [[1, "x", 3]]
box.space.s:auto_increment [["y", 4]]
box.space.s:bsize []
box.space.s:len []
box.space.s.index.pk:stat []
box.space.s.index.pk:compact []
box.space.s:pairs []
box.space.s:rename ["t"]
box.space.t:rename [1]
box.space.t:truncate []
box.space.t:len []
box.space.f:create_index ["pk"]
box.space.f:create_index ["by_b", {"parts": ["b", "a"]}]
box.space.f:insert [[1, "x"]]
box.space.f:format [[["a", "string"]]]
box.schema.space.create ["q", {"id": 702}]
box.space.q:create_index ["pk", {"sequence": "nope"}]
box.space.q:create_index ["pk", {"sequence": true, "parts": [1, "string"]}]
box.space.q:create_index ["pk", {"sequence": {"field": 2}}]
box.space.q:create_index ["pk", {"sequence": true}]
box.space.q:insert [[null, "x"]]
box.space.q:insert [[null, "y"]]
box.sequence.q_seq:next []
box.schema.sequence.create ["z"]
box.schema.sequence.create ["z"]
box.schema.sequence.create ["z", {"if_not_exists": true}]
box.schema.sequence.create [5]
box.schema.sequence.create ["y", {"foo": 5}]
box.schema.sequence.create ["down", {"step": -1, "max": -5, "min": -7, "cycle": true}]
box.sequence.down:next []
box.sequence.down:next []
box.sequence.down:next []
box.sequence.down:next []
box.sequence.z:current []
box.sequence.z:next []
box.sequence.z:current []
box.sequence.z:set [10]
box.sequence.z:set []
box.sequence.z:set ["x"]
box.sequence.z:next []
box.sequence.z:reset []
box.sequence.z:current []
box.sequence.z:alter [{"step": 5, "max": 100}]
box.sequence.z:alter [{"foo": 5}]
box.sequence.z:alter []
box.sequence.z:next []
box.sequence.z:next []
box.sequence.nope:next []
box.sequence.z []
box.schema.user.create ["u", {"password": "pw"}]
box.schema.user.create ["u"]
box.schema.user.create ["u", {"if_not_exists": true}]
box.schema.user.create ["v", {"foo": 1}]
box.schema.user.create []
box.schema.user.create ["n"]
box.schema.user.exists ["u"]
box.schema.user.exists ["nope"]
box.schema.user.grant ["u", "read", "universe"]
box.schema.user.grant ["u", "read", "universe"]
box.schema.user.grant ["u", "read", "universe", null, {"if_not_exists": true}]
box.schema.user.grant ["u", "read,write", "space", "t"]
box.schema.user.grant ["u", "read", "space", "t"]
box.schema.user.grant ["u", "read,write", "space", "nope"]
box.schema.user.grant ["u", "create", "space"]
box.schema.user.grant ["u", "bogus", "space", "t"]
box.schema.user.grant ["u", "read", "bogus", "t"]
box.schema.user.grant ["u", "usage", "user", "n"]
box.schema.user.grant ["u", "super"]
box.schema.user.grant ["u", "super"]
box.schema.user.grant ["u", "nope"]
box.schema.user.grant ["nope", "read", "universe"]
box.schema.user.grant ["u", "execute", "function", "nope"]
box.schema.user.grant ["u", "read", "sequence", "z"]
box.schema.user.grant ["u", "read", "sequence", "nope"]
box.schema.user.info ["u"]
box.schema.user.info ["nope"]
box.schema.user.info []
box.schema.user.revoke ["u", "write", "space", "t"]
box.schema.user.revoke ["u", "write", "space", "t"]
box.schema.user.revoke ["u", "write", "space", "t", {"if_exists": true}]
box.schema.user.revoke ["u", "super"]
box.schema.user.revoke ["u", "super"]
box.schema.user.password ["abc"]
box.schema.user.passwd ["u", "abc"]
box.schema.user.passwd ["nope", "abc"]
box.schema.user.disable ["u"]
box.schema.user.info ["u"]
box.schema.user.enable ["u"]
box.schema.role.create ["r"]
box.schema.role.create ["r"]
box.schema.role.create ["u"]
box.schema.role.exists ["r"]
box.schema.role.grant ["r", "read", "universe"]
box.schema.role.grant ["r", "session", "universe"]
box.schema.role.grant ["nope", "read", "universe"]
box.schema.role.grant ["r", "r"]
box.schema.role.info ["r"]
box.schema.role.info []
box.schema.user.grant ["u", "r"]
box.schema.func.create ["f1"]
box.schema.func.create ["f1"]
box.schema.func.create ["f1", {"if_not_exists": true}]
box.schema.func.create ["f2", {"foo": true}]
box.schema.func.exists ["f1"]
box.schema.func.exists ["nope"]
box.schema.func.exists []
box.schema.user.grant ["u", "execute", "function", "f1"]
box.schema.user.info ["u"]
box.schema.func.drop ["f1"]
box.schema.func.drop ["f1"]
box.schema.func.drop ["f1", {"if_exists": true}]
box.schema.role.revoke ["r", "read", "universe"]
box.schema.role.revoke ["r", "read", "universe"]
box.schema.user.drop ["u"]
box.schema.user.drop ["u"]
box.schema.user.drop ["u", {"if_exists": true}]
box.schema.user.drop ["guest"]
box.schema.role.drop ["r"]
box.schema.role.drop ["r"]
box.schema.role.drop ["super"]
box.schema.user.drop ["n"]
box.schema.sequence.drop ["z"]
box.schema.sequence.drop ["z"]
box.schema.sequence.drop ["down"]
box.space.q:drop []
box.sequence.q_seq:next []
box.space.t:drop []
box.space.t:drop []
box.schema.space.rename ["x", "y"]
box.session.user []
box.session.uid []
box.session.effective_user []
box.session.su ["nope"]
box.session.type []
box.begin []
box.commit []
box.rollback []
box.savepoint []
box.space []
box.schema []
box.schema.user []
box.sequence []
box.sequence.nope []
box.schema.nope []
box.schema.space.create ["last", {"id": 703}]
box.space.last:create_index ["pk", {"sequence": true}]
box.space.last:insert [[null, "x"]]
box.space.last.index.pk:alter [{"sequence": false}]
box.sequence.last_seq:next []
box.space.last.index.pk:alter [{"sequence": true}]
box.space.last:insert [[null, "z"]]
box.schema.space.drop [9999]
box.schema.space.drop [9999, "nope"]
box.schema.space.drop [9999, "nope", {"if_exists": true}]
"""

# Codes whose text says more in 3: the values that stood in the way, the names of fields.
LONGER_TEXTS = {3, 27}
# What a space is answered with where 2.6 fails to send a function, after the space is made.
NO_FUNCTIONS = (32, "unsupported Lua type 'function'")
# Other codes in 3, which raises errors of its own where 2.6 raises errors of Lua.
OTHER_CODES = {"Don't know how to update both id and unique": 1}


def answer(conn, line):
    """Code and text of an error, or the values."""
    name, _, args = line.partition(" ")
    reply = conn.exchange(Type.CALL, {Key.FUNCTION_NAME: name, Key.TUPLE: json.loads(args)})
    return (reply.code, reply.message) if reply.code else plain(reply.data)


def plain(values):
    """Values without what only Tarantool 3 has: hints, `exclude_null` of parts, two privileges of admin."""
    if isinstance(values, str):
        return values.removesuffix(",grant,metagrant")
    if isinstance(values, dict):
        left = {k: v for k, v in values.items() if k not in ("hint", "exclude_null")}
        return {k: plain(v) for k, v in left.items()}
    return [plain(v) for v in values] if isinstance(values, list) else values


def as_in_3(answered):
    """An answer of 2.6 as 3 gives it."""
    if not isinstance(answered, tuple):
        return answered
    code, text = answered
    text = text.removeprefix("Illegal parameters, ")
    return OTHER_CODES.get(text, code), "" if code in LONGER_TEXTS else text


def comparable(answered):
    """An answer of ours without what 2.6 leaves out of texts."""
    is_longer = isinstance(answered, tuple) and answered[0] in LONGER_TEXTS
    return (answered[0], "") if is_longer else answered


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A connection to each server, after all calls, with what they answered."""
    with (
        Lycosa(tmp_path_factory.mktemp("lycosa"), roles=()) as ours,
        Tarantool(tmp_path_factory.mktemp("tarantool")) as theirs,
        ours.connect() as to_ours,
        theirs.connect() as to_theirs,
    ):
        lines = [line for line in CALLS.splitlines() if line]
        yield ours, theirs, [(line, answer(to_ours, line), answer(to_theirs, line)) for line in lines]


def test_answers_are_tarantools(both):
    wrong = []
    for line, ours, theirs in both[2]:
        if theirs == NO_FUNCTIONS:
            assert ours[1] in ("created", "not created"), (line, ours)
        elif comparable(ours) != as_in_3(theirs):
            wrong.append(f"{line}\n    ours   {ours}\n    theirs {theirs}")
    assert not wrong, "\n" + "\n".join(wrong)


def journal(server, directory):
    """What the journal has of system spaces: type, space, key, tuple or operations, in order."""
    script = (
        "local json = require('json') for _, row in require('xlog').pairs(arg[1]) do "
        "local b = row.BODY if b ~= nil and b.space_id < 512 then "
        "print(json.encode({row.HEADER.type, b.space_id, b.key or 0, b.tuple or 0, b.operations or 0})) "
        "end end os.exit(0)"
    )
    (directory / "rows.lua").write_text(script)
    rows = []
    for path in server.files("*.xlog"):
        done = subprocess.run(
            [tarantool_binary(), directory / "rows.lua", path], capture_output=True, text=True, check=True
        )
        rows += [json.loads(line) for line in done.stdout.splitlines()]
    return rows


def test_rows_are_tarantools(both, tmp_path):
    ours, theirs = (journal(server, tmp_path) for server in both[:2])

    def kept(row):
        """Without what tells one start or one version from the other."""
        kind, space, key, data, operations = row
        if space == 272:  # `max_id`, which each version counts in its own way
            return None
        if kind == "DELETE" and space in (330, 340):  # 2.6 deletes without looking
            return None
        if space == 296 and data:
            data = data[:17]  # the time of a function's creation, and triggers in 3
        if space == 304 and data:
            data = data[:5]  # the history of passwords in 3
        return kind, space, key, data, operations

    def between(rows):
        """From the first space to the last, of which 2.6 takes the sequence before it changes the index, and 3 after."""
        spaces = {row[3][2]: i for i, row in enumerate(rows) if row[1] == 280 and row[0] == "INSERT"}
        rows = [row for row in map(kept, rows[spaces["s"] : spaces["last"]]) if row]
        # 3 writes the value of a sequence once more before it takes it away.
        return [row for row, after in zip(rows, [*rows[1:], None]) if row != after]

    for n, (mine, real) in enumerate(zip(between(ours), between(theirs))):
        assert mine == real, (n, mine, real)
    assert len(between(ours)) == len(between(theirs))


# Changes of options: what both answer.
CFG = """
box.cfg {"foo": 1}
box.cfg {"log_level": 5}
box.cfg {"log_level": 6}
box.cfg {"memtx_memory": 40000000}
box.cfg {"memtx_memory": "x"}
box.cfg {"wal_mode": "none"}
box.cfg {"wal_mode": "write"}
box.cfg {"work_dir": "/nowhere"}
box.cfg {"checkpoint_count": 0}
box.cfg {"checkpoint_count": 3}
box.cfg {"checkpoint_interval": "x"}
box.cfg {"checkpoint_interval": 7200}
box.cfg {"read_only": false}
"""


def test_options_are_changed_as_tarantools(both):
    with both[0].connect() as ours, both[1].connect() as theirs:
        for line in CFG.splitlines():
            if line:
                line = line.replace("{", "[{").replace("}", "}]")
                assert answer(ours, line) == as_in_3(answer(theirs, line)), line
        options = ours.call("box.cfg")[0]
        assert (options["checkpoint_count"], options["checkpoint_interval"]) == (3, 7200)
        refused = answer(ours, 'box.cfg [{"checkpoint_count": 5, "iproto_threads": 5}]')
        assert refused == (58, "Can't set option 'iproto_threads' dynamically")
        assert ours.call("box.cfg")[0]["checkpoint_count"] == 3


def test_the_log_follows_its_level(server):
    with server.connect() as conn:
        for level in ("error", "info"):
            conn.call("box.cfg", {"log_level": level})
            before = server.log().count("removed")
            conn.call("box.cfg", {"checkpoint_count": 1})
            for n in range(2):
                conn.call("box.schema.sequence.create", f"for_the_log_{level}_{n}")
                conn.call("box.snapshot")
            assert (server.log().count("removed") > before) == (level == "info")


def test_requests_are_counted(server):
    with server.connect() as conn:
        before, net = conn.call("box.stat")[0], conn.call("box.stat.net")[0]
        for _ in range(3):
            conn.select(280, [280])
        with pytest.raises(ServerError):
            conn.call("nope")
        after = conn.call("box.stat")[0]
        grown = {kind: after[kind]["total"] - before[kind]["total"] for kind in after}
        assert {kind: by for kind, by in grown.items() if by} == {"SELECT": 3, "CALL": 3, "ERROR": 1}
        assert conn.call("box.stat.net")[0]["SENT"]["total"] > net["SENT"]["total"]


def test_a_session_becomes_another_user(server):
    with server.connect() as conn:
        assert conn.call("box.session.su", "admin") == []
        assert conn.call("box.session.user") == ["admin"]
        conn.call("box.schema.user.create", "plain", {"password": "x"})
        try:
            with server.connect(user="plain", password="x") as plain_conn:
                with pytest.raises(ServerError, match="Execute access to function 'box.info' is denied"):
                    plain_conn.call("box.info")
                # Every lua_call does not reach what Tarantool itself defines; the name does.
                conn.call("box.schema.user.grant", "plain", "execute", "lua_call")
                with pytest.raises(ServerError, match="is denied"):
                    plain_conn.call("box.info")
                conn.call("box.schema.user.grant", "plain", "execute", "lua_call", "box.info")
                assert plain_conn.call("box.info")[0]["status"] == "running"
                conn.call("box.schema.func.create", "box.session.user")
                conn.call("box.schema.user.grant", "plain", "execute", "function", "box.session.user")
                assert plain_conn.call("box.session.user") == ["plain"]
        finally:
            conn.call("box.schema.user.drop", "plain")
            conn.call("box.schema.func.drop", "box.session.user", {"if_exists": True})


def test_a_read_only_instance_aborts_who_has_written(server):
    """Open transactions that have written are aborted; readers and temporary spaces go on."""
    refused = "Can't modify data on a read-only instance"
    with server.connect() as admin, server.connect() as client:
        for name, options in (("t", {}), ("tt", {"type": "temporary"})):
            admin.call("box.schema.space.create", name, options)
            admin.call(f"box.space.{name}:create_index", "pk")
        space_id = admin.call("box.space._space.index.name:get", "t")[0][0]
        writer, reader = client.stream(1), client.stream(2)
        writer.begin()
        reader.begin()
        writer.replace(space_id, [1])
        reader.select(space_id)
        admin.call("box.cfg", {"read_only": True})
        with pytest.raises(ServerError) as error:
            writer.commit()
        assert (error.value.code, error.value.message) == (7, refused)
        reader.commit()
        reply = client.exchange(Type.REPLACE, {Key.SPACE_ID: space_id, Key.TUPLE: [1]})
        assert reply.message == refused + " - box.cfg.read_only is true"
        assert admin.call("box.space.tt:replace", [1]) == [[1]]
        admin.call("box.cfg", {"read_only": False})
        assert client.replace(space_id, [1]) == [[1]]


def test_statistics_begin_anew(server):
    with server.connect() as client:
        client.call("box.info")
        client.call("box.stat.reset")
        net = client.call("box.stat.net")[0]
        assert net["REQUESTS"]["total"] == 1
        assert net["CONNECTIONS"]["current"] >= 1
        assert client.call("box.stat")[0]["CALL"]["total"] == 2
        assert client.call("box.info.memory")[0]["net"] > 0
        own = client.call("box.session.id")[0]
        assert client.call("box.session.exists", own) == [True]
        assert client.call("box.session.exists", own + 1) == [False]
        with server.connect() as other:
            theirs = other.call("box.session.id")[0]
            peer = other.call("box.session.peer")
            assert client.call("box.session.peer", theirs) == peer
