#!/bin/sh
# Installs edge-agent from the folder that `make offline-bundle` fills, without internet; again is no harm.
#
#   install.sh [--dry-run]              install or upgrade to the version that lies in wheels/
#   install.sh --rollback [--dry-run]   back to the version before
#
# Where a folder calibration/ lies beside wheels/ (make offline-bundle CALIBRATION=yes), its packages go with the version,
# also into one that is installed already: this PC can calibrate then. PYTHON=/usr/bin/python3.12 names another Python.
#
# Each version has an environment of its own, /opt/edge-agent/<version>; /opt/edge-agent/bin is a link to the one in
# use and is switched in one step. Journal, archive, bundles and line.toml are never touched. DESTDIR installs into
# another root and starts nothing.
set -eu
umask 022 # the service's user runs what root installs here, whatever the umask of this shell is

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
wheels=$here/wheels
calibration=$here/calibration
user=edge-agent
root=${DESTDIR:-}
opt=$root/opt/edge-agent
config=$root/etc/edge-agent/line.toml
is_dry=no
action=install

say() { printf '%s\n' "$*" >&2; }
die() {
    code=$1
    shift
    say "error: $*"
    exit "$code"
}
do_it() {
    if [ "$is_dry" = yes ]; then
        say "would: $*"
    else
        "$@"
    fi
}

for argument in "$@"; do
    case $argument in
        --dry-run) is_dry=yes ;;
        --rollback) action=rollback ;;
        -h | --help)
            sed -n '2,12s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) die 64 "unknown option $argument; see --help" ;;
    esac
done
if [ -z "$root" ] && [ "$is_dry" = no ] && [ "$(id -u)" != 0 ]; then
    die 77 "this needs root; try sudo, or --dry-run to see what it would do"
fi

# The version in use, empty where there is none.
in_use() { [ -L "$opt/bin" ] && basename "$(dirname "$(readlink "$opt/bin")")" || true; }

# The folder is as it was made, and lists each of its wheels.
whole() {
    [ -f "$1/requirements.lock" ] || die 65 "$1 has no requirements.lock: make the folder again"
    (cd "$1" && sha256sum --check --strict --quiet SHA256SUMS) || die 65 "$1 is not as it was made: copy it again"
}

# Why the service's user cannot run this Python; empty where it can. What it cannot enter, or does not see under its unit
# (ProtectHome=, PrivateTmp=), would run for root alone.
why_unfit() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "$1 is not Python 3.11 or later with venv: apt-get install python3-venv"
        return
    }
    "$1" -c 'import os, sys
