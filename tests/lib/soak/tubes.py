"""The tubes of the soak and what is put into them."""

TTR = 1.0

TUBES = {
    "fifo": ("fifo", {}),
    "fifottl": ("fifottl", {"ttr": TTR}),
    "limfifottl": ("limfifottl", {"ttr": TTR, "capacity": 200}),
    "utube": ("utube", {}),
    "utube_rb": ("utube", {"storage_mode": "ready_buffer"}),
    "utubettl": ("utubettl", {"ttr": TTR}),
    "utubettl_rb": ("utubettl", {"ttr": TTR, "storage_mode": "ready_buffer"}),
}

# Only the probes of times use this one.
PROBE = "probe"


def is_timed(tube):
    return "ttl" in tube


def put_options(dice, tube):
    """Options of a put, of which tubes without times and sub-queues take no notice."""
    options = {"utube": dice.randrange(20), "pri": dice.randrange(3)}
    if is_timed(tube):
        if dice.random() < 0.2:
            options["delay"] = round(dice.uniform(0.01, 1), 3)
        if dice.random() < 0.1:
            options["ttl"] = round(dice.uniform(0.5, 3), 3)
    if tube == "limfifottl":
        options["timeout"] = 0.2
    return options
