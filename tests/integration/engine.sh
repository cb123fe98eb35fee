#!/bin/bash
# Starts and stops a Docker Engine of its own: own folders, own mount namespace, optionally an own network namespace.
#
#   engine.sh start NAME DIR [NETNS [FLAG...]]
#                                      dockerd with everything below DIR and its socket at DIR/docker.sock
#   engine.sh stop NAME DIR            ends it with its containers and shims; nothing stays but DIR
#   engine.sh kill NAME DIR            kill -9 of dockerd alone: containers and containerd go on
#   engine.sh pause|resume NAME DIR    SIGSTOP / SIGCONT: an engine that hangs
#   engine.sh image DIR [TAG]          imports a busybox image (default busybox:latest) that was made here;
#                                      with ENGINE_SOCK in the environment into the engine at that path
#   engine.sh image-root ROOT          the same as a folder
#   engine.sh netns-add|netns-del NETNS
#   engine.sh check NAME DIR [NETNS]   prints whatever is left of it; fails when there is something
#
# NAME is also the parent cgroup, so that what is left can be told from what others run. Needs root.
set -u

say() { echo "engine.sh: $*" >&2; }
alive() { [ -n "${1:-}" ] && kill -0 "$1" 2>/dev/null; }
sock() { echo "${ENGINE_SOCK:-$1/docker.sock}"; }
pid_of() { cat "$1/docker.pid" 2>/dev/null; }
docker_at() { local dir=$1; shift; timeout "${T:-60}" docker -H "unix://$(sock "$dir")" "$@"; }

