#!/bin/sh
# Installs edge-agent from the folder that `make offline-bundle` fills, without internet; again is no harm.
#
#   install.sh [--yes] [--dry-run]              install or upgrade to the version that lies in wheels/
#   /opt/edge-agent/setup/install.sh            the version in use anew, after line.toml has changed its peers
#   install.sh --rollback [--yes] [--dry-run]   back to the version before
#   install.sh --remove-old [--dry-run]         remove all versions but the one in use and the one before it
#
# A line that runs is restarted only after a yes at the terminal, or with --yes. Without either the new version is
# installed beside, the old one goes on, and the command that switches is named.
#
# Where a folder calibration/ lies beside wheels/ (make offline-bundle CALIBRATION=yes), its packages go with the version,
# also into one that is installed already: this PC can calibrate then. PYTHON=/usr/bin/python3.12 names another Python.
#
# Each version has an environment of its own, /opt/edge-agent/<version>, with its unit, its rules and its documents in
# share/; /opt/edge-agent/bin is a link to the one in use and is switched in one step. Journal, archive, bundles and
# line.toml are never touched. DESTDIR installs into another root and starts nothing. What uninstalls, and this script
# again, lie in /opt/edge-agent/setup.
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
is_sure=no
action=install
# Of a version: what it puts outside its own folder, each with its place there.
places='edge-agent.service etc/systemd/system/edge-agent.service
edge-agent-backup.service etc/systemd/system/edge-agent-backup.service
edge-agent-backup.timer etc/systemd/system/edge-agent-backup.timer
edge-agent-export.service etc/systemd/system/edge-agent-export.service
edge-agent-export.timer etc/systemd/system/edge-agent-export.timer
edge-agent.sysusers usr/lib/sysusers.d/edge-agent.conf
edge-agent.tmpfiles usr/lib/tmpfiles.d/edge-agent.conf
edge-agent.rules usr/lib/udev/rules.d/60-edge-agent.rules'

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
        --remove-old) action=remove ;;
        --yes | -y) is_sure=yes ;;
        -h | --help)
            sed -n '2,19s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) die 64 "unknown option $argument; see --help" ;;
    esac
done
if [ -z "$root" ] && [ "$is_dry" = no ] && [ "$(id -u)" != 0 ]; then
    die 77 "this needs root; try sudo, or --dry-run to see what it would do"
fi

# The version in use, empty where there is none.
in_use() { [ ! -L "$opt/bin" ] || basename "$(dirname "$(readlink "$opt/bin")")"; }

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
sys.stdout.write("".join(os.path.abspath(path) + "\n" for path in paths))' | while read -r path; do
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

has_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; } # it has not while an image is being built
is_running() {
    has_systemd || return 1
    case $(systemctl is-active edge-agent.service || true) in
        active | activating | reloading) return 0 ;;
    esac
    return 1
}

# Whether the service may restart now: it does not run, or somebody says yes.
may_restart() {
    is_running || return 0
    say "The line is running with edge-agent $(in_use). To go to $1 the service restarts: the part that is open is FAULT, the"
    say "output is REJECT from the stop until READY, and every part in between is rejected. The stop takes a second or two;"
    say "READY comes about 4 to 6 s after the start where the project measured it, later on a slower PC."
    [ "$is_dry" = no ] || return 0
    [ "$is_sure" = no ] || return 0
    [ -t 0 ] || return 1
    printf 'Restart the line now? [y/N] ' >&2
    read -r answer || answer=n
    case $answer in
        y | Y | yes | Yes) return 0 ;;
    esac
    return 1
}

# What a version puts outside its own folder, kept in it: it comes back with the version.
keep() {
    do_it mkdir -p "$opt/$1/share/edge-agent"
    for name in edge-agent.service edge-agent-backup.service edge-agent-backup.timer edge-agent-export.service \
        edge-agent-export.timer edge-agent.sysusers edge-agent.tmpfiles edge-agent.rules edge-agent.nft; do
        [ ! -e "$here/$name" ] || do_it install -m 0644 "$here/$name" "$opt/$1/share/edge-agent/$name"
    done
    do_it install -m 0644 "$wheels/requirements.lock" "$opt/$1/share/edge-agent/requirements.lock"
    [ -d "$here/doc" ] || return 0
    do_it mkdir -p "$opt/$1/share/doc"
    do_it rm -rf "$opt/$1/share/doc/edge-agent"
    do_it cp -R "$here/doc" "$opt/$1/share/doc/edge-agent"
}

