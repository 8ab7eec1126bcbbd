"""Count the errors in the code of a folder that its tests notice.

Mutants are drawn from a seed, as many from each folder: a comparison, an operator or a number is replaced, a condition
turned round, a statement left out. Each is written into a copy of the package. All tests of the folder run once without
a mutant, each file in a process of its own, and must pass; that run notes the lines that each test executes. With a
mutant, the test files run that execute its line (those that import it, if numba compiles it), until the first failure:
the tests that execute the line come first. No other test can notice it. An interrupted study continues where it ended.
A mutant that survived is tried again when the tests have changed.
"""

import ast
import os
import resource
import shutil
import signal
import sys
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studies import _lines
from studies._tools import Case, Row, Study, digest_of, report, resumed

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("steering", "runs", "documents", "campaign", "novelty", "xpcs/numerics")
LIMIT_S = 600  # CPU time of the tests of a mutant; one that never ends is noticed
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.MatMult: ast.Mult,
}  # fmt: skip
HEAVY = "pytest numba torch scipy.optimize scipy.stats pandas sklearn.cluster hdf5plugin bluesky.plans tiled.client"
SILENT = ("logger.", "warnings.warn", "self.notes")  # statements whose words no test has to read

Lines = frozenset[str]  # FILE:LINE

study = Study(__doc__)


@dataclass(frozen=True)
class Mutant:
    """A change of one expression or statement of a file."""

    path: Path
    line: int
    function: str  # the name of the function or class around it
    before: str
    after: str
    begin: int  # bytes of the file
    end: int
    lines: Lines  # of the statement; if numba compiles the function, those of its definition
    compiled: bool

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}:{self.line} {self.function}: {self.before} -> {self.after}"


