#!/bin/sh
# Installs the system programs that tests need and that no Python package brings.
# Without apt or root it only says what is missing; the tests that need it then fail.
set -eu
missing=""
want() { # a program and the package that brings it
    PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
want strace strace
want irssi irssi
want openssl openssl
want curl curl
want haproxy haproxy
want systemd-socket-activate systemd
want chromium chromium
want certutil libnss3-tools
want debootstrap debootstrap
want ip iproute2
want turnserver coturn
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086 - a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
else
    echo "please install:$missing" >&2
fi
