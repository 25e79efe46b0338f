#!/usr/bin/env bash
# Installs the MySQL and MariaDB servers that the tests start for themselves, and nothing that is there already.
#
#   MariaDB 10.11   Debian's own packages: the programs alone, so no server is ever started by the system
#   MySQL 9.7       Debian 12 has none: packages of sid, unpacked beside the system with the C library they were built for
#   MariaDB 11.8    the same, from trixie
#   PostgreSQL 17   from trixie, and 18 from sid
#
# They lie under $TAILWATER_SERVERS, by default ~/.cache/tailwater/servers: mysql/bin, mariadb-11.8/bin. PostgreSQL's lie under
# /var/cache/tailwater/servers where root runs the tests, because it does not run as root and others cannot look into /root.
# Surprise: a program of a newer suite does not run on this one's C library, so its loader and its library path are written
# into each program. Everything else that such a server looks up by absolute path has to be named to it when it starts.
set -euo pipefail

servers=${TAILWATER_SERVERS:-$HOME/.cache/tailwater/servers}
libraries=usr/lib/x86_64-linux-gnu
export DEBIAN_FRONTEND=noninteractive

have() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }

install_packages() {
  local package missing=()
  for package in "$@"; do have "$package" || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    echo "servers: please run:  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "servers: installing ${missing[*]}"
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# apt with a world of its own: only this suite, nothing installed. Everything it keeps is under $1.
foreign_apt() {
  local scratch=$1 tool=$2; shift 2
  "$tool" -o Dir::Etc::SourceList="$scratch/sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::State="$scratch/state" \
    -o Dir::State::status=/dev/null -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User=root "$@"
}

# NAME SUITE PROGRAM PACKAGE…: the packages and all they depend on, ready to run, in $servers/NAME.
unpack() {
  local name=$1 suite=$2 program=$3; shift 3
  [ -x "$servers/$name/bin/$program" ] && return
  echo "servers: unpacking $name from Debian $suite"
  local scratch=$servers/.$name
  rm -rf "$scratch"
  mkdir -p "$scratch/state/lists/partial" "$scratch/cache/archives/partial" "$scratch/packages" "$scratch/tree/bin"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
    > "$scratch/sources"
  foreign_apt "$scratch" apt-get -qq update

  # What a server needs to run is libraries; what its packages need to be installed stays out.
  local unwanted='^(adduser|cdebconf.*|debconf.*|dbus.*|init.*|libpam.*|passwd|perl.*|sysvinit.*|systemd.*|ucf)$'
  local wanted
  wanted=$(foreign_apt "$scratch" apt-cache depends --recurse --important "$@" \
    | sed -n 's/^\([a-z0-9][^ <]*\)$/\1/p' | sort -u | grep -vE "$unwanted")
  # Names that stand only for others have no file to download.
  wanted=$(foreign_apt "$scratch" apt-cache show --no-all-versions $wanted 2>/dev/null | sed -n 's/^Package: //p' | sort -u)
  (cd "$scratch/packages" && foreign_apt "$scratch" apt-get -qq download $wanted)
  local package file
  for package in "$scratch"/packages/*.deb; do dpkg-deb --extract "$package" "$scratch/tree"; done

  # The final place is what goes into the programs.
  local home=$servers/$name
  for file in "$scratch"/tree/usr/bin/* "$scratch"/tree/usr/sbin/* "$scratch"/tree/usr/lib/postgresql/*/bin/*; do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    patchelf --print-interpreter "$file" >/dev/null 2>&1 || continue
    patchelf --set-interpreter "$home/$libraries/ld-linux-x86-64.so.2" --force-rpath \
      --set-rpath "$home/$libraries:$home/$libraries/mysql/private" "$file"
    ln -s "../${file#"$scratch"/tree/}" "$scratch/tree/bin/"
  done
  rm -rf "$home"
  mv "$scratch/tree" "$home"
  chmod -R a+rX "$home"
  rm -rf "$scratch"
}

if [ "$(uname -m)" != x86_64 ]; then
  echo "servers: only x86_64 is known here" >&2
  exit 1
fi
install_packages patchelf mariadb-server-core mariadb-client-core
mkdir -p "$servers"
unpack mysql sid mysqld mysql-server-core mysql-client-core
unpack mariadb-11.8 trixie mariadbd mariadb-server-core mariadb-client-core
if [ "$(id -u)" -eq 0 ] && [ -z "${TAILWATER_SERVERS:-}" ]; then
  servers=/var/cache/tailwater/servers
  mkdir -p "$servers"
fi
unpack postgresql-17 trixie postgres postgresql-17 postgresql-client-17
unpack postgresql-18 sid postgres postgresql-18 postgresql-client-18
