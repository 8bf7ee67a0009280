# Sourced by docker/verify: containers of the image, in a network of their own.

network=
started_pids=()

# A network with nothing in it but the loopback and one more address, for as long as we live.
make_network() {
  need_command ip iproute2
  need_command pgrep procps
  unshare --net sleep infinity &
  network=$!
  started_pids+=("$network")
  # The shell's child becomes `sleep` in its own network a moment after it was started.
  within 5 separate "$network" >/dev/null || give_up "no network of its own can be made"
  in_network ip link set lo up
  in_network ip address add "$outside/32" dev lo
}

separate() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

in_network() { nsenter --net --target "$network" "$@"; }

# A container of the image; what follows is for `buildah from`.
make_container() { # NAME OPTIONS...
  local name=$1
  shift
  buildah from --pull-never --name "$name" "$@" "$image" > /dev/null || give_up "no container can be made"
}

# The secrets as compose.yaml and docker/README.md mount them, each by itself: the folder lets nobody
# in but its owner.
mount_secrets() {
  local secret
  for secret in "$state"/secrets/*; do
    run_options+=(--volume "$secret:/run/secrets/$(basename "$secret"):ro")
  done
}

# Runs as the image's user, in its root, with its volume; more options stand in `run_options`.
in_container() { # NAME COMMAND...
  local name=$1
  shift
  in_network buildah run --isolation chroot "${run_options[@]}" "$name" -- "$@"
}

# Starts a command of the image in the background: sets `process`, the one that a stop is sent to, and
# `waited`, whose exit code is the container's.
start() { # NAME LOG COMMAND...
  local name=$1 log=$2
  shift 2
  in_container "$name" "$@" > "$log" 2>&1 &
  waited=$!
  started_pids+=("$waited")
  process=
  local found
  if found=$(within 30 program_below "$waited" tidegate); then
    process=$found
    started_pids+=("$process")
  else
    cat "$log"
    give_up "$name does not start"
  fi
}

# The process of this name among the descendants of another.
program_below() { # PID NAME
  local child
  for child in $(pgrep --parent "$1"); do
    if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = "$2" ]; then
      echo "$child"
      return 0
    fi
    program_below "$child" "$2" && return 0
  done
  return 1
}

# SIGTERM, and the code that the container ends with.
ends_in_order() { # PROCESS WAITED LOG
  kill -TERM "$1"
  wait "$2"
  local code=$?
  [ "$code" = 0 ] || { echo "exit code $code"; tail -n 20 "$3"; return 1; }
}

# The command that the image's HEALTHCHECK names.
is_healthy() { in_container "$1" "${health[@]:1}"; }

listens() { in_network timeout 5 bash -c ": < /dev/tcp/$1/$2"; }

does_not_listen() { ! listens "$@"; }

end_with_children() { # PID
  local child
  for child in $(pgrep --parent "$1"); do end_with_children "$child"; done
  kill -KILL "$1"
}

# Ends what was started and unmounts what was mounted. Without TIDEGATE_KEEP nothing stays but the log.
clean_up() {
  local pid
  # The shell tells of every child that is killed.
  exec 2> /dev/null
  for pid in "${started_pids[@]}"; do end_with_children "$pid"; done
  wait
  if [ -d "$state/store" ]; then
    buildah umount --all > /dev/null
    buildah rm --all > /dev/null
    [ -n "${TIDEGATE_KEEP:-}" ] || buildah rmi --all --force > /dev/null
  fi
  if [ -z "${TIDEGATE_KEEP:-}" ]; then
    umount "$state/store/overlay"
    rm -rf "$state/store" "$state/run" "$state/storage.conf" "$state/vendor" "$state/cargo.toml"
  fi
  rm -rf "$state"/{said,slips,secrets,kafka,redis,prometheus,debian,hosts}
}
