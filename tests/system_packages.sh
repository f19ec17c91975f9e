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
want janus janus
want redis-server redis-server
want setpriv util-linux
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # Some of them are services, which Debian would start on all addresses, now and at every boot.
    # Tests start their own. A policy that is there already stays.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    # shellcheck disable=SC2086 - a list of names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
    for service in janus coturn haproxy redis-server; do
        case "$missing " in *" $service "*) rm -f /etc/systemd/system/*.wants/"$service.service" ;; esac
    done
else
    echo "please install:$missing" >&2
fi
