#!/usr/bin/env bash
# Installs what netbootd needs on Debian 12 or 13, and only what is missing:
#
#   tools/setup.sh run     to serve: a virtual environment in .venv, boot loaders
#   tools/setup.sh quick   and to lint and test without virtual machines
#   tools/setup.sh demo    and to boot a machine of real firmware in QEMU
#   tools/setup.sh test    and all the systems that such machines boot in the tests
#   tools/setup.sh bench   to measure beside other boot servers, without virtual machines
#
# A second run finds everything in its place, takes a moment and needs no network.
#
# The environment is made with Debian's own Python, or the one that PYTHON=/path/to/python3 names
# (tools/python); one that is there already stays, whatever made it ("make clean" removes it).
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:?run, quick, demo, test or bench}

# ipxe: undionly.kpxe, snponly.efi, ipxe.efi.  syslinux-common: memdisk.
packages=(ca-certificates ipxe syslinux-common)
# What "netbootd import" reads ISO images and archives with.  Debian 13's libarchive13t64 provides it.
compgen -G '/usr/lib/*/libarchive.so.13' >/dev/null || packages+=(libarchive13)
# bubblewrap, python3-seccomp: the sandbox of the systemd unit, for its tests.
# netbase: /etc/services, which atftp looks into.  procps: /bin/kill, which the unit names.
# chromium-driver: a browser for the web page.  rsyslog: a foreign sender of logs, and no service here.
# bzip2, xorriso, xz-utils, zstd: installation media made up for tests of the import.  pxelinux: what
# legacy machines boot without iPXE.
quick=(atftp bsdutils bubblewrap bzip2 chromium chromium-driver cpio curl dnsmasq-base ethtool grub-common iproute2
    libjson-xs-perl netbase nftables openssl procps pxelinux python3-seccomp rsyslog shellcheck systemd tcpdump tftp-hpa
    wget xorriso xz-utils zstd)
# Installing one of busybox and busybox-static removes the other: whichever is there will do.
command -v busybox >/dev/null || quick+=(busybox)
firmware=(ipxe-qemu ovmf qemu-system-x86 seabios)
# Machines that are no 64-bit PCs, and their firmware.
others=(ovmf-ia32 qemu-efi-aarch64 qemu-system-arm u-boot-qemu)
# What makes the systems that test machines boot.  debootstrap: the root of diskless ones.
# libtirpc-common: /etc/netconfig, for its file server.
makers=(binutils debootstrap isolinux libtirpc-common squashfs-tools)
# A compiler, for the load.  The servers to measure beside are in .cache.
measures=(gcc libc6-dev)
extra=
case $level in
run) ;;
quick) packages+=("${quick[@]}") extra='[test]' ;;
demo) packages+=("${quick[@]}" "${firmware[@]}") extra='[test]' ;;
test) packages+=("${quick[@]}" "${firmware[@]}" "${others[@]}" "${makers[@]}") extra='[test]' ;;
bench) packages+=("${quick[@]}" "${measures[@]}") extra='[test]' ;;
*) echo "tools/setup.sh: $level is not one of run, quick, demo, test, bench" >&2; exit 2 ;;
esac

say() { echo "set-up: $*" >&2; }

unreachable() { # the last line, below what the program that failed has said
    say "$1: can this host reach that?  The first set-up needs a network, later ones do not"
    exit 1
}

missing() {
    local package
    [ -x .venv/bin/python ] || [ -n "${PYTHON:-}" ] || tools/python >/dev/null 2>&1 ||
        echo python3 python3-venv
    for package in "${packages[@]}"; do
        # "ii": wanted and wholly installed; a package removed but not purged is "rc".
        case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
        ii*) ;;
        *) echo "$package" ;;
        esac
    done
}

updated=
update_lists() { # once, and only when something has to be fetched
    [ -z "$updated" ] || return 0
    say "apt-get update"
    apt-get -qq -o DPkg::Lock::Timeout=300 update ||
        unreachable "Debian's packages come from the servers in /etc/apt/sources.list and sources.list.d"
    updated=yes
}

install_packages() {
    local wanted
    wanted=$(missing | xargs)
    [ -n "$wanted" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "these packages are missing; as root: apt-get install --no-install-recommends $wanted"
        exit 1
    fi
    update_lists
    say "apt-get install $wanted"
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 install -y --no-install-recommends $wanted >/dev/null
}

# What an environment was made for: this folder (its scripts name it) and these dependencies.
fingerprint() {
    echo "$PWD $1"
    sha256sum setup.cfg pyproject.toml tools/pins/*.txt
}

up_to_date() { # what is good for the tests is good for running
    local made
    for made in "$extra" '[test]'; do
        [ "$(cat ".venv/.made$made" 2>/dev/null)" != "$(fingerprint "$made")" ] || return 0
    done
    return 1
}

no_python_packages() {
    unreachable "netbootd's Python packages come from pypi.org, or what pip.conf names"
}

install_project() {
    # A new Debian brings a new Python, which an old environment does not survive.
    if ! .venv/bin/python -c '' 2>/dev/null; then
        local python
        python=$(tools/python)
        say "$python -m venv .venv"
        "$python" -m venv --clear .venv
    fi
    ! up_to_date || return 0
    say "pip install --editable .$extra"
    tools/pip .venv run || no_python_packages
    [ -z "$extra" ] || tools/pip .venv test || no_python_packages
    .venv/bin/python -m pip --disable-pip-version-check install -q --no-deps --no-index \
        --no-build-isolation -e . || no_python_packages
    fingerprint "$extra" >".venv/.made$extra"
}

fetch_guest() { # a kernel for the test machines: downloaded and unpacked in .cache, not installed
    [ -n "$(.venv/bin/python -m tests.end_to_end.guest --missing)" ] || return 0
    update_lists
    say "downloading a kernel for the test machines"
    .venv/bin/python -m tests.end_to_end.guest >&2
}

make_images() { # the systems that the test machines boot beside it: as above, or built
    [ -n "$(.venv/bin/python -m tests.end_to_end.images --missing)" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "not all that test machines boot is there; root makes it"
        return 0
    fi
    update_lists
    say "making what the test machines boot: some minutes, once"
    .venv/bin/python -m tests.end_to_end.images >&2
}

make_peers() { # servers to measure beside: downloaded and unpacked in .cache, not installed
    [ -n "$(.venv/bin/python -m tests.bench.peers --missing)" ] || return 0
    update_lists
    say "downloading the servers to measure beside"
    .venv/bin/python -m tests.bench.peers >&2
}

mkdir -p .cache
exec 9>.cache/setup.lock # two at once would fill one folder twice
flock 9
install_packages
install_project
# Where PYTHONDONTWRITEBYTECODE is set, each start would compile all of it again: half a second.
.venv/bin/python -m compileall -q netbootd
# Tests without a machine serve its kernel and initrd as well.
[ "$level" = run ] || [ "$level" = bench ] || fetch_guest
[ "$level" != bench ] || make_peers
[ "$level" != test ] || make_images
