"""Schema through rows of the system spaces: the way to create things on a server without Lua."""

from .iproto import password_hash

SCHEMA, SPACE, VSPACE, INDEX, VINDEX, USER, PRIV = 272, 280, 281, 288, 289, 304, 312
ADMIN = 1
SUPER_ROLE = 31
FIRST_USER_SPACE = 512

READ, WRITE, EXECUTE, SESSION, USAGE = 1, 2, 4, 8, 16


def create_space(conn, space_id, name, fields=(), temporary=False):
    """Makes a memtx space; `fields` are (name, type) or (name, type, is_nullable)."""
    layout = [
        {"name": f[0], "type": f[1], **({"is_nullable": True} if len(f) > 2 and f[2] else {})}
        for f in fields
    ]
    flags = {"temporary": True} if temporary else {}
    conn.insert(SPACE, [space_id, ADMIN, name, "memtx", 0, flags, layout])
    return space_id


def create_index(conn, space_id, index_id, name, parts, kind="TREE", unique=True, **options):
    """Makes an index; `parts` are (field number from 0, type) or (number, type, is_nullable)."""
    rows = [
        {"field": p[0], "type": p[1], "is_nullable": True} if len(p) > 2 and p[2] else [p[0], p[1]]
        for p in parts
    ]
    conn.insert(INDEX, [space_id, index_id, name, kind, {"unique": unique, **options}, rows])
    return index_id


def create_user(conn, user_id, name, password):
    conn.insert(USER, [user_id, ADMIN, name, "user", {"chap-sha1": password_hash(password)}])
    # What Tarantool's own box.schema.user.create adds: session and usage, and the role public.
    conn.insert(PRIV, [ADMIN, user_id, "universe", 0, SESSION | USAGE])
    conn.insert(PRIV, [ADMIN, user_id, "role", 2, EXECUTE])
    return user_id


def grant_super(conn, user_id):
    conn.replace(PRIV, [ADMIN, user_id, "role", SUPER_ROLE, EXECUTE])


def grant(conn, user_id, object_type, object_id, access):
    conn.replace(PRIV, [ADMIN, user_id, object_type, object_id, access])


def drop_space(conn, space_id):
    for row in sorted(conn.select(INDEX, [space_id]), key=lambda r: -r[1]):
        conn.delete(INDEX, [space_id, row[1]])
    conn.delete(SPACE, [space_id])


def drop_user(conn, user_id):
    """Removes a user that owns nothing, with the grants given to it."""
    for _, grantee, object_type, object_id, _ in conn.select(PRIV, [user_id]):
        conn.delete(PRIV, [grantee, object_type, object_id])
    conn.delete(USER, [user_id])
