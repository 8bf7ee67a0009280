# Sourced by docker/verify: the base images, and what is built on them.

# buildah keeps everything in a folder of ours.
make_store() {
  export CONTAINERS_STORAGE_CONF=$state/storage.conf
  printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$state/store" "$state/run" \
    > "$CONTAINERS_STORAGE_CONF"
}

bases() { sed -n 's/^FROM \([^ ]*\).*/\1/p' docker/Dockerfile; }

is_there() { buildah inspect --type image "$1" >/dev/null 2>&1; }

# Pulled where a registry answers; made otherwise.
make_bases() {
  heading "base images"
  need_command buildah buildah
  make_store
  local base
  for base in $(bases | tac); do
    if is_there "localhost/$base" || is_there "$base"; then
      echo "$base: kept from the last time"
    elif timeout 300 buildah pull --quiet "docker://$base" >> "$state/log" 2>&1; then
      echo "$base: pulled"
    else
      echo "$base: no registry answers, so it is made here"
      case $base in
        debian:*) make_debian "$base" ;;
        rust:*) make_rust "$base" ;;
        *) give_up "nobody knows how to make $base" ;;
      esac >> "$state/log" 2>&1 || give_up "$base cannot be made; $state/log says why"
    fi
  done
}

make_debian() { # NAME, such as debian:bookworm-slim
  need_command debootstrap debootstrap
  local suite=${1#debian:} root=$state/debian container
  rm -rf "$root"
  debootstrap --variant=minbase "${suite%-slim}" "$root" || return 1
  # As the published one: apt keeps no cache in it.
  printf '%s\n' 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' \
    'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };' \
    > "$root/etc/apt/apt.conf.d/no-cache"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/*
  container=$(buildah from scratch) \
    && buildah add --quiet "$container" "$root" / \
    && buildah config --cmd bash "$container" \
    && buildah commit --quiet --rm "$container" "localhost/$1"
  local made=$?
  rm -rf "$root"
  return "$made"
}

# What rust:VERSION-slim-bookworm adds to Debian: a C compiler, and the toolchain.
make_rust() { # NAME
  need_rust
  local debian sysroot container
  debian=$(bases | grep '^debian:')
  sysroot=$(rustc --print sysroot) || return 1
  # Of a toolchain that is spread over the system, as a distribution's is, no folder is all.
  [ "$sysroot" != /usr ] || { echo "the toolchain must be one of rustup's"; return 1; }
  container=$(buildah from --pull-never "localhost/$debian" || buildah from --pull-never "$debian") || return 1
  in_build() { buildah run --isolation chroot "$container" -- "$@"; }
  in_build apt-get update \
    && in_build apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev \
    && buildah add --quiet "$container" "$sysroot/bin" /usr/local/rust/bin \
    && buildah add --quiet "$container" "$sysroot/lib" /usr/local/rust/lib \
    && buildah config --env CARGO_HOME=/usr/local/cargo \
      --env PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container" \
    && buildah commit --quiet --rm "$container" "localhost/$1"
}

# Crates come by this machine's cargo, as it is configured, and are laid where the build looks for
# them: a plain build fetches them itself.
fetch_crates() {
  need_rust
  cargo vendor --locked "$state/vendor" > "$state/cargo.toml" 2>> "$state/log" || return 1
  sed -i 's|^directory = .*|directory = "/vendor"|' "$state/cargo.toml"
}

build_image() {
  heading "build"
  fetch_crates || give_up "crates cannot be fetched; $state/log says why"
  local began=$SECONDS
  buildah build --isolation chroot --format docker --layers --pull-never \
    --volume "$state/vendor:/vendor:ro" --volume "$state/cargo.toml:/usr/local/cargo/config.toml:ro" \
    --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(date -u +%FT%TZ)" \
    --file docker/Dockerfile --tag "$image" . >> "$state/log" 2>&1 \
    || { tail -n 40 "$state/log"; give_up "docker/Dockerfile does not build; $state/log has all of it"; }
  passed=$((passed + 1))
  echo "ok      docker/Dockerfile builds ($((SECONDS - began)) s)"
}

size_of() { buildah images --noheading --format '{{.Size}}' "$1"; }

of_image() { buildah inspect --type image --format "$1" "$image"; }

look_at_image() {
  heading "image"
  mapfile -t entrypoint < <(of_image '{{range .Docker.Config.Entrypoint}}{{println .}}{{end}}' | sed '/^$/d')
  mapfile -t default_command < <(of_image '{{range .Docker.Config.Cmd}}{{println .}}{{end}}' | sed '/^$/d')
  mapfile -t health < <(of_image '{{range .Docker.Config.Healthcheck.Test}}{{println .}}{{end}}' | sed '/^$/d')
  echo "runs    ${entrypoint[*]} ${default_command[*]}"
  echo "health  ${health[*]}"
  echo "size    $(size_of "$image"), on a base of $(size_of "localhost/$(bases | tail -n 1)")"
  check "its user is a number that is not root" [ "$(of_image '{{.Docker.Config.User}}')" = 10001:10001 ]
  check "its data is a volume" says /var/lib/tidegate of_image '{{.Docker.Config.Volumes}}'
  check "it is asked to end by SIGTERM" says SIGTERM of_image '{{.Docker.Config.StopSignal}}'
  check "its health is asked of the program itself" [ "${health[0]} ${health[1]} ${health[2]}" = "CMD tidegate health" ]
  check "its labels name the revision" says "$(git rev-parse HEAD)" of_image '{{index .Docker.Config.Labels "org.opencontainers.image.revision"}}'
}
