# usbkey KEY=VALUE...: lines of /usbkey/config, where the node has one: it is on the pool.
usbkey() {
    [ -f /usbkey/config ] || return 0
    cp /usbkey/config "$work/usbkey"
    for line; do
        key=${line%%=*} found=no
        while IFS= read -r old || [ -n "$old" ]; do
            case $old in
            "$key="*)
                [ "$found" = yes ] || printf '%s\n' "$line"
                found=yes
                ;;
            *) printf '%s\n' "$old" ;;
            esac
        done <"$work/usbkey" >"$work/usbkey.new"
        [ "$found" = yes ] || printf '%s\n' "$line" >>"$work/usbkey.new"
        mv "$work/usbkey.new" "$work/usbkey"
    done
    put /usbkey/config <"$work/usbkey"
}
