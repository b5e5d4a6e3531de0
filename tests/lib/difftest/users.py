"""Draws users, roles, functions and rights, and looks at them through the views."""

from ..iproto import Iter, Type
from .request import FUNC, PRIV, USER, VINDEX, VPRIV, VSPACE, VUSER
from .schema import SPACE_IDS, SchemaMaker

ADMIN = 1
# The id of nothing.
NOBODY = 999
USER_IDS = [101, 102, 103]
FUNC_IDS = [201, 202]
# What a right is on, with the ids that there may be.
OBJECTS = {
    "space": [*SPACE_IDS, 600],
    "universe": [0, 0, 1],
    "function": FUNC_IDS,
    "user": USER_IDS,
    "role": [*USER_IDS, 2],
    "sequence": [1, 2],
}
# Bits of rights, some of them of no meaning for some objects.
RIGHTS = [1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 0, 7]


class UserMaker(SchemaMaker):
    """Requests to the system spaces of access."""

    def change_access(self):
        """One change or one look."""
        self.pick(
            [self.put_user, self.put_user, self.put_func, self.grant, self.grant, self.revoke]
            + [self.drop, self.look, self.look]
        )()

    def put_user(self):
        user_id = self.pick(USER_IDS)
        kind = "role" if user_id == USER_IDS[-1] else "user"
        if self.chance(0.1):
            kind = self.pick(["role", "user", "odd", 1])
        # The hash of no password.
        password = {"chap-sha1": "vhvewKp0tNyweZQ+cFKAlsyphfg="}
        auth = password if kind == "user" and self.chance(0.3) else {}
        row = [user_id, ADMIN, f"u{user_id}", kind, auth]
        if self.chance(0.05):
            row[2] = self.pick(["admin", "u101", ""])
        self.emit(self.pick([Type.INSERT, Type.REPLACE]), space_id=USER, tuple=row)

    def put_func(self):
        func_id = self.pick(FUNC_IDS)
        row = [func_id, ADMIN, f"fn{func_id}", self.pick([0, 1])]
        if self.chance(0.5):
            row.append("LUA")
        self.emit(Type.INSERT, space_id=FUNC, tuple=row)

    def grant(self):
        kind = self.pick(list(OBJECTS))
        row = [ADMIN, self.pick(USER_IDS), kind, self.pick(OBJECTS[kind])]
        if self.chance(0.05):
            row[self.random.randrange(4)] = self.pick([NOBODY, "odd"])
        row.append(self.pick(RIGHTS))
        self.emit(self.pick([Type.INSERT, Type.REPLACE]), space_id=PRIV, tuple=row)

    def revoke(self):
        kind = self.pick(list(OBJECTS))
        key = [self.pick(USER_IDS), kind, self.pick(OBJECTS[kind])]
        self.emit(Type.DELETE, space_id=PRIV, key=key)

    def drop(self):
        if self.chance(0.5):
            self.emit(Type.DELETE, space_id=USER, key=[self.pick(USER_IDS)])
        else:
            self.emit(Type.DELETE, space_id=FUNC, key=[self.pick(FUNC_IDS)])

    def look(self):
        """SELECTs from a view, or from the space behind it, what a run can have made."""
        choices = [(VSPACE, SPACE_IDS), (VINDEX, SPACE_IDS), (VUSER, USER_IDS), (USER, USER_IDS)]
        if self.chance(0.4):
            body = {"index_id": 1, "key": [self.pick(USER_IDS)]}
            self.emit(Type.SELECT, space_id=self.pick([VPRIV, PRIV]), limit=100, **body)
            return
        space_id, ids = self.pick(choices)
        body = {"key": [self.pick(ids)], "iterator": Iter.EQ.value, "limit": 100}
        self.emit(Type.SELECT, space_id=space_id, index_id=0, **body)
