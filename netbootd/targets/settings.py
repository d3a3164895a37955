"""
The written settings of one target, read with checks: what each key must be, and where it points.

A target's keys come from its own entry, from what it inherits, and from the machine that replaces
some of them; each value remembers the object it was written in, so that a finding can name its
line.  A finding at level TARGET makes the target unusable; the rest of the file is not hurt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from netbootd.content import Library
from netbootd.errors import Finding, Forbidden, Level, NetbootdError, NotFound, Place
from netbootd.nearest import did_you_mean, misspelt
from netbootd.relaxedjson import Object, kind
from netbootd.rendering import SUFFIX
from netbootd.targets import ipxe

#: Keys that say what a target boots; in a machine's entry they replace the target's.
TARGET_KEYS = frozenset(
    {"kernel", "initrd", "boot_args", "boot_server", "sanboot", "once", "after", "up_within"}
    | {"send_logs"}
)
EXTRA_ARGS = "extra_args"
LOADER = "loader"
DHCP_OPTIONS = "dhcp_options"
#: Whether its files must be signed.
SIGNED = "signed"
#: Whose turn comes first in a storm.
PRIORITY = "priority"
#: What is given once alone, and to the machine alone.
SECRET = "secret"  # noqa: S105  a key, and no password
#: Keys that mean something in a target; any other is free data.
KNOWN_KEYS = (
    TARGET_KEYS
    | {"inherit", "boot_protocol", "os", "scripts", "overlays"}
    | {
        LOADER,
        DHCP_OPTIONS,
        PRIORITY,
        SIGNED,
        SECRET,
    }
)
#: Free data that boot what it says: worth a word where it is nearly spelt so.
READ = frozenset({"vlan", "fdt", "fdtdir", "config_txt"})
#: Free data that the built-in fragments of node scripts know, too: no slips of the fingers.
VARIABLES = READ | {
    *("hostname", "hosts", "domain", "interfaces", "network", "dns", "ntp", "timezone"),
    *("modules", "ssh_keys", "syslog", "mounts"),
}

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SCHEMES = ("http", "https", "tftp", "nfs", "ftp", "file", "iscsi", "aoe", "fcp", "ib_srp")
_NAMED = re.compile(r"__(servers|boot_servers|bootargs)\.(.+?)__")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]+))?")
_URL_PATH = re.compile(r"[A-Za-z0-9._~!&'()*+,;=:@%/-]*")  # RFC 3986, 3.3, without "$"
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LONGEST_ARGS = 2047  # x86 Linux takes 2048 with the end mark (COMMAND_LINE_SIZE)


class Sourced(NamedTuple):
    """A value and the object it was written in."""

    value: Any
    owner: Object


@dataclass(frozen=True, slots=True)
class Names:
    """
    What a file calls by name: *servers* as base URLs, *raw_servers* and *bootargs* as written.

    *default_server* is ``boot_servers.default`` as a base URL; None leaves it to the daemon.
    *invalid* are the names whose address is none.
    """

    servers: Mapping[str, str] = field(default_factory=dict)
    raw_servers: Mapping[str, str] = field(default_factory=dict)
    bootargs: Mapping[str, str] = field(default_factory=dict)
    invalid: frozenset[str] = frozenset()

    @property
    def default_server(self) -> str | None:
        """The boot server of a target that names none."""
        return self.servers.get("default")

    def doubt(self, text: str) -> str:
        """What to say of a server that is neither a name of these nor an address; else empty."""
        if text in self.servers or re.search(r"[.:\[]", text) or text == "localhost":
            return ""
        hint = did_you_mean(text, self.servers)
        return f'"{text}" is no key of boot_servers{hint}; taken as a host name'


def parse_server(text: str) -> str:
    """
    ``host``, ``host:port``, ``[v6]:port`` or an http(s) URL as a base URL, no slash at its end.

    Raises ValueError for anything else.
    """
    text = text.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    host, slash, path = rest.rstrip("/").partition("/")
    match = _HOST.fullmatch(host)
    if scheme.lower() not in ("http", "https") or not match:
        raise ValueError(f"{text!r} is no address: host, host:port or http://host:port expected")
    if match[2] and not 1 <= int(match[2][:6]) <= 65535:
        raise ValueError(f"port {match[2]} is outside 1..65535")
    if not _URL_PATH.fullmatch(path):
        raise ValueError(f"{text!r} has a character in its path that needs percent-encoding")
    default_port = {"http": "80", "https": "443"}[scheme.lower()]
    port = f":{match[2]}" if match[2] and match[2] != default_port else ""
    return f"{scheme.lower()}://{match[1]}{port}{slash}{path}"


@dataclass(slots=True)
class Settings:
    """
    One target's keys, being read.

    *path* names it in findings (``targets."nfs"."x"``), *titles* are all targets by ``type/name``.
    ``broken`` is the first fault's text.
    """

    title: str
    path: str
    place: Place
    values: Mapping[str, Sourced]
    names: Names
    library: Library
    report: Callable[[Finding], None]
    titles: Collection[str] = ()
    broken: str | None = None

    # -- saying what is wrong ------------------------------------------------------------------

    def fault(
        self,
        code: str,
        text: str,
        key: str = "",
        index: int | None = None,
        level: Level = Level.TARGET,
    ) -> None:
        """The target cannot be used; *index* is the character of the string that is wrong."""
        self.broken = self.broken or text
        self._say(level, code, text, key, index)

    def warn(self, code: str, text: str, key: str = "") -> None:
        """Loaded all the same."""
        self._say(Level.WARNING, code, text, key)

    def note(self, code: str, text: str, key: str = "") -> None:
        """As written, and worth knowing."""
        self._say(Level.NOTE, code, text, key)

    def _say(self, level: Level, code: str, text: str, key: str, index: int | None = None) -> None:
        place = self.place
        if key in self.values:
            owner = self.values[key].owner
            place = owner.place_of(key) if index is None else owner.place_inside(key, index)
        path = f"{self.path}.{key}" if key else self.path
        self.report(Finding(level, code, f"{self.title}: {text}", place, path))

    def slip_of(self, wanted: frozenset[str]) -> str:
        """``; did you mean it by "kernle"?``, where a key is a slip of the fingers for one."""
        slip = next((key for key in self.values if misspelt(key, wanted)), None)
        return f'; did you mean it by "{slip}"?' if slip else ""

    # -- reading -------------------------------------------------------------------------------

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def text(self, key: str) -> str | None:
        """A string, trimmed, its ``__servers.X__`` and ``__bootargs.X__`` replaced."""
        if key not in self.values:
            return None
        value = self.values[key].value
        if not isinstance(value, str):
            self._wrong_type(key, "a string", value)
            return None
        return self._expanded(key, value)

    def location(self, key: str, *, file: bool = True) -> str | None:
        """
        A file to fetch: an absolute URL, or a path with a slash in front on our own server.

        Without *file* it may be a folder, and is not looked for.
        """
        if key not in self.values:
            return None
        text = self._url_text(key, self.values[key].value, "a string")
        return self.located(key, text, file=file) if text else None

    def locations(self, key: str) -> tuple[str, ...]:
        """One file or an array of them."""
        if key not in self.values:
            return ()
        value = self.values[key].value
        wanted = "a string or an array of strings"
        texts = [
            self._url_text(key, item, wanted)
            for item in (value if isinstance(value, list) else [value])
        ]
        found = [self.located(key, text) for text in texts if text]
        return tuple(location for location in found if location)

    def flag(self, key: str, default: bool) -> bool:
        """``true`` or ``false``."""
        if key not in self.values:
            return default
        value = self.values[key].value
        if not isinstance(value, bool):
            self._wrong_type(key, "true or false", value)
            return default
        return value

    def listed(self, key: str) -> tuple[str, ...]:
        """Names: a string or an array of strings."""
        if key not in self.values:
            return ()
        value = self.values[key].value
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) and name.strip() for name in names):
            self._wrong_type(key, "a name or an array of names", value)
            return ()
        return tuple(name.strip() for name in names)

    def one_of(self, key: str, known: Iterable[str]) -> str | None:
        """One of some words, in any case; None without the key."""
        text = self.text(key)
        if text is None or text.lower() in known:
            return text and text.lower()
        listed = ", ".join(sorted(known))
        self.fault("value-unknown", f'"{key}" is "{text}"; there are: {listed}', key)
        return None

    def strings(self, key: str, joined: Collection[str] = ()) -> dict[str, str]:
        """
        An object of strings, numbers and truth values, all as text; names expanded.

        An array under one of the names in *joined* becomes its elements with blanks between.
        """
        if key not in self.values:
            return {}
        value = self.values[key].value
        if not isinstance(value, Mapping):
            self._wrong_type(key, "an object", value)
            return {}
        return {name: self._as_text(key, name, item, joined) for name, item in value.items()}

    def _as_text(self, key: str, name: str, item: Any, joined: Collection[str]) -> str:
        if isinstance(item, list) and name in joined:
            return " ".join(self._as_text(key, name, one, ()) for one in item)
        if isinstance(item, bool):
            return str(item).lower()
        if isinstance(item, (str, int, float)):
            return self._expanded(key, str(item))
        told = f'"{key}.{name}" must be a string or a number, not {kind(item)}'
        self.fault("section-type", told, key)
        return ""

    def own_file(self, key: str, *, needs: str = "") -> str | None:
        """What ``own_path`` makes of a string; None without the key."""
        text = self.text(key)
        return self.own_path(key, text, needs=needs) if text else None

    def own_path(self, key: str, text: str, *, needs: str = "") -> str | None:
        """
        *text* as a path of the file root that is served as each machine sees it; a URL as it is.

        The file may stand there with ``.j2`` behind its name, left out here or not.  With *needs*
        it is a folder, in which that file must be.
        """
        if _SCHEME.match(text):
            return self._absolute(key, text)
        path = re.sub("/+", "/", text).strip("/").removesuffix(SUFFIX)
        wanted = f"{path}/{needs}" if needs else path
        if not self.library.renders(wanted):
            self.check_own_file(key, "/" + wanted)
        return path

    def newest(self, folder: str) -> str | None:
        """The latest of the folders in *folder* of the file root whose name is a time stamp."""
        try:
            names = [entry.name for entry in self.library.where(folder).iterdir() if entry.is_dir()]
        except OSError:
            return None
        return max((name for name in names if _STAMP.fullmatch(name)), default=None)

    def number(self, key: str, *, least: float) -> float | None:
        """A number that is not below *least*; None without the key."""
        if key not in self.values:
            return None
        value = self.values[key].value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
            self._wrong_type(key, f"a number from {least} up", value)
            return None
        return value

    def has_file(self, path: str) -> bool:
        """Whether *path* is there, below the file root, and can be read."""
        try:
            self.library.lookup(unquote(path)).close()
        except (NetbootdError, OSError):
            return False
        return True

    def words(self, key: str) -> tuple[str, ...]:
        """Kernel arguments: a string or an array, split at white space as iPXE does."""
        if key not in self.values:
            return ()
        value = self.values[key].value
        pieces = value if isinstance(value, list) else [value]
        for piece in pieces:
            if not isinstance(piece, str):
                self._wrong_type(key, "a string or an array of strings", piece)
                return ()
        words = tuple(" ".join(self._expanded(key, piece) for piece in pieces).split())
        self._check_words(key, words)
        return words

    def boot_args(self) -> tuple[str, ...]:
        """``boot_args`` and the machine's ``extra_args`` after them."""
        words = self.words("boot_args") + self.words(EXTRA_ARGS)
        length = len(" ".join(words))
        if length > _LONGEST_ARGS:
            self.warn(
                "args-length", f"{length} characters of arguments, Linux takes 2047", "boot_args"
            )
        return words

    # -- the rules -----------------------------------------------------------------------------

    def _wrong_type(self, key: str, wanted: str, value: Any) -> None:
        self.fault("section-type", f'"{key}" must be {wanted}, not {kind(value)}', key)

    def _expanded(self, key: str, text: str, servers: Mapping[str, str] | None = None) -> str:
        """*text* with its names replaced, then looked at: what was put in counts as well."""
        full = self._replaced(key, text, self.names.raw_servers if servers is None else servers)
        if match := _CONTROL.search(full):
            self.fault("control-character", f'control character {match[0]!r} in "{key}"', key)
        return full.strip()

    def _replaced(self, key: str, text: str, servers: Mapping[str, str]) -> str:
        """Named arguments first, so that one of them may itself mention a server."""
        for kinds, known in (
            (("bootargs",), self.names.bootargs),
            (("servers", "boot_servers"), servers),
        ):

            def named(match: re.Match[str], kinds: Any = kinds, known: Any = known) -> str:
                if match[1] not in kinds:
                    return match[0]
                if match[2] in known:
                    return str(known[match[2]])
                listed = ", ".join(sorted(known)) or "none"
                self.fault(
                    "template-unknown", f"{match[0]} is not defined; there are: {listed}", key
                )
                return match[0]

            text = _NAMED.sub(named, text)
        return text

    def _url_text(self, key: str, value: Any, wanted: str) -> str | None:
        if not isinstance(value, str):
            self._wrong_type(key, wanted, value)
            return None
        # At the start of a URL a server's name stands for all of its address, scheme included.
        begins_with_server = re.match(r"\s*__(boot_)?servers\.", value) is not None
        full = self._expanded(key, value, self.names.servers if begins_with_server else None)
        if match := re.search(r"\s", full):
            blank = len(value) - len(value.lstrip()) + match.start()
            plain = full == value.strip() and not isinstance(self.values[key].value, list)
            self.fault("url-invalid", f'blank inside "{key}"', key, blank if plain else None)
            return None
        return full

    def located(self, key: str, text: str, *, file: bool = True) -> str | None:
        """
        Where *text* points: absolute as it is, else below the target's own boot server; with a
        slash in front where it has none, as the subnet of a machine may have another than all.
        """
        if _SCHEME.match(text):
            return self._absolute(key, text, file=file)
        path = "/" + text.lstrip("/")
        base = self.boot_server()
        if file and self._is_ours(base):
            self.check_own_file(key, path)
        return f"{base}{path}" if base and "boot_server" in self.values else path

    def _is_ours(self, base: str | None) -> bool:
        """Whether *base* is this daemon: the default boot server is, another one may be anybody."""
        return base is None or base == self.names.default_server

    def _absolute(self, key: str, text: str, *, file: bool = True) -> str | None:
        scheme, _, rest = text.partition(":")
        if scheme.lower() not in _SCHEMES:
            hint = did_you_mean(scheme, _SCHEMES)
            self.fault("url-invalid", f'unknown scheme "{scheme}:" in "{key}"{hint}', key)
            return None
        if scheme.lower() not in ("http", "https", "tftp", "ftp", "nfs"):
            return text
        try:
            host = urlsplit(text).hostname
            _ = urlsplit(text).port
        except ValueError as problem:
            self.fault("url-invalid", f'"{key}": {problem}', key)
            return None
        if not host or not rest.startswith("//"):
            self.fault("url-invalid", f'no host in "{key}": {text}', key)
            return None
        url = f"{scheme}://" + re.sub("//+", "/", rest[2:])
        ours = self.names.default_server
        if file and ours and url.startswith(ours + "/"):
            self.check_own_file(key, url.removeprefix(ours))
        return url

    def boot_server(self) -> str | None:
        """Where relative paths point, as a base URL: the target's own, the default, or None: us."""
        name = self.values["boot_server"].value if "boot_server" in self.values else None
        if not isinstance(name, str):
            return self.names.default_server  # of another type: reported by check_boot_server
        text = self._replaced("boot_server", name, self.names.raw_servers).strip()
        if text in self.names.servers:
            return self.names.servers[text]
        try:
            return parse_server(text)
        except ValueError:
            return self.names.default_server

    def check_boot_server(self) -> None:
        """Say what is wrong with ``boot_server``, or with the default in its place."""
        text = self.text("boot_server") if "boot_server" in self.values else "default"
        if text is None or text in self.names.servers:
            return
        if text in self.names.invalid:
            told = f'the boot server "{text}" has no usable address in boot_servers'
            self.fault("boot-server-invalid", told, "boot_server")
        elif "boot_server" in self.values:
            self._check_address(text)

    def _check_address(self, text: str) -> None:
        try:
            parse_server(text)
        except ValueError as problem:
            self.fault("boot-server-invalid", f'"boot_server": {problem}', "boot_server")
            return
        if told := self.names.doubt(text):
            self.warn("boot-server-unknown", told, "boot_server")

    def check_own_file(self, key: str, path: str) -> None:
        """Look whether a path of our own server is there."""
        plain = unquote(path.partition("?")[0])
        try:
            self.library.lookup(plain).close()
        except NotFound:
            if self.library.renders(plain):
                return
            where = self.library.where(plain)
            self.warn("file-missing", f'"{key}": there is no {where}', key)
        except Forbidden as problem:
            self.fault("file-outside", f'"{key}": {problem}', key)
        except OSError as problem:  # a failing disk or mount: it may be well when a node asks
            self.warn("file-unreadable", f'"{key}": {problem.strerror or problem}', key)

    def _check_words(self, key: str, words: tuple[str, ...]) -> None:
        if word := ipxe.comment_word(words):
            self.fault(
                "args-comment",
                f'"{word}" in "{key}": iPXE drops the rest of a line from a # on',
                key,
            )
        if word := ipxe.operator_word(words):
            self.fault("args-operator", f'"{word}" in "{key}" would end the iPXE command', key)
        for name in ipxe.unknown_settings(" ".join(words)):
            self.warn("args-setting", f"iPXE knows no setting ${{{name}}}: it becomes empty", key)
        self._check_own_urls(key, words)

    def _check_own_urls(self, key: str, words: tuple[str, ...]) -> None:
        """Answer files and the like: ``ks=http://our-server/install/node.cfg``."""
        ours = self.names.default_server
        for word in words if ours else ():
            _, found, path = word.partition(f"={ours}/")
            if found and "${" not in path:
                self.check_own_file(key, "/" + path)
