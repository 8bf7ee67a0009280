# Sourced by docker/verify: the cluster that compose.yaml describes, with its own settings, run
# without its engine: the Kafka of the tests by the set-up program of Kafka's image, redis-server in
# Valkey's place, and two containers of our image. Names are given addresses of the loopback, one
# each, because all of them share one network here.

names='127.0.0.1 localhost kafka valkey
127.0.1.1 tidegate-1
127.0.1.2 tidegate-2'

# What compose.yaml says of a service: the lines of its `environment`, or of its `command`.
environment_of() { # SERVICE
  sed -n "/^  $1:/,/^  [a-z]/ { /^    environment:/,/^    [a-z]*:\$/ s/^      \([A-Z_]*\): \"\?\([^\"]*\)\"\?\$/\1=\2/p }" docker/compose.yaml
}

command_of() { # SERVICE
  sed -n "/^  $1:/,/^  [a-z]/ {
    s/^    command: \[\(.*\)\]/\1/p
    /^    command:\$/,/^    [a-z]*:/ s/^      - //p
  }" docker/compose.yaml | sed 's/, /\n/g' | sed 's/^"\(.*\)"$/\1/'
}

# In the network, with the names of compose.yaml.
among_names() {
  in_network unshare --mount bash -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' _ "$state/hosts" "$@"
}

start_kafka() {
  tests/setup/kafka.sh || return 1
  local settings line libraries=$PWD/target/kafka/libs
  mkdir -p "$state/kafka"/{image,mounted,config}
  settings=()
  while IFS= read -r line; do settings+=("$line"); done < <(environment_of kafka)
  settings+=("KAFKA_LOG_DIRS=$state/kafka/data")
  env "${settings[@]}" java -cp "$libraries/*" kafka.docker.KafkaDockerWrapper setup \
    --default-configs-dir "$state/kafka/image" --mounted-configs-dir "$state/kafka/mounted" \
    --final-configs-dir "$state/kafka/config" > "$state/kafka.log" 2>&1 || return 1
  among_names java -Xmx512m -cp "$libraries/*" kafka.Kafka "$state/kafka/config/server.properties" \
    >> "$state/kafka.log" 2>&1 &
  started_pids+=("$!")
  within 60 listens 127.0.0.1 9092
}

start_valkey() {
  need_command redis-server redis-server
  local options
  mapfile -t options < <(command_of valkey | tail -n +2)
  mkdir -p "$state/redis"
  in_network redis-server --dir "$state/redis" "${options[@]}" > "$state/redis.log" 2>&1 &
  started_pids+=("$!")
  within 20 listens 127.0.0.1 6379
}

start_prometheus() {
  among_names prometheus --config.file=docker/prometheus.yml --storage.tsdb.path="$state/prometheus" \
    --web.listen-address=127.0.0.1:9090 > "$state/prometheus.log" 2>&1 &
  started_pids+=("$!")
  within 20 listens 127.0.0.1 9090
}

# Runs what follows as in the container of that number.
as_member() { # NUMBER COMMAND...
  local number=$1 listener port
  shift
  local run_options=(--volume "$PWD/docker/cluster.toml:/etc/tidegate/tidegate.toml:ro")
  mount_secrets
  while IFS= read -r listener; do run_options+=(--env "$listener"); done < <(environment_of "tidegate-$number")
  for listener in PUBLIC:8480 API:8481 OPS:8482; do
    port=${listener#*:}
    run_options+=(--env "TIDEGATE_LISTEN__${listener%:*}=127.0.1.$number:$port")
  done
  "$@"
}

member() { # NUMBER COMMAND...
  local number=$1
  shift
  as_member "$number" in_container "tidegate-$number" "$@"
}

start_member() { # NUMBER
  as_member "$1" start "tidegate-$1" "$state/tidegate-$1.log" "${entrypoint[@]}" "${default_command[@]}"
}

pays() { # NUMBER SESSION
  member "$1" tidegate send completed --session "$2" --url "http://tidegate-$1:8480/webhooks/shop" \
    --secret-file /run/secrets/gate-webhook
}

fulfilled() { # NUMBER SESSION...: exactly these
  local number=$1 told
  shift
  told=$(member "$number" tidegate tail fulfillments --url "http://tidegate-$number:8481" \
    --api-key-file /run/secrets/tidegate-api-key) || return 1
  printf '%s\n' "$told"
  [ "$(grep -o 'ful_[a-z_0-9]*' <<< "$told" | sort)" = "$(printf 'ful_%s\n' "$@" | sort)" ]
}

# One broker keeps one copy, and the doctor says so of each topic.
the_doctor_finds_one_broker() {
  local told
  told=$(member 1 tidegate doctor --config /etc/tidegate/tidegate.toml)
  printf '%s\n' "$told"
  grep -q 'replicas is 1$' <<< "$told" && ! grep '^FAIL' <<< "$told" | grep -v 'replicas is 1$'
}

run_cluster() {
  heading "the cluster of compose.yaml"
  local config=/etc/tidegate/tidegate.toml topics one two one_waited two_waited number
  printf '%s\n' "$names" > "$state/hosts"
  for number in 1 2; do
    make_container "tidegate-$number" --add-host kafka:127.0.0.1 --add-host valkey:127.0.0.1 \
      --add-host tidegate-1:127.0.1.1 --add-host tidegate-2:127.0.1.2
  done
  check "cluster.toml can be used" says "no errors" member 1 tidegate check --config "$config"
  check "Kafka takes the settings of compose.yaml" start_kafka
  check "redis-server takes those of valkey" start_valkey
  mapfile -t topics < <(command_of topics)
  check "the topics are made" says "made tidegate.signals" within 60 member 1 tidegate "${topics[@]}"
  check "asked again, they are left as they are" says "every topic is there already" member 1 tidegate "${topics[@]}"
  check "the doctor finds nothing but that there is one broker" the_doctor_finds_one_broker

  start_member 1; one=$process one_waited=$waited
  start_member 2; two=$process two_waited=$waited
  for number in 1 2; do
    check "tidegate-$number becomes healthy" within 60 member "$number" "${health[@]:1}"
    check "tidegate-$number becomes ready" within 60 member "$number" tidegate health --ready
  done
  check "Prometheus takes prometheus.yml" start_prometheus
  check "and reads both" within 60 says '=> 2 @' in_network promtool query instant http://127.0.0.1:9090 'sum(up{job="tidegate"})'
  check "a payment that one is told of" pays 1 gs_one
  check "and one that the other is told of" pays 2 gs_two
  check "are fulfilled once each, as both say (1)" within 30 fulfilled 1 gs_one gs_two
  check "are fulfilled once each, as both say (2)" within 30 fulfilled 2 gs_one gs_two

  kill -KILL "$one"
  wait "$one_waited" 2>/dev/null
  check "with one of them killed, the other is told of a third" pays 2 gs_three
  check "which is fulfilled once, as are the others" within 60 fulfilled 2 gs_one gs_two gs_three
  check "SIGTERM ends it in order" ends_in_order "$two" "$two_waited" "$state/tidegate-2.log"
  check "an audit of the topics is clean" member 2 tidegate audit --config "$config"
}
