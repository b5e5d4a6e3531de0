#!/usr/bin/env bash
# Starts Debian's tarantool and a lycosa binary with the same WAL mode, each on its own data in a
# temporary directory, compares them and stops both.
#
#   bench/compare.sh [LYCOSA_BINARY] [arguments of `lycosa-bench compare`...]
#
# Environment:
#   LYCOSA          the lycosa binary, if not given as an argument (target/release/lycosa)
#   BENCH           the load generator (target/release/lycosa-bench)
#   TARANTOOL       the tarantool binary (tarantool)
#   QUEUE_DIR       a checkout of tarantool-queue; without it the queue workload is left out
#   WAL_MODE        none, write or fsync (write)
#   PORT_A, PORT_B  ports of lycosa and tarantool (3341, 3342)
#
# Example: bench/compare.sh target/release/lycosa --rounds 5 --seconds 3 \
#              --out bench/results/2026-12-01.md
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
if [[ $# -gt 0 && $1 != -* ]]; then
    LYCOSA=$1
    shift
fi
LYCOSA=${LYCOSA:-$root/target/release/lycosa}
BENCH=${BENCH:-$root/target/release/lycosa-bench}
TARANTOOL=${TARANTOOL:-tarantool}
WAL_MODE=${WAL_MODE:-write}
PORT_A=${PORT_A:-3341}
PORT_B=${PORT_B:-3342}
MEMORY_BYTES=$((1024 * 1024 * 1024))

data=$(mktemp -d)
# How lycosa is started; its working directory is $data/a.
lycosa_command=("$LYCOSA" --iproto-listen "127.0.0.1:$PORT_A" --wal-mode "$WAL_MODE"
    --memtx-memory "$MEMORY_BYTES")

pids=()
finish() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$data"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Starts a server: name, port, command. Waits until the port answers.
start() {
    local name=$1 port=$2
    shift 2
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        echo "compare.sh: port $port is taken, choose another with PORT_A or PORT_B" >&2
        exit 1
    fi
    (cd "$data/$name" && exec "$@") >"$data/$name.log" 2>&1 &
    local pid=$!
    pids+=("$pid")
    for _ in {1..100}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            return
        fi
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "compare.sh: server $name does not listen on port $port; its log ends with" >&2
    tail -n 20 "$data/$name.log" >&2
    exit 1
}

# Relative paths would not survive the change of directory.
for binary in "$LYCOSA" "$BENCH"; do
    [[ -x $binary ]] || { echo "compare.sh: $binary is not a program" >&2; exit 1; }
done
lycosa_command[0]=$(realpath "$LYCOSA")

mkdir "$data/a" "$data/b"
cat >"$data/b/init.lua" <<LUA
local queue_dir = os.getenv('QUEUE_DIR')
if queue_dir then
    package.path = queue_dir .. '/?.lua;' .. queue_dir .. '/?/init.lua;' .. package.path
end
box.cfg{wal_mode = '$WAL_MODE', memtx_memory = $MEMORY_BYTES}
box.schema.user.grant('guest', 'super')
if queue_dir then
    rawset(_G, 'queue', require('queue'))
end
box.cfg{listen = '127.0.0.1:$PORT_B'}
LUA
if [[ -n ${QUEUE_DIR:-} ]]; then
    QUEUE_DIR=$(realpath "$QUEUE_DIR")
    export QUEUE_DIR
fi

start a "$PORT_A" "${lycosa_command[@]}"
start b "$PORT_B" "$TARANTOOL" init.lua

cd "$root"
"$BENCH" compare --a "127.0.0.1:$PORT_A" --b "127.0.0.1:$PORT_B" \
    --note "A is lycosa, B is tarantool, wal_mode = $WAL_MODE on both" "$@"
