#!/bin/sh
# Make this machine one node of a cluster: names for all nodes, then the host recipe.
#
#   provision.sh NAME NODE=ADDRESS[,NODE=ADDRESS…] MEMBERS [OPTION of host/install.sh…]
#
# NAME is one of the nodes; the first MEMBERS nodes run etcd. The machine's metadata are host=NAME
# and rack=rN, where N is its place in the list. May be run again at any time.
# Exit status: that of host/install.sh; 2 wrong usage.
set -eu

cannot() {
    printf 'provision: cannot %s\n' "$1" >&2
    exit 2
}

[ $# -ge 3 ] || cannot "do without NAME NODE=ADDRESS[,NODE=ADDRESS…] MEMBERS"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
name=$1
nodes=$(printf '%s' "$2" | tr ',' ' ')
members=$3
shift 3
case $members in '' | *[!0-9]*) cannot "use '$members' for MEMBERS: it must be a number" ;; esac

position=0
address=
rack=
etcd=
initial=
own_member=
for node in $nodes; do
    case $node in ?*=?*) ;; *) cannot "use '$node' for a node: it must be NAME=ADDRESS" ;; esac
    position=$((position + 1))
    member=${node%%=*}
    at=${node#*=}
    if [ "$member" = "$name" ]; then
        address=$at
        rack=r$position
    fi
    if [ "$position" -le "$members" ]; then
        etcd=$etcd${etcd:+,}http://$at:2379
        initial=$initial${initial:+,}$member=http://$at:2380
        [ "$member" != "$name" ] || own_member=$name
    fi
done
[ -n "$address" ] || cannot "find $name in $nodes"

# Vagrant gives the machine's own name a loopback address, which would be useless to the others:
# drop every line that names a node, then add them all.
hosts=$(awk -v nodes="$nodes" '
    BEGIN {
        count = split(nodes, pairs, " ")
        for (i = 1; i <= count; i++) { split(pairs[i], pair, "="); address[pair[1]] = pair[2] }
    }
    { ours = 0; for (i = 2; i <= NF; i++) ours += $i in address; if (!ours) print }
    END {
        for (i = 1; i <= count; i++) { split(pairs[i], pair, "="); print pair[2], pair[1] }
    }
' /etc/hosts)
printf '%s\n' "$hosts" >/etc/hosts

set -- --etcd "$etcd" --address "$address" --metadata "host=$name,rack=$rack" "$@"
[ -z "$own_member" ] || set -- --with-etcd "$own_member" --initial-cluster "$initial" "$@"
exec "$here/../host/install.sh" "$@"