@study.part
def mutants(n: int = 84, seed: int = 0, rooms: str = " ".join(ROOMS)) -> None:
    """Draw mutants of each folder, and run tests."""
    rows, survivors = list[Row](), list[str]()
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "src"
        shutil.copytree(ROOT / "src", source)
        shutil.copy(_lines.__file__, source / "sitecustomize.py")
        for room in rooms.split():
            saved = room.replace("/", "_")
            code = {"source": digest_of(ROOT / "src")}
            drawn = code | {"seed": seed}
            now, files = digest_of(ROOT / "tests" / room), sorted((ROOT / "tests" / room).glob("test_*.py"))
            tests = [(str(file.relative_to(ROOT)), zlib.crc32(file.read_bytes())) for file in files]
            lines = resumed(f"mutants_lines_{saved}", code, tests, partial(lines_of_tests, folder_of(room, source)))
            measure = partial(tried, source, now, {file: row for (file, _), row in zip(tests, lines, strict=True)})
            rng, total = np.random.default_rng([seed, *room.encode()]), len(every(room, source))
            cases = [(room, int(i)) for i in sorted(rng.choice(total, min(n // len(ROOMS), total), replace=False))]
            first = resumed(f"mutants_{saved}", drawn, cases, measure)
            left = {case: row for case, row in zip(cases, first, strict=True) if not row["noticed"]}
            old = [case for case, row in left.items() if row["tests"] != now]
            left |= zip(old, resumed(f"mutants_left_{saved}", drawn | {"tests": now}, old, measure), strict=True)
            names = [row["mutant"] for row in left.values() if not row["noticed"]]
            cpu_s = sum(row["cpu_s"] for row in first)
            row = {"folder": room, "mutants": len(cases), "survived at first": len(left), "survived": len(names)}
            rows.append(row | {"CPU s": cpu_s})
            survivors += names
    report("mutants", rows, most={"survived": n / len(ROOMS) / 4}, seed=seed, survivors=survivors)
    total = sum(row["mutants"] for row in rows)
    print(f"{total} mutants, {1 - len(survivors) / total:.1%} noticed; survived:", *survivors, sep="\n")


@cache
def every(room: str, source: Path) -> list[Mutant]:
    """Return all mutants of a folder."""
    return [mutant for file in sorted(folder_of(room, source).glob("*.py")) for mutant in mutants_of(file)]


def folder_of(room: str, source: Path) -> Path:
    """Return the folder of the code that a folder of tests is for."""
    package, _, inner = room.rpartition("/")
    return source / (f"ainerd_{package}" if package else "ainerd") / inner


def lines_of_tests(folder: Path, case: Case) -> Row:
    """Run a test file without a mutant."""
    source, notes, cpu_s = folder.parents[1], folder.parents[2] / "notes", cpu()
    notes.write_text("")
    os.environ[_lines.NOTES] = os.pathsep.join([f"{folder}/", str(notes)])
    failed = first_failure(source, [case[0]], Noting())
    del os.environ[_lines.NOTES]
    if failed:
        raise RuntimeError(f"a test fails without a mutant: {failed}")
    found = defaultdict[str, list[str]](list)
    for line in notes.read_text().splitlines():
        test, at = line.split("\t")
        found[test].append(at)
    return {"cpu_s": cpu() - cpu_s, "lines": found}


def tried(source: Path, tests_now: str, recorded: dict[str, Row], case: Case) -> Row:
    """Run the tests that execute a mutant."""
    mutant, files, executing, near = every(case[0], source)[case[1]], list[str](), set[str](), set[str]()
    for file, row in sorted(recorded.items(), key=lambda item: item[1]["cpu_s"]):
        tests = {test for test, lines in row["lines"].items() if not mutant.lines.isdisjoint(lines)}
        files += [file] if tests else []
        executing |= tests
        near |= {test for test, lines in row["lines"].items() if any(x.startswith(mutant.path.name) for x in lines)}
    before, times, cpu_s = mutant.path.read_bytes(), mutant.path.stat(), cpu()
    mutant.path.write_bytes(before[: mutant.begin] + mutant.after.encode() + before[mutant.end :])
    with tempfile.TemporaryDirectory() as numba:
        compiled = Path(numba) if mutant.compiled else None
        noticed = first_failure(source, files, InOrder([executing, near]), compiled) if files else ""
    mutant.path.write_bytes(before)
    os.utime(mutant.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    row = {"folder": case[0], "mutant": str(mutant), "noticed": noticed, "test files": len(files)}
    return row | {"tests": tests_now, "cpu_s": round(cpu() - cpu_s)}


def mutants_of(file: Path) -> Iterator[Mutant]:
    """Yield all mutants of a file."""
    text = file.read_text()
    tree = ast.parse(text)
    types = {id(x) for node in ast.walk(tree) for x in (getattr(node, "annotation", 0), getattr(node, "returns", 0))}
    raw, starts = text.encode(), np.cumsum([0, *(len(line.encode()) for line in text.splitlines(keepends=True))])

    def place(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return int(starts[node.lineno - 1]) + node.col_offset, int(starts[node.end_lineno - 1]) + node.end_col_offset

    def walk(node: ast.AST, function: str, lines: Lines, compiled: bool) -> Iterator[tuple[Any, ...]]:
        for child in ast.iter_child_nodes(node):
            name, inner, jit = function, lines, compiled
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = child.name
                jit = compiled or any("jit" in ast.unparse(decorator) for decorator in child.decorator_list)
            if id(child) in types or _is_silent(child):
                continue
            if isinstance(child, ast.stmt) and not compiled:
                inner = frozenset(f"{file.name}:{line}" for line in head(child))
            if isinstance(child, ast.stmt | ast.expr) and function:
                for after in changed(child, raw[slice(*place(child))].decode()):
                    yield child, function, after, inner, compiled
            if not isinstance(child, ast.JoinedStr):
                yield from walk(child, name, inner, jit)

    for node, function, after, lines, compiled in walk(tree, "", Lines(), False):
        begin, end = place(node)
        if isinstance(node, ast.expr) and not compiled:
            lines = lines | {f"{file.name}:{line}" for line in head(node)}
        before = _short(raw[begin:end].decode())
        yield Mutant(file, node.lineno, function, before, after, begin, end, lines, compiled)


def head(node: Any) -> range:
    """Return the lines of an expression or a statement without the body of a statement."""
    body = getattr(node, "body", None)
    first = min(part.lineno for part in [node, *getattr(node, "decorator_list", ())])
    last = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno
    return range(first, max(first, last) + 1)


def changed(node: ast.expr | ast.stmt, source: str) -> Iterator[str]:
    """Yield the texts that replace an expression or a statement."""
    match node:
        case ast.Compare(left, [op], [right]) if type(op) in COMPARISONS:
            yield f"({ast.unparse(ast.Compare(left, [COMPARISONS[type(op)]()], [right]))})"
        case ast.BinOp(left, op, right) if type(op) in OPERATORS and not isinstance(left, ast.Constant | ast.JoinedStr):
            yield f"({ast.unparse(ast.BinOp(left, OPERATORS[type(op)](), right))})"
        case ast.BoolOp(op, values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(bool() as value):
            yield str(not value)
        case ast.Constant(int() | float() as value):
            yield f"({value + 1})"
        case ast.IfExp(test, body, orelse):
            yield f"({ast.unparse(ast.IfExp(test, orelse, body))})"
        case ast.If() | ast.While():
            head, _, rest = source.partition(ast.unparse(node.test))
            if rest and "\n" not in head:
                yield f"{head}(not ({ast.unparse(node.test)})){rest}"
        case ast.Expr(ast.Call()) if not _is_silent(node):
            yield "pass"
        case ast.AugAssign():
            yield "pass"
        case ast.Break():
            yield "continue"
        case ast.Return(ast.expr() as value) if ast.unparse(value) != "None":
            yield "return None"


def _is_silent(node: ast.AST) -> bool:
    """Return whether a part of the code only writes words."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    call = node.value if isinstance(node, ast.Expr) else node
    return isinstance(call, ast.Call) and ast.unparse(call.func).startswith(SILENT)


class Names:
    """Write the name of the test that fails."""

    def __init__(self, writing: int) -> None:
        self._writing = writing

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            os.write(self._writing, report.nodeid.encode())

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            os.write(self._writing, f"import of {report.nodeid}".encode())


class Noting:
    """Note the lines that each test executes."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:  # a conftest may import the folder
        self._begin = _lines.note_lines()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._begin(nodeid)

    def pytest_sessionfinish(self) -> None:
        self._begin("")


@dataclass
class InOrder:
    """Run some tests first."""

    first: list[set[str]]

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: [item.nodeid not in tests for tests in self.first])


def first_failure(source: Path, files: list[str], plugin: object, numba: Path | None = None) -> str:
    """Run test files in a fork with a package, and return the first test that fails; empty if none does."""
    preload()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        code = 3
        try:
            code = run_tests(source, files, [Names(writing), plugin], numba)
        finally:
            os._exit(code)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # processes that a test has left
    with open(reading) as pipe:
        failed = pipe.read()
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1, 2) and code > 0:  # a negative one is a signal: the mutant ended the process, or never ends
        raise RuntimeError(f"pytest ended with {code} in {files}")
    return "" if code == 0 else failed or f"ended with {code}"


def run_tests(source: Path, files: list[str], plugins: list[object], numba: Path | None) -> int:
    """Run test files in this process."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1), os.dup2(nothing, 2)
    os.chdir(ROOT)
    sys.path[:0] = [str(source)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(source), str(ROOT)])
    sys.dont_write_bytecode = True  # two mutants of a file may have one time and one length
    if numba is not None:  # its cache does not notice changes of functions that another file calls
        from numba.core import config

        os.environ["NUMBA_CACHE_DIR"] = str(numba)
        config.reload_config()
    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=120", "-o", "session_timeout=100000"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # some plugins were imported before the fork
    return int(pytest.main([*files, *options], plugins=plugins))


@cache
def preload() -> None:
    """Import once: each test run is a fork."""
    for module in HEAVY.split():
        __import__(module)


def cpu() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


if __name__ == "__main__":
    study()
