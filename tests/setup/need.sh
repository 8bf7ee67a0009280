# Sourced. Makes sure that a command is there: installs its Debian package where that can be done,
# and otherwise says exactly what to install.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo "$@"; else return 1; fi
}

# Debian starts a service as soon as it is installed. The tests start their own, on free ports: what
# nobody asked for stays down. A machine that has a policy of its own keeps it.
install_without_services() { # PACKAGE
  local policy=/usr/sbin/policy-rc.d ours=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod +x "$policy" && ours=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >&2
  local status=$?
  [ -z "$ours" ] || as_root rm -f "$policy"
  return "$status"
}

# need WHAT PACKAGE CHECK...: installs the package where the check fails.
need() {
  local what=$1 package=$2
  shift 2
  "$@" >/dev/null 2>&1 && return 0
  echo "tidegate: $what is missing, installing the Debian package $package" >&2
  if command -v apt-get >/dev/null 2>&1 \
    && as_root apt-get update -qq >&2 \
    && install_without_services "$package"; then
    "$@" >/dev/null 2>&1 && return 0
  fi
  echo "tidegate: cannot install $package here. Install it (on Debian: apt-get install $package) and run this again." >&2
  exit 2
}

# need_command COMMAND PACKAGE
need_command() {
  need "$1" "$2" command -v "$1"
}

# The headers of OpenSSL, as the build of librdkafka looks for them.
need_openssl() {
  [ -n "${OPENSSL_DIR:-}" ] && return 0
  need_command pkg-config pkg-config
  need "OpenSSL for building" libssl-dev pkg-config --exists openssl
}

# The toolchain that rust-toolchain.toml names. rustup fetches it where it can.
need_rust() {
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  if ! command -v cargo >/dev/null 2>&1; then
    echo "tidegate: no Rust toolchain. Install Rust 1.95.0 with rustup (https://rustup.rs) and run this again." >&2
    exit 2
  fi
  if ! cargo --version >/dev/null; then
    echo "tidegate: the toolchain of rust-toolchain.toml is missing and could not be fetched. Run: rustup toolchain install 1.95.0 -c clippy -c rustfmt" >&2
    exit 2
  fi
}
