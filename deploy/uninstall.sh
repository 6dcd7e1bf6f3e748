#!/bin/sh
# Removes what install.sh has put on this PC: the service, its unit and drop-in, user and folder rules, all versions.
#
#   uninstall.sh [--yes] [--dry-run]
#
# What the line has written stays: journal, images, bundles, line.toml, passwords. It is named at the end, with its size and
# the command that removes it. A line that runs is stopped only after a yes at the terminal, or with --yes. DESTDIR names
# another root, in which nothing is stopped.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=${DESTDIR:-}
opt=$root/opt/edge-agent
config=$root/etc/edge-agent/line.toml
documents=$root/usr/share/doc/edge-agent
drop_ins=$root/etc/systemd/system/edge-agent.service.d
is_dry=no
is_sure=no

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
        --yes | -y) is_sure=yes ;;
        -h | --help)
            sed -n '2,8s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *) die 64 "unknown option $argument; see --help" ;;
    esac
done
if [ -z "$root" ] && [ "$is_dry" = no ] && [ "$(id -u)" != 0 ]; then
    die 77 "this needs root; try sudo, or --dry-run to see what it would do"
fi

has_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }
is_running() {
    has_systemd || return 1
    case $(systemctl is-active edge-agent.service || true) in
        active | activating | reloading) return 0 ;;
    esac
    return 1
}

# What stays, while there is still a Python that can tell.
left() {
    for python in "$opt"/bin/python python3 /usr/bin/python3; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || continue
        "$python" "$here/state_of_line.py" left "$config" "${root:-/}" && return
        # A line.toml that cannot be read: the folders of the installation at least.
        "$python" "$here/state_of_line.py" left /dev/null "${root:-/}" && return
    done
    echo "  there is no Python 3.11 here that can look: see /var/lib/edge-agent, and what /etc/edge-agent/line.toml names"
}

if is_running; then
    say "The line is running. It is stopped: the agent decides the part that is open as FAULT, and writes REJECT; then nobody"
    say "writes to the output any more, and the remote I/O's watchdog drops what it holds. No part passes from then on."
    if [ "$is_dry" = no ] && [ "$is_sure" = no ]; then
        [ -t 0 ] || die 75 "the line is running, and there is no terminal to ask at. Nothing was changed. Say --yes: $0 --yes"
        printf 'Stop the line and uninstall edge-agent? [y/N] ' >&2
        read -r answer || answer=n
        case $answer in
            y | Y | yes | Yes) ;;
            *) die 75 "not without a yes. Nothing was changed" ;;
        esac
    fi
fi
stays=$(left)

if has_systemd && [ -e /etc/systemd/system/edge-agent.service ]; then
    do_it systemctl disable --now edge-agent.service
    for timer in edge-agent-backup.timer edge-agent-export.timer; do
        [ ! -e "/etc/systemd/system/$timer" ] || do_it systemctl disable --now "$timer"
    done
    [ "$is_dry" = yes ] || ! is_running || die 74 "the service does not stop: systemctl status edge-agent. Nothing was removed"
fi
for file in etc/systemd/system/multi-user.target.wants/edge-agent.service etc/systemd/system/edge-agent.service \
    etc/systemd/system/timers.target.wants/edge-agent-backup.timer etc/systemd/system/edge-agent-backup.timer \
    etc/systemd/system/edge-agent-backup.service \
    etc/systemd/system/timers.target.wants/edge-agent-export.timer etc/systemd/system/edge-agent-export.timer \
    etc/systemd/system/edge-agent-export.service etc/systemd/system/edge-agent.service.d/line.conf usr/lib/sysusers.d/edge-agent.conf \
    usr/lib/tmpfiles.d/edge-agent.conf usr/lib/udev/rules.d/60-edge-agent.rules; do
    if [ -e "$root/$file" ] || [ -L "$root/$file" ]; then do_it rm -f "$root/$file"; fi
done
# Not where somebody has put a drop-in of their own.
[ ! -d "$drop_ins" ] || [ -n "$(find "$drop_ins" -mindepth 1 ! -name line.conf)" ] || do_it rmdir "$drop_ins"
[ ! -L "$documents" ] || do_it rm -f "$documents"
for version in "$opt"/*/; do
    # A link to a folder is not followed; what is no version stays.
    [ -L "${version%/}" ] || [ ! -e "$version/pyvenv.cfg" ] || do_it rm -rf "${version%/}"
done
for name in bin bin.new previous previous.new setup; do
    if [ -e "$opt/$name" ] || [ -L "$opt/$name" ]; then do_it rm -rf "${opt:?}/$name"; fi
done
if [ -d "$opt" ]; then
    do_it rmdir "$opt" 2> /dev/null || say "$opt stays: there is something in it that no installation has put there"
fi
if has_systemd; then
    do_it systemctl daemon-reload
    do_it systemctl reset-failed edge-agent.service 2> /dev/null || true # it never failed: nothing to forget
    do_it udevadm control --reload 2> /dev/null || true # no udev runs here: there is nothing to forget either
fi
say "edge-agent is uninstalled. It leaves, with the command that removes it:"
say "${stays:-  nothing}"
