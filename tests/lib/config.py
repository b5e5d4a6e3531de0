"""Configuration for the server under test. Option names appear here and nowhere else in the harness."""

import json

GUEST_MAY_EVERYTHING = {"guest": {"roles": ["super"]}}
APPLICATIONS = ("queue", "authman")

PROVIDER = {"client_id": "FB", "client_secret": "hush", "redirect_uri": "http://localhost:8000/"}


def lycosa(
    port, directory, *, users=None, roles=APPLICATIONS, wal_mode="write", provider=None, extra=None
):
    """A configuration as nested tables. `users` None lets guest do everything; `provider` is a login
    provider of ours whose addresses take the place of Facebook's; `extra` is laid over the rest."""
    config = {
        "iproto": {"listen": [{"uri": f"127.0.0.1:{port}"}]},
        "wal": {"mode": wal_mode, "dir": str(directory)},
        "snapshot": {"dir": str(directory)},
        "memtx": {"memory": 256 << 20},
        "log": {"level": "info"},
        "credentials": {"users": GUEST_MAY_EVERYTHING if users is None else users},
        "roles": list(roles),
    }
    if "authman" in roles:
        facebook = dict(PROVIDER)
        if provider is not None:
            facebook["endpoints"] = {
                "token_url": provider.token_url,
                "profile_url": provider.profile_url,
            }
        config["roles_cfg"] = {"authman": {"facebook": facebook, "request_timeout": 1}}
    return merged(config, extra or {})


def merged(base, over):
    """`base` with the tables of `over` laid over it, level by level; None removes a key."""
    out = dict(base)
    for key, value in over.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def write(path, config):
    """Writes a configuration file. JSON is YAML."""
    path.write_text(json.dumps(config, indent=2) + "\n")
