# For awk: the lines of a file without ours.  What has no end is not ours to drop.
others='
/^# netbootd: begin$/ { printf "%s", held; held = ""; ours = 1; next }
/^# netbootd: end$/ && ours { held = ""; ours = 0; next }
ours { held = held $0 "\n"; next }
{ print }
END { printf "%s", held }'
# block FILE [MODE]: standard input becomes our lines of FILE; those of others stay as they are.
block() {
    {
        if [ -f "$1" ]; then awk "$others" "$1"; fi
        echo '# netbootd: begin'
        cat
        echo '# netbootd: end'
    } >"$work/block"
    put "$@" <"$work/block"
}
