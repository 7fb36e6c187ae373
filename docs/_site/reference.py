"""A Sphinx extension: pages of the reference that are made of the program, links of the checkout, and readable HTML."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manual import escaped, markdown, read_manual
from sphinx.util.nodes import make_refnode

import pulsekit
from pulsekit._config.file_schema import PROJECT_FILE, USER_FILE, schema_text
from pulsekit.catalogue import known_exchanges
from pulsekit.cli.topics import TOPICS
from pulsekit.treeherder import PUSH_RULES, RULES, TASK_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.application import Sphinx

_DOCS = Path(__file__).parents[1]
_FOLDER = _DOCS / "reference"
sys.path.append(str(_DOCS.parent / "tests" / "cli" / "contract"))
# The files above docs/, and their pages.
_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_public_names: dict[str, str] = {}  # of each class and function, by its name in the module that defines it
# Errors that axe-core finds in the HTML of Sphinx and furo, and their corrections.
_CORRECTIONS = (
    ('class="caption" role="heading">', 'class="caption" role="heading" aria-level="2">'),
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="All pages">'),
    ('<aside class="toc-drawer', '<aside aria-label="This page" class="toc-drawer'),
    ("<pre>", '<pre tabindex="0">'),
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ('<th class="head"><p></p></th>', '<td class="head"></td>'),
    ('<th class="head text-right"><p></p></th>', '<td class="head"></td>'),
    ('<div id="search-results">', '<h1>Search</h1><div id="search-results">'),
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the functions of this module to the steps of a build."""
    app.connect("builder-inited", lambda _: _write_pages())
    app.connect("source-read", lambda _, name, source: _read_source(name, source))
    app.connect("include-read", lambda _, path, __, source: _read_source(path.name, source))
    app.connect("autodoc-process-docstring", _mark_code, priority=100)  # before napoleon
    app.connect("autodoc-skip-member", lambda *event: str(event[3].__doc__).startswith("Alias for field") or None)
    app.connect("missing-reference", _resolve)
    app.connect("build-finished", lambda app, _: _correct_html(Path(app.outdir)))
    return {"parallel_read_safe": True}


def _read_source(name: str, source: list[str]) -> None:
    """Change the links of the checkout into links between pages, and list the remaining pages in the index."""
    text = source[0]
    if name == "index":
        pages = [path.relative_to(_DOCS).with_suffix("").as_posix() for path in _DOCS.rglob("*.md")]
        others = [page for page in sorted(pages) if not page.startswith("reference/") and f"\n{page}\n" not in text]
        text = text.replace("(all other pages)", "\n".join(page for page in others if page != name))
    if name in _PAGES:
        text = re.sub(r"\]\((?:docs/)?", "](", text).replace("](LICENSE)", "](../LICENSE)")
    source[0] = re.sub(
        r"\]\((?:\.\./)*(README|CONTRIBUTING|CHANGELOG)\.md", lambda found: f"](/{_PAGES[f'{found[1]}.md']}", text
    )


def _write_pages() -> None:
    pages = {f"commands/{name}": text for name, text in _commands()}
    pages |= {f"api/{name}": text for name, text in _api().items()}
    pages |= {"rules": "\n".join(_rules()), "exchanges": "\n".join(_exchanges()), "schemas": "\n".join(_schemas())}
    for old in _FOLDER.rglob("*.md"):
        if old.relative_to(_FOLDER).with_suffix("").as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        path = _FOLDER / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # Sphinx reads only files that changed
            path.write_text(text, encoding="utf-8")


def _commands() -> Iterator[tuple[str, str]]:
    """Ask the program for the help of each command, and of each topic that has no page."""
    from helps import COMMANDS, help_of

    manuals = []
    for words, text in zip(COMMANDS, help_of(*COMMANDS, width=100), strict=True):
        topic = TOPICS.get(words[-1]) if words[:1] == ("help",) and len(words) > 1 else None
        if topic is None:
            manuals.append(read_manual(" ".join(words), text))
        elif not (_DOCS / f"{words[-1]}.md").exists() and words[-1] != "rules":
            manual = read_manual(words[-1], text, topic=topic.summary)
            yield manual.page, markdown(manual)
    names = "\n".join(sorted(manual.page for manual in manuals if manual.name))
    for manual in manuals:
        yield manual.page, markdown(manual) + ("" if manual.name else f"\n```{{toctree}}\n:hidden:\n\n{names}\n```\n")


