#!/bin/sh
# Make this Debian machine (12 or later, systemd as PID 1) a member of a fleetish cluster.
#
#   install.sh --etcd URL[,URL…] [--address ADDRESS] [--metadata KEY=VALUE[,KEY=VALUE…]]
#              [--cluster NAME] [--source DIR|WHEEL] [--wheels DIR] [--socket] [--no-start]
#              [--with-etcd NAME [--initial-cluster NAME=PEERURL[,NAME=PEERURL…]]]
#
#   --etcd URL,…         client URLs of the etcd members, e.g. http://10.0.0.2:2379
#                        (with --with-etcd: this machine's own member, unless given)
#   --address ADDRESS    the address at which other members reach this machine
#   --metadata K=V,…     what units may ask for with MachineMetadata=
#   --cluster NAME       name of the cluster (default: default)
#   --source PATH        a source tree or a wheel (default: the tree that holds this script)
#   --wheels DIR         take Python packages from this directory and from nowhere else; when it
#                        has fleetish's own wheel, that is the default --source
#   --socket             let systemd hold the API's socket, and fleet's own at /run/fleet.sock
#   --with-etcd NAME     also run an etcd member of that name here; needs --address
#   --initial-cluster …  all members as NAME=http://ADDRESS:2380 (default: this one alone)
#   --no-start           install and enable, but start nothing
#
# Every option can also be set in the environment: FLEETISH_ETCD, FLEETISH_ADDRESS,
# FLEETISH_METADATA, FLEETISH_CLUSTER, FLEETISH_SOURCE, FLEETISH_WHEELS, FLEETISH_WITH_ETCD,
# FLEETISH_INITIAL_CLUSTER, FLEETISH_SOCKET=1, FLEETISH_NO_START=1. pip's own (PIP_INDEX_URL, PIP_FIND_LINKS …) hold.
#
# What it does, each step only where it is needed, so that it may be run again at any time:
#   Debian packages → /opt/fleetish/venv → /etc/fleetish/{fleetish.toml,etcd.env}
#   → fleetish and fleetctl in /usr/local/bin, unless the machine has commands of these names
#   → units in /etc/systemd/system → enable and (re)start what changed.
# A /opt/fleetish/venv that is a symbolic link is somebody else's and is left as it is.
# Exit status: 0 done, 1 cannot, 2 wrong usage.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
etcd=${FLEETISH_ETCD:-}
address=${FLEETISH_ADDRESS:-}
metadata=${FLEETISH_METADATA:-}
cluster=${FLEETISH_CLUSTER:-default}
source=${FLEETISH_SOURCE:-}
wheels=${FLEETISH_WHEELS:-}
member=${FLEETISH_WITH_ETCD:-}
initial=${FLEETISH_INITIAL_CLUSTER:-}
socket=${FLEETISH_SOCKET:-}
no_start=${FLEETISH_NO_START:-}
venv=/opt/fleetish/venv
units=/etc/systemd/system
changed=
etcd_changed=

say() { printf 'install: %s\n' "$*"; }
cannot() {
    printf 'install: cannot %s\n' "$1" >&2
    exit "${2:-1}"
}
usage() { sed -n '2,/^set -eu/{/^set -eu/!s/^# \{0,1\}//p;}' "$0"; }

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --no-start) no_start=1 && shift && continue ;;
        --socket) socket=1 && shift && continue ;;
        -h | --help) usage && exit 0 ;;
        --etcd | --address | --metadata | --cluster | --source | --wheels | --with-etcd | --initial-cluster)
            [ $# -ge 2 ] || cannot "use $1 without a value" 2
            ;;
        *) cannot "understand $1 (see --help)" 2 ;;
        esac
        case $1 in
        --etcd) etcd=$2 ;;
        --address) address=$2 ;;
        --metadata) metadata=$2 ;;
        --cluster) cluster=$2 ;;
        --source) source=$2 ;;
        --wheels) wheels=$2 ;;
        --with-etcd) member=$2 ;;
        --initial-cluster) initial=$2 ;;
        esac
        shift 2
    done
}

