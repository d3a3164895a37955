"""
iPXE syntax and quoting, and the templates of all boot scripts: only here.

A script is a Jinja2 template file beside its type (``nfs.ipxe``), in the sandbox and strict about
undefined names.  A file of the same name in the configuration's folder takes its place, so an admin
can copy one, read it and change it, or fill the block ``before`` of ours, which is empty for that.
Templates are compiled when the configuration is loaded.

How iPXE reads a line (tried with builds of 2019 and 2025): blanks collapse, quotes protect nothing,
a word that begins with ``#`` ends the line, ``&&`` and ``||`` as words of their own end the
command, and ``${name}`` is replaced wherever it stands; there is no way to write it literally.  A
backslash at the end of a line joins the next one to it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta

from netbootd import rendering
from netbootd.dialects import quoting
from netbootd.precut import Pieces

MAGIC = "#!ipxe\n"
#: Where our templates stand: iPXE's beside the types, those of other loaders beside their dialects.
OURS = (Path(__file__).parent, Path(quoting.__file__).parent)
_SETTING = re.compile(r"\$\{([^}]*)\}")
#: Settings that iPXE itself knows (https://ipxe.org/cfg); others may come from DHCP by number.
_KNOWN_SETTINGS = frozenset(  # as text: a list of 60 lines reads worse
    """asset base-url bootargs buildarch busid busloc bustype chip console cpumodel cpuvendor
    crosscert cwduri cwuri dhcp-server dns domain domain-name errno fake-efi filename gateway
    hostname hwaddr ifname initiator-iqn ip keep-san ldap linktype loaded mac manufacturer
    memsize mtu netmask netX next-server ntp password platform priority product root-path
    san-filename scrollback scope serial skip-san-boot syslog syslogs trust unixtime
    use-cached user-class username uuid vendor-class version""".split()  # noqa: SIM905
)
_SCOPES = ("smbios", "pci", "cpuid", "efi", "dhcp", "proxydhcp", "pxebs", "cached", "fdt", "memmap")


@dataclass(frozen=True, slots=True)
class ScriptTemplate:
    """A compiled template; two are equal when their text is, with all that they build on."""

    name: str
    source: str
    _pieces: Pieces = field(compare=False, repr=False)

    @property
    def told(self) -> tuple[str, ...] | None:
        """As in ``Pieces``."""
        return self._pieces.told

    def render(self, **values: Any) -> str:
        """The script; raises jinja2.TemplateError for an undefined name and its like."""
        return self.filled(values)

    def filled(self, values: Mapping[str, Any]) -> str:
        """The script for *values*, as ``render``."""
        text = self._pieces.render(values)
        return text if text.endswith("\n") else text + "\n"


@dataclass(frozen=True, slots=True)
class BrokenTemplate:
    """A template file that does not compile: *text* says where and why."""

    name: str
    text: str


class Templates:
    """
    The templates of one configuration: *folder*'s own first, then those beside the types.

    One of the folder's own may build on ours as ``netbootd/nfs.ipxe``.  ``get`` compiles each once;
    ``files`` are those of the folder whose change matters, also such as are not there yet.
    """

    def __init__(self, folder: Path | None = None) -> None:
        here = jinja2.FileSystemLoader(OURS)
        own = [jinja2.FileSystemLoader(folder)] if folder else []
        self._folder = folder
        self.files: set[str] = set()
        self._environment = rendering.environment(
            jinja2.ChoiceLoader([*own, here, jinja2.PrefixLoader({"netbootd": here})])
        )
        self._environment.filters |= {
            "plain": plain,
            "shown": quoting.shown,
            "one_line": quoting.one_line,
            "grub": quoting.grub,
        }
        self._made: dict[str, ScriptTemplate | BrokenTemplate] = {}

    def get(self, name: str) -> ScriptTemplate | BrokenTemplate:
        """``get("nfs")`` is the template ``nfs.ipxe``."""
        return self.file(f"{name}.ipxe")

    def file(self, name: str) -> ScriptTemplate | BrokenTemplate:
        """The template that stands in file *name*, relative to the configuration's folder."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, file: str) -> ScriptTemplate | BrokenTemplate:
        if self._folder is not None:
            self.files.add(str(self._folder / file))
        try:
            sources = tuple(self._sources(file, ()))
            pieces = Pieces(self._environment.get_template(file), sources)
            return ScriptTemplate(file, "".join(sources), pieces)
        except jinja2.TemplateNotFound as problem:
            told = f"there is no {problem.name} beside the configuration"
            return BrokenTemplate(file, f"{file}: {told}")
        except jinja2.TemplateSyntaxError as problem:
            where = f"{problem.filename or problem.name or file}:{problem.lineno}"
            return BrokenTemplate(file, f"{where}: {problem.message}")
        except (jinja2.TemplateError, OSError, UnicodeDecodeError) as problem:
            return BrokenTemplate(file, f"{file}: {problem}")

    def _sources(self, file: str, above: tuple[str, ...]) -> Iterator[str]:
        """Its text and that of all it builds on, which are compiled now and not by a request."""
        loader = self._environment.loader
        assert loader is not None
        source, path, _ = loader.get_source(self._environment, file)
        if self._folder and path and Path(path).is_relative_to(self._folder):
            self.files.add(path)
        if file in above:
            told = f"builds on itself; ours is netbootd/{file}"
            raise jinja2.TemplateSyntaxError(told, 1, file, path)
        yield source
        for other in jinja2.meta.find_referenced_templates(self._environment.parse(source)):
            if other is not None:
                yield from self._sources(other, (*above, file))
                self._environment.get_template(other)