# A version of before these copies were kept: what is in place now is its own.
keep_of_the_one_before() {
    before=$(in_use)
    [ -n "$before" ] && [ "$before" != "$1" ] && [ ! -d "$opt/$before/share/edge-agent" ] || return 0
    do_it mkdir -p "$opt/$before/share/edge-agent"
    printf '%s\n' "$places" | while read -r name place; do
        [ ! -e "$root/$place" ] || do_it install -m 0644 "$root/$place" "$opt/$before/share/edge-agent/$name"
    done
}

put_in_place() {
    printf '%s\n' "$places" | while read -r name place; do
        kept=$opt/$1/share/edge-agent/$name
        if [ -e "$kept" ] || [ "$is_dry" = yes ]; then
            do_it install -D -m 0644 "$kept" "$root/$place"
        else
            say "version $1 has no $name of its own: $root/$place stays as it is"
        fi
    done
    narrow "$1"
    # One link for all versions, by way of the one in use.
    documents=$root/usr/share/doc/edge-agent
    if [ -L "$documents" ] || [ ! -e "$documents" ]; then
        do_it mkdir -p "$root/usr/share/doc"
        link /opt/edge-agent/bin/../share/doc/edge-agent "$documents"
    fi
}

switch_to() {
    before=$(in_use)
    put_in_place "$1"
    if [ "$before" = "$1" ]; then
        say "edge-agent $1 is in use already"
        ! has_systemd || do_it systemctl daemon-reload
        return
    fi
    [ -z "$before" ] || link "$before" "$opt/previous"
    link "$1/bin" "$opt/bin"
    do_it rm -f "$opt/$1/.waits"
    say "edge-agent ${before:-(none)} -> $1"
    if has_systemd; then
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
}

# The newest schema of a journal that a version can open.
knows_schema() {
    "$opt/$1/bin/python" -I -c 'from edge_agent.store.schema import SCHEMA_VERSION; print(SCHEMA_VERSION)'
}

# The journal's file and its schema, with a tab between; nothing where there is no journal yet.
journal_of_line() {
    [ ! -e "$config" ] || "$opt/$1/bin/python" "$here/state_of_line.py" schema "$config" "${root:-/}"
}