def _rules() -> Iterator[str]:
    yield "# Rules of Treeherder\n"
    yield "[Lint rules](../lint.md) and [rules for tasks](../why.md#the-rules-for-tasks) say more.\n"
    for title, rules in (("Jobs", RULES), ("Messages about tasks", TASK_RULES), ("Messages about pushes", PUSH_RULES)):
        yield f"## {title}\n"
        for rule in rules:
            yield f"### {rule.name}\n\nSeverity: {rule.severity}. {_prose(rule.about)}\n"
            yield f"To correct it: {_prose(rule.hint)}.\n"


def _prose(text: str) -> str:
    """Escape text that Markdown would read as HTML, except in code."""
    return "`".join(escaped(part) if number % 2 == 0 else part for number, part in enumerate(text.split("`")))


def _schemas() -> Iterator[str]:
    yield "# Schemas of pulsekit.yml and config.yml\n\n[Configuration](../configuration.md) describes the files.\n"
    for user, name in enumerate((PROJECT_FILE, USER_FILE)):
        yield f"## {name}\n\n```json\n{schema_text(user=bool(user))}```\n"


def _exchanges() -> Iterator[str]:
    yield "# Exchanges of Mozilla's services\n\n[Known exchanges](../catalogue.md) describes how to use the names.\n"
    for known in known_exchanges():
        yield f"## {known.alias or known.name}\n\n{escaped(known.title)}\n\n- Exchange: `{known.name}`"
        yield f"- Routing key: `{known.layout}`\n"


def _api() -> dict[str, str]:
    """Describe each public name once, in the first module that has it; the other modules refer to it."""
    found = (module.name for module in pkgutil.iter_modules(pulsekit.__path__, "pulsekit."))
    modules = ["pulsekit", *(name for name in found if not re.search(r"\.(_|cli$)", name))]
    pages: dict[str, str] = {}
    for module_name in modules:
        module = importlib.import_module(module_name)
        own, others = [], []
        for name in module.__all__:
            value = getattr(module, name)
            documented = inspect.isclass(value) or inspect.isfunction(value)
            home = f"{value.__module__}.{value.__qualname__}" if documented else ""
            if home in _public_names and _public_names[home] != f"{module_name}.{name}":
                others.append(f"{{py:obj}}`{name} <{_public_names[home]}>`")
            elif not inspect.ismodule(value):
                own.append(_directive(f"{module_name}.{name}", value))
                if documented:
                    _public_names[home] = f"{module_name}.{name}"
        if own:
            head = f"# {module_name}\n\n```{{eval-rst}}\n.. automodule:: {module_name}\n   :no-members:\n"
            also = f"Also in this module: {', '.join(others)}.\n" if others else ""
            pages[module_name] = "\n".join([head, *own, "```\n", also])
    pages["pulsekit"] += "\n".join(
        ["\n```{toctree}", ":hidden:", "", *(name for name in pages if name != "pulsekit"), "```\n"]
    )
    return pages


def _directive(name: str, value: object) -> str:
    if inspect.isclass(value):
        return f".. autoclass:: {name}\n   :members:\n   :show-inheritance:\n"
    # autodoc would describe a constant by the docstring of its type.
    return f".. autofunction:: {name}\n" if inspect.isfunction(value) else f".. py:data:: {name}\n"


def _mark_code(_app: Sphinx, what: str, _name: str, value: object, _options: Any, lines: list[str]) -> None:
    """Mark each indented block after an empty line, and each example of a docstring, as code of reStructuredText."""
    if what == "module":  # autodoc removes the indentation if all lines but the first have it
        lines[:] = (value.__doc__ or "").splitlines()
    result: list[str] = []
    code = False
    for line in lines:
        if line.startswith("    ") and not code and result and result[-1] in {"", "Example:"}:
            result[-1:] = ["::", ""]
            code = True
        elif line.strip() and not line.startswith("    "):
            code = False
        result.append(line)
    lines[:] = result


def _resolve(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> nodes.Node | None:
    """Resolve the name of a class in an annotation, which is its name in the module that defines it."""
    target = _public_names.get(node.get("reftarget", ""))
    if node.get("refdomain") != "py" or target is None:
        return None
    found = next((one for one in env.get_domain("py").get_objects() if one[0] == target), None)
    return found and make_refnode(app.builder, node["refdoc"], found[3], found[4], content, target)


def _correct_html(folder: Path) -> None:
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for found, replacement in _CORRECTIONS:
            text = text.replace(found, replacement)
        page.write_text(text, encoding="utf-8")