def plain(value: object) -> str:
    """
    *value* as text that ``echo`` can show: one line, and nothing that iPXE would act on.

    ``${`` loses its dollars, and the end its backslashes; words that iPXE takes for operators or
    comments get a quote in front.
    """
    line = "".join(c if c.isprintable() else " " for c in str(value))
    words = re.sub(r"\$+\{", "{", line).rstrip("\\ ").split()
    return " ".join(f"'{word}" if _is_special(word) else word for word in words)


def _is_special(word: str) -> bool:
    return word.startswith("#") or word in ("&&", "||")


def comment_word(words: Iterable[str]) -> str | None:
    """The first word at which iPXE would stop reading the line, or None."""
    return next((word for word in words if word.startswith("#")), None)


def operator_word(words: Iterable[str]) -> str | None:
    """The first word that iPXE would take for the end of the command, or None."""
    return next((word for word in words if word in ("&&", "||")), None)


def end_word(words: Collection[str]) -> str | None:
    """The first word at which iPXE would end the command, for either reason, or None."""
    return comment_word(words) or operator_word(words)


def unsettable(text: str) -> str | None:
    """
    Why ``set name TEXT`` would not store *text* as it is, or None.

    iPXE joins the words with single blanks, and replaces ``${…}`` (see above).
    """
    words = text.split()
    if text != " ".join(words) or not text.isprintable():
        return "has blanks that iPXE would drop, or a control character"
    if bad := end_word(words):
        return f'has the word "{bad}", at which iPXE would end the line'
    return "has ${, which iPXE would replace" if "${" in text else None


def unknown_settings(text: str) -> Iterator[str]:
    """The names in ``${…}`` that iPXE does not know and would replace by nothing."""
    for name in _SETTING.findall(text):
        scope, _, last = name.rpartition("/")
        plain_name = last.partition(":")[0]
        numbered = re.fullmatch(r"[0-9a-fx.]+", plain_name) is not None
        scoped = any(
            part.partition(".")[-1] in _SCOPES or part in _SCOPES for part in scope.split("/")
        )
        if not (plain_name in _KNOWN_SETTINGS or numbered or scoped):
            yield name