# No file goes back to an older schema: a version that does not know the journal's would end at its start, again and again.
refuse_newer_journal() {
    found=$(journal_of_line "$1") || die 65 "whether version $1 can go on with the journal cannot be told; the one in use stays"
    [ -n "$found" ] || return 0
    journal=${found%	*}
    schema=${found##*	}
    knows=$(knows_schema "$1") || die 70 "version $1 does not say which journals it can open; the one in use stays"
    [ "$schema" -gt "$knows" ] || return 0
    again=$opt/bin/edge-agent
    die 65 "the journal $journal was written by a newer version (schema $schema), and version $1 opens it up to schema $knows." \
        "Nothing was changed. Stay with $(in_use), or let version $1 begin a new journal, with part 1. The rows of the old one" \
        "stay in a file that $(in_use) reads. Where there is no part in it yet, leave the second command out:
  systemctl stop edge-agent
  sudo -u $user $again journal rotate --config $config
  mv '$journal' '$journal.schema-$schema'
  $0 --rollback"
}

# Said before the switch: afterwards it is too late.
say_if_no_way_back() {
    before=$(in_use)
    [ -n "$before" ] && [ "$before" != "$1" ] && [ "$is_dry" = no ] || return 0
    found=$(journal_of_line "$1") && [ -n "$found" ] && knows=$(knows_schema "$1") || return 0
    [ "$knows" -le "${found##*	}" ] ||
        say "version $1 brings the journal from schema ${found##*	} to $knows when it starts: the way back to $before begins a new journal"
}

if [ "$action" = rollback ]; then
    [ -L "$opt/previous" ] || die 69 "there is no version before"
    previous=$(readlink "$opt/previous")
    [ -e "$opt/$previous/.complete" ] || die 69 "version $previous, the one before, was removed"
    prove "$previous"
    refuse_newer_journal "$previous"
    may_restart "$previous" || die 75 "the line runs on with $(in_use), nothing was changed. When it may stand still: $0 --rollback --yes"
    switch_to "$previous"
    exit 0
fi

if [ "$action" = remove ]; then
    active=$(in_use)
    [ -n "$active" ] || die 69 "no version is in use: nothing can be called old"
    previous=$(readlink "$opt/previous" || true)
    is_any=no
    for folder in "$opt"/*/; do
        folder=${folder%/}
        name=$(basename "$folder")
        # A link to a folder is none, and what is no environment was not installed by this script.
        if [ -L "$folder" ] || [ ! -e "$folder/pyvenv.cfg" ]; then continue; fi
        case $name in
            "$active" | "$previous") continue ;;
        esac
        if [ -e "$folder/.waits" ]; then
            say "$folder stays: it waits to be switched to"
            continue
        fi
        is_any=yes
        size=$(du -sh "$folder" | cut -f1)
        do_it rm -rf "$folder"
        say "version $name: $size"
    done
    [ "$is_any" = yes ] || say "there is no old version"
    say "kept: $active, which is in use${previous:+, and $previous, the one before it}"
    exit 0
fi

# From /opt/edge-agent/setup, where no wheels are: the version in use, anew, after line.toml has changed its peers.
if [ ! -d "$wheels" ] && [ -n "$(in_use)" ]; then
    prove "$(in_use)"
    switch_to "$(in_use)"
    exit 0
fi

set -- "$wheels"/edge_agent-*.whl
if [ $# != 1 ] || [ ! -f "$1" ]; then
    die 65 "$wheels holds no wheel of edge-agent, or more than one"
fi
version=$(basename "$1" | cut -d- -f2)
whole "$wheels"
[ ! -d "$calibration" ] || whole "$calibration"
# What is installed is not replaced under its name: an agent may be running from it.
installed=$opt/$version/share/edge-agent/requirements.lock
if [ -e "$installed" ] && ! cmp -s "$installed" "$wheels/requirements.lock"; then
    die 65 "another edge-agent $version is installed already, of other wheels than these. Nothing was changed. Make the folder" \
        "with a version of its own; or, where the line may stand still: systemctl stop edge-agent; rm -r $opt/$version; $0; systemctl start edge-agent"
fi

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
keep_of_the_one_before "$version"
keep "$version"
# Also of an installation under a umask that shut everybody else out.
do_it chmod -R u+rwX,go+rX "$opt/$version"
do_it chmod go+rx "$opt"
# What goes back and what uninstalls has to be here when the folder that was carried is gone. The newest stays: it knows
# what any version has put where. By a rename, for a shell may just be reading the one of before.
do_it mkdir -p "$opt/setup"
for name in install.sh uninstall.sh state_of_line.py; do
    do_it install -m 0755 "$here/$name" "$opt/setup/.$name"
    do_it mv "$opt/setup/.$name" "$opt/setup/$name"
done
if [ -z "$root" ]; then
    do_it systemd-sysusers "$opt/$version/share/edge-agent/edge-agent.sysusers"
    do_it systemd-tmpfiles --create "$opt/$version/share/edge-agent/edge-agent.tmpfiles"
fi
prove "$version"
say_if_no_way_back "$version"
if [ "$(in_use)" != "$version" ] && ! may_restart "$version"; then
    do_it touch "$opt/$version/.waits"
    say "edge-agent $version is installed beside; the line runs on with $(in_use). When it may stand still: $0 --yes"
    exit 0
fi
switch_to "$version"
say "documents: /usr/share/doc/edge-agent/README.md; to go back: $opt/setup/install.sh --rollback; to uninstall:" \
    "$opt/setup/uninstall.sh"
[ -e "$config" ] ||
    say "next: $opt/bin/edge-agent init --out $config, then $opt/setup/install.sh, which writes that line's peers into the unit;" \
        "then systemctl enable --now edge-agent"
