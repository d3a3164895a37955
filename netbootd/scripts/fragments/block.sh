# block FILE [MODE]: standard input becomes our lines of FILE; those of others stay as they are.
block() {
    {
        if [ -f "$1" ]; then sed '/^# netbootd: begin$/,/^# netbootd: end$/d' "$1"; fi
        echo '# netbootd: begin'
        cat
        echo '# netbootd: end'
    } >"$work/block"
    put "$@" <"$work/block"
}
