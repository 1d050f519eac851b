#!/usr/bin/env bash
# Installs the servers that liminal-bus is measured against, from Debian's packages. They are installed and not started: the benchmark starts its own
# on free ports. What is missing is skipped by the benchmark, so a part of the list will do:
#
#     bench/peers/install-peers.sh                    all of them
#     bench/peers/install-peers.sh nats-server        some
set -euo pipefail

packages=("$@")
((${#packages[@]} > 0)) || packages=(nats-server redis-server mosquitto rabbitmq-server)

# Debian starts a service as soon as it is installed, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}"
