"""
Jinja2, for every text that is made per machine: boot scripts, answer files, node scripts, overlays.

One environment for all: in the sandbox, strict about undefined names, compiled when the
configuration is loaded and never by a request.
"""

from __future__ import annotations

import json
import shlex
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from netbootd.errors import RenderError

#: The ending of a file that is rendered; it is not part of the name under which it is served.
SUFFIX = ".j2"


def environment(loader: jinja2.BaseLoader | None = None) -> jinja2.Environment:
    """
    An environment whose templates may ``extends`` and ``include`` what *loader* finds.

    Filters beside Jinja2's own: ``json`` (strict JSON, on one line) and ``sh`` (one word of a POSIX
    shell, quoted).
    """
    made = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,  # a request must not look at the disk
    )
    made.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    made.filters["sh"] = lambda value: shlex.quote(str(value))
    return made


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A compiled file; two are equal when their texts are, with all that they include."""

    name: str
    source: str
    _compiled: jinja2.Template = field(compare=False, repr=False)

    def render(self, names: Mapping[str, Any]) -> str:
        """The text with *names* filled in; raises RenderError, which names file and line."""
        try:
            return self._compiled.render(names)
        except Exception as problem:  # a template is the operator's text and may do anything
            raise RenderError(f"{_where(self.name, problem)}: {_told(problem)}") from None


def compile_text(name: str, source: str, folder: Path | None = None) -> TextTemplate:
    """
    Compile *source*; *folder* is where it may include other files from, by names relative to it.

    *name* is what errors call it.  Raises RenderError where it does not compile, or where a file
    that it includes does not.
    """
    made = environment(jinja2.FileSystemLoader(folder) if folder else None)
    try:
        sources = [source]
        for other in jinja2.meta.find_referenced_templates(made.parse(source)):
            if other is not None and made.loader is not None:
                sources.append(made.loader.get_source(made, other)[0])
                made.get_template(other)
        code = made.compile(source, name, name)
        compiled = jinja2.Template.from_code(made, code, made.make_globals(None))
    except jinja2.TemplateSyntaxError as problem:
        where = problem.filename or problem.name or name
        raise RenderError(f"{where}:{problem.lineno}: {problem.message}") from None
    except (jinja2.TemplateError, OSError, UnicodeDecodeError) as problem:
        raise RenderError(f"{name}: {_told(problem)}") from None
    return TextTemplate(name, "\0".join(sources), compiled)


def _where(name: str, problem: Exception) -> str:
    """File and line of a template that failed: the last frame that is one of its own."""
    frames = [
        frame
        for frame in traceback.extract_tb(problem.__traceback__)
        if not frame.filename.endswith(".py")
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name


def _told(problem: Exception) -> str:
    text = str(problem) or type(problem).__name__
    return (
        text if isinstance(problem, jinja2.TemplateError) else f"{type(problem).__name__}: {text}"
    )
