# Puts a writable layer in memory over the root file system, and the machine's own files into it.
#
#   sh layer.sh ROOT     ROOT: where the initramfs has mounted the root, /root or /sysroot
#
# Runs in the initramfs, just before the system on ROOT takes over: started by dracut or by
# initramfs-tools (see beside), possibly twice.  The root itself, an NFS export as a rule, stays
# below as the read-only half of an overlayfs and is never written to.  Whatever fails is told on the
# console, and the machine boots all the same.
#
# For dash, and for an initramfs with klibc's handful of programs: chroot, mkdir, mount, umount.

root=$1
state=/run/netbootd
own=/etc/netbootd

say() { # on the console, even behind "quiet"
    echo "netbootd: $*" >/dev/console
}

type_of_root() {
    found=
    while read -r _ folder type _; do
        [ "$folder" != "$root" ] || found=$type
    done </proc/mounts
    echo "$found"
}

# dracut may bring no chroot.  That of the root finds its libc in the initramfs, as bash there does.
in_root() {
    if command -v chroot >/dev/null; then
        chroot "$root" "$@"
    else
        "$root/usr/sbin/chroot" "$root" "$@"
    fi
}

# An initramfs made without the module may still find it in the image, which has the same kernel.
has_overlayfs() {
    modprobe -q overlay 2>/dev/null || in_root modprobe -q overlay 2>/dev/null
    while read -r first second; do
        [ "${second:-$first}" != overlay ] || return 0
    done </proc/filesystems
    return 1
}

make_layer() {
    mkdir -p "$state/lower" "$state/memory" &&
        mount -t tmpfs -o "size=$NETBOOTD_SIZE,mode=0755" netbootd "$state/memory" &&
        mkdir -p "$state/memory/upper" "$state/memory/work" &&
        mount -o bind "$root" "$state/lower" || return 1
    umount "$root" 2>/dev/null # if it is busy the layer simply covers it
    mount -t overlay -o \
        "lowerdir=$state/lower,upperdir=$state/memory/upper,workdir=$state/memory/work" \
        overlay "$root" && return 0
    [ "$(type_of_root)" ] || mount -o bind "$state/lower" "$root"
    return 1
}

# Whether files may be written to the root now.
is_writable() {
    case $(type_of_root) in
    overlay | aufs | tmpfs | ramfs | rootfs)
        return 0
        ;;
    nfs | nfs4 | squashfs | erofs | iso9660 | 9p | virtiofs) ;;
    *)
        say "the root is on a disk of this machine; nothing is laid over it"
        return 1
        ;;
    esac
    if ! has_overlayfs; then
        say "this kernel has no module overlay, neither in the initramfs nor on the root:"
        say "the root stays READ-ONLY and nothing of this machine's own is on it"
        return 1
    fi
    make_layer && return 0
    say "the layer in memory could not be made: the root stays READ-ONLY"
    return 1
}

# The rest needs cp and find, which the new root has.
settle() {
    inside=$root/.netbootd
    mkdir -p "$inside" && mount -o bind "$own" "$inside" || return 1
    for folder in proc sys dev; do
        mount -o bind "/$folder" "$root/$folder"
    done
    in_root /bin/sh /.netbootd/settle.sh
    for folder in dev sys proc; do
        umount "$root/$folder"
    done
    umount "$inside"
    in_root rmdir /.netbootd
}

if [ ! -e "$state/layered" ] && [ -e "$own/env" ]; then
    mkdir -p "$state"
    : >"$state/layered"
    . "$own/env"
    [ -z "$NETBOOTD_HOSTNAME" ] || echo "$NETBOOTD_HOSTNAME" >/proc/sys/kernel/hostname
    if is_writable; then
        settle || say "this machine's own files could not be laid over the root"
    fi
fi
