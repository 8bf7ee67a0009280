# Sourced by docker/verify: the files around the image, read by the programs that they are for.

compose() { "${compose[@]}" "$@"; }

find_compose() {
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  else
    need_command docker-compose docker-compose
    compose=(docker-compose)
  fi
}

# with_slip FROM TO FILE: a copy with a slip in it.
with_slip() {
  mkdir -p "$state/slips"
  local copy
  copy=$state/slips/$(basename "$3")
  sed "s|$1|$2|" "$3" > "$copy"
  cmp -s "$3" "$copy" && { echo "nothing was planted in $3" >&2; exit 2; }
  echo "$copy"
}

every_mounted_file_is_there() {
  local source missing=0
  for source in $(sed -n 's|^ *- \(\.\.\?/[^:]*\):/.*|\1|p' docker/compose.yaml | sort -u); do
    [ -e "docker/$source" ] || { echo "docker/$source is not there"; missing=1; }
  done
  return "$missing"
}

look_at_files() {
  heading "files"
  find_compose
  need_command promtool prometheus
  compose version 2>/dev/null | head -n 1
  check "compose takes compose.yaml" compose -f docker/compose.yaml config --quiet
  check_refused "compose refuses it with a word that it does not know" mem_limt \
    compose -f "$(with_slip 'mem_limit: 640m' 'mem_limt: 640m' docker/compose.yaml)" config --quiet
  check_refused "compose refuses it with a service that waits for nobody" nobody \
    compose -f "$(with_slip '    topics:' '    nobody:' docker/compose.yaml)" config --quiet
  check "every file that compose.yaml mounts is there" every_mounted_file_is_there
  check "promtool takes prometheus.yml" promtool check config docker/prometheus.yml
  check_refused "promtool refuses it with a word that it does not know" scrape_intervall \
    promtool check config "$(with_slip scrape_interval scrape_intervall docker/prometheus.yml)"
  check "compose.yaml names the Kafka that the tests run on" \
    grep -q "image: apache/kafka:$(sed -n '/kafka_2/{n;s|.*<version>\(.*\)</version>|\1|p}' tests/setup/kafka/pom.xml)$" docker/compose.yaml
  check "the Dockerfile builds with the toolchain that is pinned" \
    grep -q "^FROM rust:$(sed -n 's|^channel = "\(.*\)"|\1|p' rust-toolchain.toml)-" docker/Dockerfile
  check "the image carries the version of the manifest" \
    grep -q "^ARG VERSION=$(sed -n 's|^version = "\(.*\)"|\1|p' Cargo.toml | head -n 1)$" docker/Dockerfile
}
