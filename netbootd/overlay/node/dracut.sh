# dracut sources its pre-pivot hooks when the root is mounted on $NEWROOT (dracut.bootup(7)).
[ -n "$NEWROOT" ] && sh /etc/netbootd/layer.sh "$NEWROOT"
