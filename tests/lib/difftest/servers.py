"""Runs requests on one server and cleans up after them."""

from ..fresh import Fresh
from ..iproto import Closed, Connection, Iter, Key, Reply, Type
from .request import (
    FUNC,
    INDEX,
    PRIV,
    SEQUENCE,
    SEQUENCE_DATA,
    SPACE,
    SPACE_SEQUENCE,
    TRUNCATE,
    USER,
    Answer,
    Request,
)
from .schema import INDEX_ID_MAX, SEQUENCE_ID, SPACE_IDS
from .users import FUNC_IDS, NOBODY, OBJECTS, USER_IDS

REPLY_SEC = 30.0
# The sync of the first request of a run.
FIRST_SYNC = 100
ACCESS = [USER, PRIV, FUNC]


class Side:
    """One of the two servers. Nothing is kept on disk: a journal would only make Tarantool yield between requests."""

    def __init__(self, kind):
        self.fresh = Fresh(kind, wal_mode="none")
        self.kind, self.crashes = kind, 0
        # A run may have made users, functions or rights.
        self.has_access = False

    def __enter__(self):
        self.fresh.start()
        return self

    def __exit__(self, *_):
        self.fresh.end()

    def answers(self, requests):
        """Answers in the order of the requests. The list ends early with one that says how the server failed."""
        self.has_access |= any(r.body.get(Key.SPACE_ID) in ACCESS for r in requests)
        with Connection(self.fresh.port, timeout=REPLY_SEC) as conn:
            out = self.exchange(conn, requests)
        if (
            out
            and out[-1].status == "closed"
            and self.fresh.revive(quietly=self.kind == "tarantool")
        ):
            self.crashes += 1
            out[-1] = Answer("crash")
        return out

    def exchange(self, conn, requests):
        conn.send(b"".join(r.bytes(FIRST_SYNC + i) for i, r in enumerate(requests)))
        out = []
        for i in range(len(requests)):
            try:
                payload = self.payload(conn)
            except Closed:
                return [*out, Answer("closed")]
            except TimeoutError:
                return [*out, Answer("silent")]
            except AssertionError as e:
                return [*out, Answer("malformed", str(e))]
            if Reply(payload).sync != FIRST_SYNC + i:
                return [*out, Answer("malformed", "replies out of order")]
            out.append(Answer.of(payload))
        return out

    @staticmethod
    def payload(conn):
        """The bytes of the next reply."""
        while (payload := conn.framer.next()) is None:
            try:
                more = conn.socket.recv(1 << 16)
            except ConnectionError as e:
                raise Closed(str(e)) from e
            if not more:
                raise Closed("end of stream")
            conn.framer.feed(more)
        return payload

    @staticmethod
    def removals_of_access():
        rights = [(kind, on) for kind, ids in OBJECTS.items() for on in {*ids, NOBODY}]
        requests = [removal(PRIV, [user, kind, on]) for user in USER_IDS for kind, on in rights]
        requests += [removal(FUNC, [func_id]) for func_id in FUNC_IDS]
        return requests + [removal(USER, [user_id]) for user_id in USER_IDS]

    def clean(self):
        """Drops what a run may have made; a server where that does not work is begun anew."""
        requests = self.removals_of_access() if self.has_access else []
        self.has_access = False
        for space_id in SPACE_IDS:
            requests.append(removal(SPACE_SEQUENCE, [space_id]))
            ids = range(INDEX_ID_MAX, -1, -1)
            requests += [removal(INDEX, [space_id, index_id]) for index_id in ids]
            requests.append(removal(TRUNCATE, [space_id]))
            requests.append(removal(SPACE, [space_id]))
        requests.append(removal(SEQUENCE_DATA, [SEQUENCE_ID]))
        requests.append(removal(SEQUENCE, [SEQUENCE_ID]))
        for space_id, first in (SPACE, SPACE_IDS[0]), (USER, USER_IDS[0]):
            body = {Key.SPACE_ID: space_id, Key.ITERATOR: Iter.GE.value, Key.KEY: [first]}
            requests.append(Request(Type.SELECT, body | {Key.LIMIT: 10}))
        left = self.answers(requests)[-2:]
        self.has_access = False
        if any(answer.status != "ok" or answer.rows for answer in left):
            self.fresh.renew()


def removal(space_id, key):
    return Request(Type.DELETE, {Key.SPACE_ID: space_id, Key.INDEX_ID: 0, Key.KEY: key})
