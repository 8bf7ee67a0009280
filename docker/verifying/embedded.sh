# Sourced by docker/verify: one container as the image starts it, with two secrets and nothing else.

send() { # SECRET: tells one payment, from outside
  in_container embedded tidegate send completed --session gs_verify \
    --url "http://$outside:8480/webhooks/shop" --secret-file "/run/secrets/$1"
}

fulfillments() {
  in_container embedded tidegate tail fulfillments --url "http://$outside:8481" \
    --api-key-file /run/secrets/tidegate-api-key
}

is_fulfilled_once() {
  local told
  told=$(fulfillments) || return 1
  printf '%s\n' "$told"
  [ "$(printf '%s\n' "$told" | grep -c ful_gs_verify)" = 1 ]
}

# Every id of the process is the image's: real, effective, saved, of files.
is_not_root() {
  grep -E '^(Uid|Gid|Groups|CapEff):' "/proc/$1/status"
  [ "$(awk '/^Uid:|^Gid:/ { print $2, $3, $4, $5 }' "/proc/$1/status" | sort -u)" = "10001 10001 10001 10001" ] \
    && grep -q '^CapEff:\s*0*$' "/proc/$1/status"
}

# A file of its user anywhere else would not be written where the root may only be read.
writes_in_its_volume_alone() {
  local root
  root=$(buildah mount embedded) || return 1
  find "$root" -xdev -user 10001 ! -path "$root/var/lib/tidegate"
  [ -z "$(find "$root" -xdev -user 10001 ! -path "$root/var/lib/tidegate")" ]
}

run_embedded() {
  heading "one container, embedded"
  make_network
  docker/make-secrets "$state/secrets" > /dev/null
  echo whsec_test_forged > "$state/secrets/forged"
  run_options=()
  mount_secrets
  make_container embedded
  in_container embedded "${entrypoint[0]}" --version | sed 's/^/        /'
  check "librdkafka speaks TLS" says ssl in_container embedded tidegate --version
  check "librdkafka knows SASL by SCRAM" says sasl_scram in_container embedded tidegate --version
  check_refused "its user cannot change the system" "Permission denied" in_container embedded touch /etc/tidegate/x
  check_refused "nobody is healthy before it starts" "no answer from http://127.0.0.1:8482" is_healthy embedded

  local log=$state/embedded.log
  start embedded "$log" "${entrypoint[@]}" "${default_command[@]}"
  check "it becomes healthy" within 60 is_healthy embedded
  check "it becomes ready" within 60 in_container embedded tidegate health --ready
  check "it is not root, in any way" is_not_root "$process"
  check "public is reached from outside" listens "$outside" 8480
  check "api is reached from outside" listens "$outside" 8481
  check "ops is not" does_not_listen "$outside" 8482
  check "a signed payment is taken" send gate-webhook
  check_refused "a forged one is not" "the secret is not that of this endpoint" send forged
  check "it is fulfilled once" within 20 is_fulfilled_once
  check "SIGTERM ends it in order" ends_in_order "$process" "$waited" "$log"
  check_refused "then nobody is healthy" "no answer from http://127.0.0.1:8482" is_healthy embedded

  start embedded "$log" "${entrypoint[@]}" "${default_command[@]}"
  check "started again, it goes on with its volume" within 60 is_fulfilled_once
  check "the payment told again is taken" send gate-webhook
  check "and is fulfilled once, still" is_fulfilled_once
  check "SIGTERM ends it in order again" ends_in_order "$process" "$waited" "$log"
  check "it has written in its volume alone" writes_in_its_volume_alone
  check "an audit of the volume is clean" in_container embedded tidegate audit --data /var/lib/tidegate
}
