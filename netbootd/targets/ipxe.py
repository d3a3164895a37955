"""
iPXE syntax and quoting, and the templates of all boot scripts: only here.

A script is a Jinja2 template file beside its type (``nfs.ipxe``), in the sandbox and strict about
undefined names.  A file of the same name in the configuration's folder takes its place, so an admin
can copy one, read it and change it, or fill the block ``before`` of ours, which is empty for that.
Ours are compiled when they are first needed, or ``warm`` is called; what builds on a file of the
configuration's folder, when the configuration is loaded, which tells what is wrong with it.

How iPXE reads a line (tried with builds of 2019 and 2025): blanks collapse, quotes protect nothing,
a word that begins with ``#`` ends the line, ``&&`` and ``||`` as words of their own end the
command, and ``${name}`` is replaced wherever it stands; there is no way to write it literally.  A
backslash at the end of a line joins the next one to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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
    """A template that compiles; two are equal when their text is, with all that they build on."""

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

    def warm(self) -> None:
        """Do now what the first rendering would, some milliseconds; to be called in a thread."""
        self._pieces.warm()


@dataclass(frozen=True, slots=True)
class BrokenTemplate:
    """A template file that does not compile: *text* says where and why."""

    name: str
    text: str


class _Part(NamedTuple):
    """A template that another is, or builds on; *own* to the configuration's folder."""

    name: str
    source: str
    own: bool


class _ReadOnce(jinja2.BaseLoader):
    """What *loader* finds: what is compiled later is what was read, whatever is there by then."""

    def __init__(self, loader: jinja2.BaseLoader) -> None:
        self._loader = loader
        self._read: dict[str, tuple[str, str | None, Callable[[], bool] | None]] = {}

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """As Jinja2 asks."""
        if template not in self._read:
            self._read[template] = self._loader.get_source(environment, template)
        return self._read[template]


class Templates:
    """
    The templates of one configuration: *folder*'s own first, then those beside the types.

    One of the folder's own may build on ours as ``netbootd/nfs.ipxe``.  ``get`` makes each once;
    ``files`` are those of the folder whose change matters, also such as are not there yet.
    """

    def __init__(self, folder: Path | None = None) -> None:
        here = jinja2.FileSystemLoader(OURS)
        own = [jinja2.FileSystemLoader(folder)] if folder else []
        self._folder = folder
        self.files: set[str] = set()
        self._environment = rendering.environment(
            _ReadOnce(jinja2.ChoiceLoader([*own, here, jinja2.PrefixLoader({"netbootd": here})]))
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
            parts = tuple(self._parts(file, ()))
            compiles = partial(self._compiled, [part.name for part in parts])
            if any(part.own for part in parts):
                compiles()
            sources = [part.source for part in parts]
            return ScriptTemplate(file, "".join(sources), Pieces(compiles, sources))
        except jinja2.TemplateNotFound as problem:
            told = f"there is no {problem.name} beside the configuration"
            return BrokenTemplate(file, f"{file}: {told}")
        except jinja2.TemplateSyntaxError as problem:
            where = f"{problem.filename or problem.name or file}:{problem.lineno}"
            return BrokenTemplate(file, f"{where}: {problem.message}")
        except (jinja2.TemplateError, OSError, UnicodeDecodeError) as problem:
            return BrokenTemplate(file, f"{file}: {problem}")

    def _parts(self, file: str, above: tuple[str, ...]) -> Iterator[_Part]:
        """It, and all that it builds on."""
        loader = self._environment.loader
        assert loader is not None
        source, path, _ = loader.get_source(self._environment, file)
        own = bool(self._folder and path and Path(path).is_relative_to(self._folder))
        if own and path:
            self.files.add(path)
        if file in above:
            told = f"builds on itself; ours is netbootd/{file}"
            raise jinja2.TemplateSyntaxError(told, 1, file, path)
        yield _Part(file, source, own)
        for other in self._named(source) if own else rendering.named_by_ours(source):
            yield from self._parts(other, (*above, file))

    def _named(self, source: str) -> list[str]:
        """What *source* names to build on; raises TemplateSyntaxError."""
        tree = self._environment.parse(source)
        return [name for name in jinja2.meta.find_referenced_templates(tree) if name is not None]

    def _compiled(self, names: list[str]) -> jinja2.Template:
        """The first of *names*; with the others, which rendering it would compile."""
        return [self._environment.get_template(name) for name in reversed(names)][-1]


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
