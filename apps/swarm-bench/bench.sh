#!/bin/bash
# Runs swarm-bench beside Docker's own swarm: two engines in two network namespaces, one in swarm mode, one under
# swarm-node. Usage: bench.sh BINDIR [--no-peer] [swarm-bench arguments]. Needs root; leaves nothing behind.
set -u
here=$(dirname "$(readlink -f "$0")")
engine_sh=$here/../../tests/integration/engine.sh
bin=$1; shift
peer=yes
[ "${1:-}" = --no-peer ] && { peer=; shift; }
dir=/tmp/swarm-bench.$$
node_pid=

finish() {
  [ -n "$node_pid" ] && kill "$node_pid" 2>/dev/null && wait "$node_pid" 2>/dev/null
  local side left=0
  for side in ours peer; do
    [ -d "$dir/$side" ] || continue
    "$engine_sh" stop "swbench-$side-$$" "$dir/$side"
    "$engine_sh" netns-del "swb-$side-$$"
    "$engine_sh" check "swbench-$side-$$" "$dir/$side" "swb-$side-$$" || left=1
  done
  rm -rf "$dir"
  return $left
}
trap finish EXIT
trap 'exit 130' INT TERM

start_side() { # SIDE: an engine with an image and an address of its own
  local side=$1 ns=swb-$1-$$
  mkdir -p "$dir/$side"
  "$engine_sh" netns-add "$ns" &&
    ip -n "$ns" link add eth0 type veth peer name wire && ip -n "$ns" link set wire up &&
    ip -n "$ns" addr add 10.99.8.1/24 dev eth0 && ip -n "$ns" link set eth0 up &&
    "$engine_sh" start "swbench-$side-$$" "$dir/$side" "$ns" && "$engine_sh" image "$dir/$side"
}

arguments=()
if [ -n "$peer" ]; then
  start_side peer || exit 1
  docker -H "unix://$dir/peer/docker.sock" swarm init --advertise-addr 10.99.8.1 >/dev/null || exit 1
  arguments+=(--peer "unix://$dir/peer/docker.sock" --peer-pid "$(cat "$dir/peer/docker.pid")")
fi

start_side ours || exit 1
sock=$dir/node.sock
nsenter "--net=/run/netns/swb-ours-$$" "$bin/swarm-node" --config /dev/null --host "unix://$sock" --control-socket "$dir/control.sock" \
  --data-root "$dir/node" --driver docker --engine "unix://$dir/ours/docker.sock" --log-level warn </dev/null 2>"$dir/node.log" &
node_pid=$!
for _ in $(seq 100); do docker -H "unix://$sock" version >/dev/null 2>&1 && break; sleep 0.1; done
docker -H "unix://$sock" swarm init --advertise-addr 10.99.8.1 >/dev/null || { cat "$dir/node.log" >&2; exit 1; }

echo "# $(date -u +%FT%TZ), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $(uname -r), $(dockerd --version)"
"$bin/swarm-bench" "${arguments[@]}" --ours "unix://$sock" --ours-engine "unix://$dir/ours/docker.sock" --ours-pid "$node_pid" "$@"