# The values go into TOML strings and environment files: nothing there may need quoting.
check_options() {
    for value in "$etcd" "$address" "$metadata" "$cluster" "$member" "$initial"; do
        case $value in
        *[!A-Za-z0-9.,:/=_%@+\[\]-]*) cannot "take the value '$value': only A-Z a-z 0-9 . , : / = _ % @ + [ ] -" 2 ;;
        esac
    done
    if [ -n "$member" ]; then
        [ -n "$address" ] || cannot "run an etcd member without --address" 2
        etcd=${etcd:-http://$address:2379}
        initial=${initial:-$member=http://$address:2380}
    elif [ -n "$initial" ]; then
        cannot "use --initial-cluster without --with-etcd" 2
    fi
    [ -n "$etcd" ] || cannot "join a cluster without --etcd URL (or --with-etcd NAME)" 2
    for pair in $(words "$metadata"); do
        case $pair in
        ?*=*) ;;
        *) cannot "read metadata '$pair': it must be KEY=VALUE" 2 ;;
        esac
    done
}

check_machine() {
    [ "$(id -u)" -eq 0 ] || cannot "install without root (try sudo)"
    [ -d /run/systemd/system ] || cannot "install where systemd is not PID 1"
    command -v dpkg-query >/dev/null || cannot "install on a machine that is not Debian's kin"
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 252 ] || cannot "use systemd ${version:-of unknown version}: 252 or later is needed"
    [ -z "$wheels" ] || [ -d "$wheels" ] || cannot "find a directory of wheels at $wheels"
    [ -f "$source" ] || [ -f "$source/pyproject.toml" ] || cannot "find a wheel or a source tree at $source"
}

# What is installed when --source does not say: the wheel of this project that lies among the
# wheels, else the tree that this script is part of.
choose_source() {
    [ -z "$source" ] || return 0
    source=$(dirname -- "$here")
    [ -n "$wheels" ] || return 0
    for wheel in "$wheels"/fleetish-*.whl; do
        [ ! -f "$wheel" ] || source=$wheel
    done
}

words() { printf '%s' "$1" | tr ',' ' '; }

# put FROM TO: TO becomes a copy of FROM, and `wrote` is set when it was not one before.
put() {
    wrote=
    ! cmp -s "$1" "$2" || return 0
    install -D -m 0644 "$1" "$2.new"
    mv "$2.new" "$2"
    say "wrote $2"
    wrote=1
}

install_packages() {
    set -- python3 python3-venv dbus ca-certificates
    [ -n "$wheels" ] || set -- "$@" python3-dev gcc pkg-config libsystemd-dev
    [ -z "$member" ] || set -- "$@" etcd-server
    missing=
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update || cannot "read the package lists: see above"
    # shellcheck disable=SC2086 # a list of package names
    apt-get -q install -y --no-install-recommends $missing || cannot "install$missing: see above"
}

