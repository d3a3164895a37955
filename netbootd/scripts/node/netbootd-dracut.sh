#!/bin/sh
# A pre-pivot hook for dracut: runs the machine's script in the new root before it starts, so that
# host name and network files are in place for its very first program.  The root must be writable.
#
# Goes into the image's initramfs with its modules network and url-lib:
#
#   dracut --add "network url-lib" --include netbootd-dracut.sh \
#       /var/lib/dracut/hooks/pre-pivot/80-netbootd-script.sh ...
#
# Needs the kernel's argument netbootd.script=URL.  Sourced by dracut: it must not exit.

netbootd_url=$(getarg netbootd.script=)
if [ -n "$netbootd_url" ] && [ ! -e /run/netbootd/script ]; then
    mkdir -p /run/netbootd
    if fetch_url "$netbootd_url" /run/netbootd/script; then
        for netbootd_folder in proc sys dev; do
            mount --rbind "/$netbootd_folder" "$NEWROOT/$netbootd_folder"
        done
        chroot "$NEWROOT" /bin/sh -s </run/netbootd/script ||
            warn "netbootd: the script ended with status $?"
        for netbootd_folder in proc sys dev; do umount -l "$NEWROOT/$netbootd_folder"; done
    else
        warn "netbootd: $netbootd_url cannot be fetched"
    fi
fi
