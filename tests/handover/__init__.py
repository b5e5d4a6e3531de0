"""One data directory that Debian's Tarantool and lycosa open in turn, each writing to it in its stay."""
