"""The figures that the pages give, beside the studies that measure them: ``make figures-check``.

A page names the study of its figures, ``python -m studies.NAME PART``. A study that takes less than a minute is run,
and its tables are compared with the text after a comment ::

    <!-- figures: python -m studies.two_time deviation
    1.8e-6 = two_time_deviation[0]["deviation"] ± 20 %
    -->

A line gives a figure of the next paragraph, an expression of the rows of tables, and how far they may differ. For each
other study docs/measured.json keeps a digest of its code and of all code that it imports, without imports, comments and
docstrings, as of the day on which it was measured. Those whose code is another today are listed. ``python
docs/figures.py NAME PART`` notes that a study was measured now: run it, and change the page first. Techniques that a
session loads by their entry points do not count as imported.
"""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MEASURED = ROOT / "docs" / "measured.json"
NAMED = re.compile(r"python -m\s+studies\.(\w+)(?:\s+([a-z_]+))?")
PART = re.compile(r"^@(?:study\.)?part\ndef _?(\w+?)_?\(", re.MULTILINE)
COMMENT = re.compile(r"<!-- figures: python -m studies\.(\S+)(.*)\n((?:.+\n)*?)-->\n+((?:.+\n)+)")
LINE = re.compile(r"(.+?) = (.+) ± ([\d.]+) %")
TOOLS = ROOT / "studies" / "_tools.py"  # the command line and the tables of all


@cache
def parts_of(study: str) -> tuple[str, ...]:
    """Return the parts of a study, none if it has no tables."""
    path = ROOT / "studies" / f"{study}.py"
    return tuple(PART.findall(path.read_text())) if path.exists() else ()


def named() -> dict[tuple[str, str], list[str]]:
    """Return each part of a study that a page names, with the names of the pages."""
    pages_of: dict[tuple[str, str], list[str]] = {}
    for page in PAGES:
        for study, word in NAMED.findall(page.read_text()):
            parts = parts_of(study)
            for part in [word] if word in parts else parts:
                pages_of.setdefault((study, part), []).append(str(page.relative_to(ROOT)))
    return pages_of


def not_named() -> list[tuple[str, str]]:
    """Return the parts of studies that no page names."""
    studies = sorted(path.stem for path in (ROOT / "studies").glob("[a-z]*.py"))
    return [(study, part) for study in studies for part in parts_of(study) if (study, part) not in named()]


def differences(page: Path) -> Iterator[str]:
    """Run the studies in the comments of a page. Yield a sentence for each figure that differs."""
    for study, options, lines, text in COMMENT.findall(page.read_text()):
        command = [sys.executable, "-m", f"studies.{study}", *options.split()]
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run(
                command, cwd=ROOT, env=os.environ | {"AINERD_STUDIES": folder}, capture_output=True, text=True
            )
            tables = {path.stem: json.loads(path.read_text())["rows"] for path in Path(folder).glob("*.json")}
        where = f"{page.relative_to(ROOT)}, studies.{study}{options}"
        if ran.returncode:
            yield f"{where} ends with {ran.returncode}: {ran.stdout[-1000:]}{ran.stderr[-1000:]}"
        else:
            yield from (f"{where}: {each}" for line in lines.splitlines() for each in compared(line, text, tables))


def compared(line: str, text: str, tables: dict[str, Any]) -> Iterator[str]:
    """Compare the figure in a line of a comment with text and tables. Yield a sentence for each difference."""
    figure, expression, percent = LINE.fullmatch(line).groups()  # type: ignore[union-attr]
    if figure not in " ".join(text.split()):
        yield f"{figure!r} is not in the next paragraph"
    given, measured = float(figure.split()[0].replace(",", "")), float(eval(expression, {**tables}))
    if not abs(measured - given) <= float(percent) / 100 * abs(given):
        yield f"{figure!r} is now {measured:.4g}"


@cache
def imports_of(file: Path) -> list[tuple[str, str]]:
    """Return the modules and the names that a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [
        (node.module or "", name.name) for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names
    ]
    return names + [(name.name, "") for node in nodes if isinstance(node, ast.Import) for name in node.names]


def file_of(module: str) -> Path | None:
    """Return the file of a module of this repository."""
    places = [folder / module.replace(".", "/") for folder in (ROOT / "src", ROOT)]
    files = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()]
    return files[0] if files else None


def files_of(module: str, name: str) -> list[Path]:
    """Return the file in which a name of a module is defined; an ``__init__.py`` passes names on."""
    if name and (file := file_of(f"{module}.{name}")):
        return [file]
    if (file := file_of(module)) and file.name == "__init__.py":
        passed = [
            files_of(inner, name) for inner, other in imports_of(file) if other in (name, "*") and inner != module
        ]
        return next(filter(None, passed), [file])
    return [file] if file else []


def digest(study: str) -> str:
    """Return a digest of the code of a study, and of all code that it imports, wherever the files lie."""
    waiting, files = [ROOT / "studies" / f"{study}.py"], {TOOLS}
    while waiting:
        if (file := waiting.pop()) not in files:
            files.add(file)
            waiting += [path for module, name in imports_of(file) for path in files_of(module, name)]
    return hashlib.sha256("".join(sorted(map(code_of, files - {TOOLS}))).encode()).hexdigest()[:12]


@cache
def code_of(file: Path) -> str:
    """Return the lines of a file without blank ones, comments, imports and docstrings."""
    text = file.read_text()
    left_out = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    lines = [line for n, line in enumerate(text.splitlines(), 1) if n not in left_out]
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def old() -> Iterator[str]:
    """Yield a line for each study that pages name and whose code is not known to be that which was measured."""
    noted, now = json.loads(MEASURED.read_text()), cache(digest)
    run = {(study, options.strip()) for page in PAGES for study, options, *_ in COMMENT.findall(page.read_text())}
    for (study, part), pages in sorted(named().items()):
        note = noted.get(f"{study} {part}")
        if (study, part) not in run and (note is None or note["code"] != now(study)):
            since = f"changed since {note['on']}" if note else "not noted when it was measured"
            yield f"studies.{study} {part}: {since} ({', '.join(dict.fromkeys(pages))})"


if __name__ == "__main__":
    if sys.argv[1:]:
        study, part = (*sys.argv[1:], *parts_of(sys.argv[1]), "")[:2]
        if part not in parts_of(study):
            sys.exit(f"studies.{study} has no part {part!r}: there are {', '.join(parts_of(study))}")
        noted = json.loads(MEASURED.read_text()) | {
            f"{study} {part}": {"code": digest(study), "on": date.today().isoformat()}
        }
        MEASURED.write_text(json.dumps(dict(sorted(noted.items())), indent=1) + "\n")
        sys.exit()
    print("Longer studies whose code is not that which was measured:", *old(), sep="\n  ")
    wrong = [each for page in PAGES for each in differences(page)]
    print("Figures that are compared:", *(wrong or ["as measured"]), sep="\n  ")
    sys.exit(bool(wrong))
