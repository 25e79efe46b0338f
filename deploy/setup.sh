#!/usr/bin/env bash
# Installs what building and testing Tailwater needs on Debian 12, and nothing that is there already.
# The Rust toolchain is expected: https://rustup.rs
set -euo pipefail

# package        why
packages=(
  libclang-dev   # generates RocksDB's bindings
  clang          # its headers, and dlopen's libclang.so
  gcc g++ make   # RocksDB, jemalloc and ring
  pkg-config
  postgresql-15  # the tests and the demo start servers of their own
  python3        # the demo's check
  python3-grpcio protobuf-compiler protobuf-compiler-grpc  # the test of a generated client
)

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done

if ! command -v cargo >/dev/null; then
  echo "setup: there is no cargo; install the Rust toolchain first, see https://rustup.rs" >&2
  exit 1
fi
servers="$(dirname "$0")/servers.sh"   # MySQL and MariaDB, for the tests
if [ ${#missing[@]} -eq 0 ]; then
  exec "$servers"
fi

command=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -ne 0 ]; then
  echo "setup: these packages are missing: ${missing[*]}" >&2
  echo "setup: please run:  sudo apt-get update && sudo ${command[*]}" >&2
  exit 1
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The package would make and start a server on port 5432, which nobody here needs.
if [[ " ${missing[*]} " == *" postgresql-15 "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
  mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
fi
apt-get update -qq
"${command[@]}"
"$servers"