paths = sys._base_executable, os.path.realpath(sys._base_executable), sys.base_prefix
print("\n".join(map(os.path.abspath, paths)))' | while read -r path; do
        case $path/ in
            /home/* | /root/* | /run/user/* | /tmp/* | /var/tmp/*)
                echo "$1 is $path, which the service does not see (ProtectHome=, PrivateTmp= of its unit)"
                break
                ;;
        esac
        at=$path
        while [ "$at" != / ] && [ -n "$(find -H "$at" -maxdepth 0 -perm -001)" ]; do at=$(dirname "$at"); done
        [ "$at" = / ] || {
            echo "$1 is $path, and $at is closed to other users: the service's user is one of them"
            break
        }
    done
}

# Which Python: the one that was asked for, else the first that the service's user can run. In another root, or an image
# that is being built, it is only said where it cannot: the paths there are others.
choose_python() {
    for python in "${PYTHON:-python3}" ${PYTHON:-/usr/local/bin/python3 /usr/bin/python3}; do
        unfit=$(why_unfit "$python")
        [ -n "$unfit" ] || return 0
        first=${first:-$unfit}
    done
    python=${PYTHON:-python3}
    case $first in
        *apt-get*) die 69 "$first" ;;
    esac
    [ -n "$root" ] || die 69 "$first. Name one that all users share: PYTHON=/usr/bin/python3 $0"
    say "warning: $first"
}

# Each wheel by its sha256, and no other: what pip takes is what was listed when the folder was made.
put() {
    into=$1
    shift
    for folder in "$@"; do
        set -- "$@" --find-links "$folder" -r "$folder/requirements.lock"
        shift
    done
    do_it "$opt/$into/bin/python" -m pip install --isolated --quiet --disable-pip-version-check --no-index \
        --only-binary :all: --require-hashes "$@"
}

# A rename replaces the link in one step: there is no moment without an edge-agent.
link() {
    do_it ln -sfn "$1" "$2.new"
    do_it mv -T "$2.new" "$2"
}

switch_to() {
    before=$(in_use)
    [ "$before" = "$1" ] && { say "edge-agent $1 is in use already"; return; }
    [ -z "$before" ] || link "$before" "$opt/previous"
    link "$1/bin" "$opt/bin"
    say "edge-agent ${before:-(none)} -> $1"
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then # not while an image is being built
        do_it systemctl daemon-reload
        do_it systemctl try-restart edge-agent.service
    fi
}

# A version that does not start, or does not take this line's settings, is not switched to.
prove() {
    [ "$is_dry" = yes ] && return
    "$opt/$1/bin/edge-agent" version >&2 || die 70 "version $1 does not start; the one in use stays"
    if [ -z "$root" ] && ! runuser -u "$user" -- "$opt/$1/bin/edge-agent" version > /dev/null; then
        die 77 "the user $user cannot start version $1; the one in use stays. Every folder above $opt/$1 and above its" \
            "Python, $(readlink -f "$opt/$1/bin/python"), has to be open to it. For another Python: rm -r $opt/$1, then" \
            "PYTHON=/usr/bin/python3 $0"
    fi
    [ ! -e "$config" ] || "$opt/$1/bin/edge-agent" config check --config "$config" >&2 ||
        die 78 "version $1 refuses $config; the one in use stays. Mend the file and install again. An edge-agent that a" \
            "hint names is $opt/$1/bin/edge-agent until then. Keep a copy of the file: the version in use may refuse" \
            "new keys, and would not start again with them"
}

# Whom this line's agent may talk to, which device and port it needs: from line.toml, in a drop-in beside the unit.
narrow() {
    [ -e "$config" ] || return 0
    drop_in=$root/etc/systemd/system/edge-agent.service.d/line.conf
    if [ "$is_dry" = yes ]; then
        say "would: write $drop_in from $config"
        return
    fi
    mkdir -p "$(dirname "$drop_in")"
    "$opt/$1/bin/edge-agent" config unit --config "$config" > "$drop_in.new" || {
        say "version $1 has no config unit: $drop_in stays as it is"
        rm -f "$drop_in.new"
        return 0
    }
    mv "$drop_in.new" "$drop_in"
    [ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
}

if [ "$action" = rollback ]; then
    [ -L "$opt/previous" ] || die 69 "there is no version before"
    previous=$(readlink "$opt/previous")
    prove "$previous"
    switch_to "$previous"
    exit 0
fi

set -- "$wheels"/edge_agent-*.whl
if [ $# != 1 ] || [ ! -f "$1" ]; then
    die 65 "$wheels holds no wheel of edge-agent, or more than one"
fi
version=$(basename "$1" | cut -d- -f2)
whole "$wheels"
[ ! -d "$calibration" ] || whole "$calibration"

if [ ! -e "$opt/$version/.complete" ]; then
    choose_python
    do_it rm -rf "$opt/$version"
    do_it mkdir -p "$opt"
    do_it "$python" -m venv "$opt/$version"
    put "$version" "$wheels" ||
        die 65 "$wheels is not as it was made: copy it again; or it was made by another Python than $python, which is" \
            "$("$python" --version). The version in use stays"
    do_it touch "$opt/$version/.complete"
fi
if [ -d "$calibration" ] && [ ! -e "$opt/$version/.calibrates" ]; then
    put "$version" "$wheels" "$calibration" ||
        die 65 "$calibration does not go with version $version: make and copy the whole folder again. Without the" \
            "folder calibration/ the version installs as before; it does not calibrate then"
    do_it touch "$opt/$version/.calibrates"
fi
# Also of an installation under a umask that shut everybody else out.
do_it chmod -R u+rwX,go+rX "$opt/$version"
do_it chmod go+rx "$opt"
do_it install -D -m 0644 "$here/edge-agent.service" "$root/etc/systemd/system/edge-agent.service"
do_it install -D -m 0644 "$here/edge-agent.sysusers" "$root/usr/lib/sysusers.d/edge-agent.conf"
do_it install -D -m 0644 "$here/edge-agent.tmpfiles" "$root/usr/lib/tmpfiles.d/edge-agent.conf"
do_it install -D -m 0644 "$here/edge-agent.rules" "$root/usr/lib/udev/rules.d/60-edge-agent.rules"
if [ -z "$root" ]; then
    do_it systemd-sysusers edge-agent.conf
    do_it systemd-tmpfiles --create edge-agent.conf
fi
prove "$version"
narrow "$version"
switch_to "$version"
[ -e "$config" ] || say "next: $opt/bin/edge-agent init --out $config, then systemctl enable --now edge-agent"