# On a busy machine a thread runs on for a moment after the signal.
pause() { # PID
  local i
  kill -STOP "$1" || return
  for i in $(seq 100); do
    sed -n 's/.*) \([A-Z]\) .*/\1/p' /proc/"$1"/task/*/stat | grep -qv T || return 0
    sleep 0.05
  done
  echo "process $1 has not stopped" >&2
  return 1
}

# Processes of this engine: dockerd, its containerd and the shims all name DIR in their command line. With a second
# argument only those of that name.
processes() {
  local p
  for p in $(pgrep -f -- "$1/(exec|docker.sock)"); do
    case "$(cat "/proc/$p/comm" 2>/dev/null)" in
      dockerd | containerd | containerd-shim* | docker-proxy | runc*)
        [ -z "${2:-}" ] || [ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$2" ] && echo "$p" ;;
    esac
  done
}

# The folders of dockerd that have no flag are covered inside its mount namespace; its mounts end with it.
launch() {
  local name=$1 dir=$2 netns=${3:-} enter=()
  shift 2; [ $# -gt 0 ] && shift
  [ -n "$netns" ] && enter=(nsenter "--net=/run/netns/$netns")   # not `ip netns exec`: that hides the cgroups
  mkdir -p "$dir"/{data,exec,etc-docker,run-docker} /etc/docker /run/docker
  setsid "${enter[@]}" unshare -m --propagation slave sh -c '
    mount --bind "$1/etc-docker" /etc/docker && mount --bind "$1/run-docker" /run/docker || exit 1
    dir=$1 name=$2; shift 2
    exec dockerd --data-root "$dir/data" --exec-root "$dir/exec" -H "unix://$dir/docker.sock" --pidfile "$dir/docker.pid" \
      --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$name" "$@"' \
    sh "$dir" "$name" "$@" </dev/null >>"$dir/engine.log" 2>&1 &
  local child=$! i
  for i in $(seq 300); do
    T=5 docker_at "$dir" version >/dev/null 2>&1 && return 0
    alive "$child" || break
    sleep 0.1
  done
  say "the engine did not start; the end of $dir/engine.log:"
  tail -n 5 "$dir/engine.log" >&2
  return 1
}

start() {
  local name=$1 dir=$2
  if alive "$(pid_of "$dir")" && T=5 docker_at "$dir" version >/dev/null 2>&1; then
    return 0
  fi
  # The containerd of a dockerd that was killed is told to end, but takes its time; a new one beside it would not start.
  local i
  for i in $(seq 100); do
    [ -z "$(processes "$dir" dockerd)$(processes "$dir" containerd)" ] && break
    [ "$i" = 50 ] && processes "$dir" containerd | xargs -r kill -9
    sleep 0.1
  done
  rm -f "$dir/exec/containerd/containerd.pid"
  command -v dockerd >/dev/null || { say "there is no dockerd here (Debian: apt-get install docker.io)"; return 1; }
  mkdir -p "$dir"
  rm -f "$dir/docker.pid"
  if [ -z "${3:-}" ] && [ ! -e "$dir/had-docker0" ]; then   # what must stay when we leave the host's own namespace
    { ip link show docker0 >/dev/null 2>&1 && echo yes || echo no; } >"$dir/had-docker0"
  fi
  launch "$@"
}

end_processes() {
  local dir=$1 signal=$2 tries=$3 i p
  for p in $(processes "$dir"); do kill "-$signal" "$p" 2>/dev/null; done
  for i in $(seq "$tries"); do
    [ -z "$(processes "$dir")" ] && return 0
    sleep 0.1
  done
  return 1
}

# Docker leaves its bridge and its chains in the namespace it ran in; only the host's own needs cleaning.
clean_host_network() {
  local table chain
  [ "$(cat "$1/had-docker0" 2>/dev/null)" = no ] || return 0
  ip link del docker0 2>/dev/null
  for table in nat filter; do
    iptables -t $table -S 2>/dev/null | grep -E -- '-j DOCKER|(-i|-o) docker0|docker0 -j' | grep '^-A' | sed 's/^-A/-D/' |
      while read -r rule; do eval "iptables -t $table $rule" 2>/dev/null; done
    for chain in $(iptables -t $table -S 2>/dev/null | sed -n 's/^-N \(DOCKER[^ ]*\)$/\1/p'); do
      iptables -t $table -F "$chain"; iptables -t $table -X "$chain"
    done
  done
}

cgroups_of() { find /sys/fs/cgroup -depth -type d \( -name "$1" -o -path "*/$1/*" \) 2>/dev/null; }

stop() {
  local name=$1 dir=$2 pid i ids
  pid=$(pid_of "$dir")
  if alive "$pid"; then
    kill -CONT "$pid"
    ids=$(T=10 docker_at "$dir" ps -aq 2>/dev/null)
    # shellcheck disable=SC2086
    [ -n "$ids" ] && T=60 docker_at "$dir" rm -f $ids >/dev/null 2>&1
    kill "$pid" 2>/dev/null
    for i in $(seq 200); do alive "$pid" || break; sleep 0.1; done
  fi
  end_processes "$dir" TERM 50 || end_processes "$dir" KILL 50
  local d
  for i in $(seq 20); do
    for d in $(cgroups_of "$name"); do
      for p in $(cat "$d/cgroup.procs" 2>/dev/null); do kill -9 "$p" 2>/dev/null; done
      rmdir "$d" 2>/dev/null
    done
    [ -z "$(cgroups_of "$name")" ] && break
    sleep 0.1
  done
  clean_host_network "$dir"
  rm -f "$dir/docker.pid" "$dir/docker.sock"
  rmdir /run/docker /run/containerd/s /run/containerd 2>/dev/null   # unless another engine uses them
  return 0
}

# A static busybox: the installed one, else the one of Debian's package, unpacked here without installing it.
static_busybox() {
  local dir=$1 found
  found=$(command -v busybox)
  if [ -n "$found" ] && ! ldd "$found" >/dev/null 2>&1; then echo "$found"; return 0; fi
  mkdir -p "$dir"
  (cd "$dir" && { apt-get download busybox-static || { apt-get update && apt-get download busybox-static; }; } &&
    dpkg -x busybox-static_*.deb .) >"$dir/log" 2>&1 || { tail -n 3 "$dir/log" >&2; return 1; }
  echo "$dir/bin/busybox"
}

# A root file system of busybox alone, in folder ROOT.
image_root() {
  local root=$1 busybox applet
  busybox=$(static_busybox "$root.busybox") || { say "no static busybox to make an image from"; return 1; }
  mkdir -p "$root"/{bin,etc,tmp,root,www,proc,dev,sys}
  cp "$busybox" "$root/bin/busybox"
  for applet in $("$busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  echo 'made by swarm-node' >"$root/www/index.html"
  rm -rf "$root.busybox"
}

image() {
  local dir=$1 tag=${2:-busybox:latest} root
  docker_at "$dir" image inspect "$tag" >/dev/null 2>&1 && return 0
  mkdir -p "$dir"
  root=$(mktemp -d "$dir/image.XXXXXX")
  image_root "$root" || return 1
  tar -C "$root" -c . | docker_at "$dir" import -c 'CMD ["sh"]' -c 'ENV PATH=/bin' - "$tag" >/dev/null
  local result=$?
  rm -rf "$root"
  return $result
}

check() {
  local name=$1 dir=$2 netns=${3:-} left=""
  left+=$(processes "$dir" | sed 's/^/process /')
  left+=$(cgroups_of "$name" | sed 's/^/cgroup /')
  left+=$(grep -F " $dir/" /proc/mounts | sed 's/^/mount /')
  [ -n "$netns" ] && [ -e "/run/netns/$netns" ] && left+="network namespace $netns"
  if [ "$(cat "$dir/had-docker0" 2>/dev/null)" = no ]; then
    left+=$(ip -o link show docker0 2>/dev/null | sed 's/^/bridge /')
    left+=$(iptables-save 2>/dev/null | grep DOCKER | sed 's/^/rule /')
  fi
  [ -z "$left" ] && return 0
  say "left behind by $name:"
  echo "$left" >&2
  return 1
}

netns_add() { ip netns add "$1" && ip -n "$1" link set lo up; }
netns_del() { [ ! -e "/run/netns/$1" ] || ip netns del "$1"; }

case "${1:-}" in
  start | stop | image | check) "$@" ;;
  kill) kill -9 "$(pid_of "$3")" ;;
  pause) pause "$(pid_of "$3")" ;;
  resume) kill -CONT "$(pid_of "$3")" ;;
  image-root) image_root "$2" ;;
  netns-add) netns_add "$2" ;;
  netns-del) netns_del "$2" ;;
  *) sed -n '2,17s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
