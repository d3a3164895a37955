# Puts the machine's own files over the new root.  Runs in the initramfs, but inside the new root and
# with its programs (find, cp); layer.sh starts it once the root can be written to.  POSIX shell.

own=/.netbootd
. "$own/env"

say() {
    echo "netbootd: $*" >/dev/console
}

# Folders that the root has keep their mode and may be links (/lib is one into /usr); a link in a
# file's place gives way to the file, and is not followed.
lay_over() {
    cd "$own/root" || return
    find . -type d | while IFS= read -r path; do
        [ -d "/$path" ] || cp -a "$path" "/$path"
    done
    find . ! -type d | while IFS= read -r path; do
        [ -e "$path" ] || [ -L "$path" ] || continue
        rm -f "/$path" && cp -a "$path" "/$path" || say "cannot lay /${path#./} over the root"
    done
    cd /
}

# Disks named in the image's table are not this machine's, and its root is mounted already.
only_foreign_mounts() {
    [ ! -e "$own/root/etc/fstab" ] && [ -f /etc/fstab ] || return
    while IFS= read -r line; do
        read -r device folder _ <<LINE
$line
LINE
        case $device in
        /dev/* | UUID=* | LABEL=* | PARTUUID=* | PARTLABEL=*) line="# (netbootd) $line" ;;
        '#'*) ;;
        *) [ "$folder" != / ] || line="# (netbootd) $line" ;;
        esac
        printf '%s\n' "$line"
    done </etc/fstab >/etc/fstab.netbootd
    mv -f /etc/fstab.netbootd /etc/fstab
}

name_in_hosts() {
    [ "$NETBOOTD_HOSTNAME" ] && [ ! -e "$own/root/etc/hosts" ] || return
    names=$NETBOOTD_HOSTNAME
    [ -z "$NETBOOTD_DOMAIN" ] || names="$NETBOOTD_HOSTNAME.$NETBOOTD_DOMAIN $names"
    printf '127.0.1.1\t%s\n' "$names" >>/etc/hosts
}

# What persist_from names.  Not "soft": a database would take a pause of the server for a bad disk.
mount_store() {
    mkdir -p "$store"
    case $NETBOOTD_PERSIST_FROM in
    /dev/*) mount "$NETBOOTD_PERSIST_FROM" "$store" ;;
    *) timeout 60 mount -t nfs -o retry=0 "$NETBOOTD_PERSIST_FROM" "$store" ;;
    esac
}

# The first time a path has what the image has there.
keep() { # keep PATH
    kept=$store/$1
    if [ ! -e "$kept" ]; then
        mkdir -p "${kept%/*}" && mkdir -p "$1" && cp -a "$1" "$kept" || return 1
    fi
    mkdir -p "$1" && mount -o bind "$kept" "$1"
}

# A database that found an empty folder would begin anew in it: better one that cannot be used.
bar() { # bar PATH
    mkdir -p "$1" && mount -t tmpfs -o size=4k,mode=0555 netbootd "$1" || return
    echo "$NETBOOTD_PERSIST_FROM was away when this machine booted: $why" >"$1/AWAY"
    mount -o remount,ro "$1"
}

persist() {
    [ "$NETBOOTD_PERSIST" ] || return
    store=/var/lib/netbootd/persist
    why=$(mount_store 2>&1)
    mounted=$?
    [ $mounted != 124 ] || why="no answer within a minute" # timeout(1)
    [ $mounted = 0 ] || say "persist: $NETBOOTD_PERSIST_FROM is AWAY: $why"
    echo "$NETBOOTD_PERSIST" | while IFS= read -r path; do
        if [ $mounted != 0 ]; then
            say "persist: $path is barred until it is back"
            bar "$path"
        elif ! keep "$path"; then
            why="no room was made for it there"
            say "persist: $path cannot be kept on $NETBOOTD_PERSIST_FROM"
            bar "$path"
        fi
    done
}

umask 022
lay_over
mkdir -p /etc/netbootd
cp -p "$own/env" "$own/machine.json" /etc/netbootd/
chmod 600 /etc/netbootd/env /etc/netbootd/machine.json
only_foreign_mounts
name_in_hosts
persist
