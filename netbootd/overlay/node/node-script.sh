#!/bin/sh
# Fetches the script that netbootd keeps for this machine, runs it, and reports how it went.
#
# Runs at each boot (netbootd-script.service).  Its output goes to the journal and the console, its
# exit status and the last 64 KiB of output to the boot server.  Works with whichever of curl, wget,
# busybox, python3 and bash there is.  POSIX shell.
#
# exit status: that of the script; 75 where it could not be fetched (EX_TEMPFAIL of sysexits.h)

env=${NETBOOTD_ENV:-/etc/netbootd/env}
work=${NETBOOTD_WORK:-/var/lib/netbootd/script.d}
report_bytes=65536

set -a # the script may use these names
. "$env"
set +a

say() {
    echo "netbootd: $*"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# The words to fetch with.  Only one way is tried: what fails with one fails with all.
tool() {
    if has curl; then
        echo curl
    elif has wget; then
        case $(wget --version 2>/dev/null) in
        *GNU*) echo "wget -t 1 -T 10" ;; # which would try 20 times, beside our own
        *) echo wget ;;                  # BusyBox's: Debian's crashes on -T
        esac
    elif has busybox && busybox wget --help >/dev/null 2>&1; then
        echo "busybox wget"
    elif has python3; then
        echo python3
    elif has bash; then
        echo bash
    fi
}

get() { # get URL FILE
    case $tool in
    curl) curl -fsS --connect-timeout 10 --max-time 120 -o "$2" "$1" ;;
    *wget*) $tool -q -O "$2" "$1" ;;
    python3) python3 -c "$python" "$1" >"$2" ;;
    bash) bash -c "$bash" bash "$1" >"$2" ;;
    *) return 1 ;;
    esac
}

post() { # post URL FILE
    case $tool in
    curl)
        curl -fsS --connect-timeout 10 --max-time 60 -o /dev/null \
            -H 'Content-Type: text/plain' --data-binary "@$2" "$1"
        ;;
    *wget*) $tool -q -O /dev/null --header 'Content-Type: text/plain' --post-file "$2" "$1" ;;
    python3) python3 -c "$python" "$1" "$2" >/dev/null ;;
    bash) bash -c "$bash" bash "$1" "$2" >/dev/null ;;
    *) return 1 ;;
    esac
}

python='
import sys, urllib.request
data = open(sys.argv[2], "rb").read() if len(sys.argv) > 2 else None
asked = urllib.request.Request(sys.argv[1], data, {"Content-Type": "text/plain"})
try:
    with urllib.request.urlopen(asked, timeout=10) as answer:
        sys.stdout.buffer.write(answer.read())
except OSError as problem:
    sys.exit(f"{sys.argv[1]}: {problem}")
'

# HTTP/1.0 over the network connections of bash.  A text with NUL in it would lose that.
bash='
fail() { echo "$url: $*" >&2; exit 1; }
url=$1
export LC_ALL=C
cr=$(printf "\r")
[[ $url =~ ^http://(\[([^]]*)\]|([^/:]*))(:([0-9]+))?(/.*)$ ]] || fail "bash alone can only do http"
host=${BASH_REMATCH[2]}${BASH_REMATCH[3]} port=${BASH_REMATCH[5]:-80} path=${BASH_REMATCH[6]}
exec 3<>"/dev/tcp/$host/$port" || fail "no connection"
if [ $# -gt 1 ]; then
    read -r size _ < <(wc -c <"$2")
    printf "POST %s HTTP/1.0\r\nHost: %s:%s\r\nContent-Type: text/plain\r\nContent-Length: %s\r\n\r\n" \
        "$path" "$host" "$port" "$size" >&3
    cat "$2" >&3
else
    printf "GET %s HTTP/1.0\r\nHost: %s:%s\r\n\r\n" "$path" "$host" "$port" >&3
fi
IFS= read -r -t 60 line <&3 || fail "no answer"
[[ $line =~ ^HTTP/1\.[01]\ 2 ]] || fail "${line%$cr}"
size=
while IFS= read -r -t 60 line <&3 && line=${line%$cr} && [ "$line" ]; do
    [[ ${line,,} =~ ^content-length:\ *([0-9]+)$ ]] && size=${BASH_REMATCH[1]}
done
IFS= read -r -d "" -t 60 body <&3
[ -z "$size" ] || [ "${#body}" = "$size" ] || fail "cut short"
printf %s "$body"
'

fetch() { # fetch URL FILE: again and again for two minutes
    for pause in 1 2 4 8 16 32 60 0; do
        get "$1" "$2" && return 0
        [ $pause = 0 ] || sleep $pause
    done
    return 1
}

report() { # report URL STATUS
    [ "$1" ] || return 0
    case $1 in
    *'?'*) url="$1&status=$2" ;;
    *) url="$1?status=$2" ;;
    esac
    tail -c $report_bytes "$work/output" >"$work/report"
    for pause in 1 2 4 0; do
        post "$url" "$work/report" && return 0
        [ $pause = 0 ] || sleep $pause
    done
    say "$1 did not take the report"
}

end() { # end STATUS: told once, whatever comes after
    trap '' TERM
    case $1 in
    0) report "$NETBOOTD_DONE_URL" 0 ;;
    *) report "$NETBOOTD_FAILED_URL" "$1" ;;
    esac
    exit "$1"
}

# A program that the script leaves behind may hold the pipe open for ever: it is not waited for.
run() {
    chmod 700 "$work/script"
    mkfifo "$work/pipe"
    tee "$work/output" <"$work/pipe" &
    tee=$!
    "$work/script" >"$work/pipe" 2>&1 </dev/null &
    wait $!
    status=$?
    for _ in 1 2 3; do
        kill -0 $tee 2>/dev/null || break
        sleep 1
    done
    return $status
}

umask 077
rm -rf "$work"
mkdir -p "$work" || exit 75
: >"$work/output"
tool=$(tool)
if [ -z "$tool" ]; then
    say "none of curl, wget, busybox, python3 and bash is here to fetch with"
    exit 75
fi
trap 'echo "netbootd: stopped while it ran" >>"$work/output"; end 143' TERM
if ! fetch "$NETBOOTD_SCRIPT_URL" "$work/script" 2>"$work/problem"; then
    { tail -n 3 "$work/problem"; say "$NETBOOTD_SCRIPT_URL cannot be fetched"; } | tee "$work/output"
    end 75
fi
run
status=$?
say "the script ended with status $status"
end $status
