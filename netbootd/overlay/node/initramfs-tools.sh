#!/bin/sh
# initramfs-tools runs its init-bottom scripts when the root is mounted on $rootmnt
# (initramfs-tools(7)).
exec sh /etc/netbootd/layer.sh "$rootmnt"
