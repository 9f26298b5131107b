# What the scripts here share. Sourced, not run.

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/podshim
VENV=$ROOT/.venv
export DEBIAN_FRONTEND=noninteractive

say() { printf '==> %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# have PROGRAM... : whether all of them are there
have() {
    for program; do
        command -v "$program" >/dev/null 2>&1 || return 1
    done
}

is_debian() { have apt-get dpkg-query; }

as_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: containers, mounts and namespaces are real here"; }

# install PACKAGE... : Debian packages, those that are missing; no daemon is started by it
install() {
    missing=
    for package; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
        [ "$state" = installed ] || missing="$missing $package"
    done
    [ -z "$missing" ] && return
    [ "$(id -u)" = 0 ] || die "these Debian packages are missing, and installing them needs root:$missing"
    say "Installing Debian packages:$missing"
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then # containerd's package would start the system's daemon
        trap 'rm -f $policy' EXIT
        trap 'exit 1' INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        ours=1
    fi
    # shellcheck disable=SC2086 - a list of names
    try_install $missing || {
        say "Updating apt's package lists"
        apt-get -q update </dev/null
        try_install $missing || die "apt-get could not install:$missing"
    }
    if [ -n "${ours-}" ]; then
        rm -f $policy
        trap - EXIT INT TERM
    fi
}

try_install() { apt-get -qq -y --no-install-recommends install "$@" </dev/null; }
