# usbkey KEY=VALUE...: lines of /usbkey/config, where the node has one: it is on the pool.
usbkey() {
    [ -f /usbkey/config ] || return 0
    cp /usbkey/config "$work/usbkey"
    for line; do
        key=${line%%=*}
        if grep "^$key=" "$work/usbkey" >/dev/null; then
            awk -v key="$key=" -v line="$line" \
                'index($0, key) == 1 { if (!done++) print line; next } { print }' \
                "$work/usbkey" >"$work/usbkey.new"
        else
            { cat "$work/usbkey"; echo "$line"; } >"$work/usbkey.new"
        fi
        mv "$work/usbkey.new" "$work/usbkey"
    done
    put /usbkey/config <"$work/usbkey"
}
