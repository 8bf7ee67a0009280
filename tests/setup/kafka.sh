#!/usr/bin/env bash
# Fetches the broker of the tests, as Apache publishes it, into target/kafka. Once is enough.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/setup/need.sh

libraries=target/kafka/libs
wanted=$(cksum < tests/setup/kafka/pom.xml)
[ "$(cat target/kafka/fetched 2>/dev/null)" = "$wanted" ] && exit 0

need_command java openjdk-17-jre-headless
need_command mvn maven
rm -rf target/kafka
mkdir -p "$libraries"
mvn -q -B -f tests/setup/kafka/pom.xml \
  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
  -DoutputDirectory="$PWD/$libraries"
echo "$wanted" > target/kafka/fetched