install_program() {
    if [ -L "$venv" ]; then
        say "left $venv, a link to $(readlink -- "$venv")"
        return 0
    fi
    [ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv "$venv"
    stamp=$(fingerprint)
    [ "$(cat "$venv/fleetish.stamp" 2>/dev/null || true)" != "$stamp" ] || return 0
    say "installing fleetish from $source into $venv"
    wanted=$source
    if [ -d "$source" ]; then
        # pip builds where the sources lie: give it a copy, the tree may be read-only.
        wanted=$work/source
        mkdir "$wanted"
        for part in pyproject.toml README.md fleetish marathon_compat; do
            cp -R "$source/$part" "$wanted/"
        done
    fi
    set -- -q --disable-pip-version-check --upgrade
    [ -z "$wheels" ] || set -- "$@" --no-index --find-links "$wheels"
    "$venv/bin/pip" install "$@" "$wanted" ||
        cannot "install fleetish from $source: see above"
    printf '%s\n' "$stamp" >"$venv/fleetish.stamp"
    changed=1
}

# One program by two names: called as fleetctl, it speaks as fleet's fleetctl did.
link_commands() {
    for name in fleetish fleetctl; do
        link=/usr/local/bin/$name
        if [ ! -e "$link" ] && ! command -v "$name" >/dev/null; then
            ln -sf "$venv/bin/fleetish" "$link"
            say "linked $link"
        fi
    done
}

# One line that changes with every source file.
fingerprint() {
    if [ -d "$source" ]; then
        (cd "$source" && find pyproject.toml fleetish marathon_compat -type f \
            ! -name '*.pyc' -exec sha256sum {} + | sort | sha256sum)
    else
        sha256sum <"$source"
    fi
}

settings() {
    echo "# Written by fleetish's install.sh, which replaces it when it is run again."
    echo "cluster = \"$cluster\""
    printf 'etcd = ['
    separator=
    for url in $(words "$etcd"); do
        printf '%s"%s"' "$separator" "$url"
        separator=', '
    done
    echo ']'
    [ -z "$address" ] || echo "address = \"$address\""
    [ -z "$metadata" ] || printf '\n[metadata]\n'
    for pair in $(words "$metadata"); do
        echo "\"${pair%%=*}\" = \"${pair#*=}\""
    done
}

etcd_settings() {
    cat <<EOF
# Written by fleetish's install.sh; read by etcd.service after /etc/default/etcd.
ETCD_NAME=$member
ETCD_DATA_DIR=/var/lib/etcd/fleetish
ETCD_LISTEN_CLIENT_URLS=http://$address:2379,http://127.0.0.1:2379
ETCD_ADVERTISE_CLIENT_URLS=http://$address:2379
ETCD_LISTEN_PEER_URLS=http://$address:2380
ETCD_INITIAL_ADVERTISE_PEER_URLS=http://$address:2380
ETCD_INITIAL_CLUSTER=$initial
ETCD_INITIAL_CLUSTER_TOKEN=fleetish-$cluster
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_AUTO_COMPACTION_MODE=periodic
ETCD_AUTO_COMPACTION_RETENTION=1h
EOF
}

# Before the packages: Debian starts etcd as soon as it is installed, and it shall be this member.
configure_etcd() {
    [ -n "$member" ] || return 0
    etcd_settings >"$work/etcd.env"
    put "$work/etcd.env" /etc/fleetish/etcd.env
    etcd_changed=$wrote
    put "$here/etcd-member.conf" "$units/etcd.service.d/fleetish.conf"
    etcd_changed=$etcd_changed$wrote
}

configure() {
    settings >"$work/fleetish.toml"
    put "$work/fleetish.toml" /etc/fleetish/fleetish.toml
    changed=$changed$wrote
    for unit in fleetish.service fleetish.slice ${socket:+fleetish.socket}; do
        put "$here/$unit" "$units/$unit"
        changed=$changed$wrote
    done
    systemctl daemon-reload
}

# systemd takes no socket over from a daemon that runs: the daemon makes room, its units run on.
start_socket() {
    [ -n "$changed" ] || systemctl -q is-active fleetish.socket || changed=1
    [ -n "$changed" ] || return 0
    systemctl stop fleetish.service
    systemctl restart fleetish.socket || cannot "start fleetish.socket: journalctl -u fleetish.socket tells why"
}

# start UNIT CHANGED: start it, or restart it when what it reads has changed. A member of several
# is ready only when most of them are there: then nobody waits for it.
start() {
    verb=start
    [ -z "$2" ] || verb=restart
    case $initial in
    *,*) systemctl --no-block "$verb" "$1" ;;
    *) systemctl "$verb" "$1" || cannot "start $1: journalctl -u $1 tells why" ;;
    esac
}

read_options "$@"
choose_source
check_options
check_machine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
configure_etcd
install_packages
install_program
link_commands
configure
systemctl -q enable fleetish.service
[ -z "$socket" ] || systemctl -q enable fleetish.socket
[ -z "$member" ] || systemctl -q enable etcd.service
if [ -z "$no_start" ]; then
    [ -z "$member" ] || start etcd.service "$etcd_changed"
    [ -z "$socket" ] || start_socket
    start fleetish.service "$changed"
fi
say "done; see systemctl status fleetish"
