"""Count the errors in the code of a folder that its tests notice.

Mutants are drawn from a seed, as many from each folder: a comparison, an operator or a number is replaced, a condition
turned round, a statement left out. Each is written into a copy of the package, and the tests of the folder run until
the first failure: the test files that name the changed function first, those that start a server last. A mutant that
no test notices is printed. Without a mutant all these tests must pass.
"""

import ast
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from rich.progress import track

from studies._tools import Row, Study, report

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("steering", "runs", "documents", "campaign", "novelty", "xpcs")
LIMIT_S = 600  # CPU time of the tests of a mutant; one that never ends is noticed
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.MatMult: ast.Mult,
}  # fmt: skip
HEAVY = "numpy scipy.optimize scipy.stats pandas sklearn.cluster h5py hdf5plugin bluesky.plans ophyd tiled.client"
SILENT = ("logger.", "warnings.warn", "self.notes")  # statements whose words no test has to read

study = Study(__doc__)


@dataclass(frozen=True)
class Mutant:
    """A change of one expression or statement of a file."""

    path: Path  # below src
    line: int
    function: str  # the name of the function or class around it
    before: str
    after: str
    begin: int  # bytes of the file
    end: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function}: {self.before} -> {self.after}"


@study.part
def mutants(
    n: int = 80, seed: int = 0, rooms: str = " ".join(ROOMS), minutes: float = 30.0, check: bool = True
) -> None:
    """Draw mutants and run tests; `check` also runs the tests of each folder without a mutant."""
    began, survivors, rng = time.monotonic(), list[str](), np.random.default_rng(seed)
    chosen = rooms.split()
    drawn = {room: draw(room, -(-n // len(chosen)), rng) for room in chosen}
    for module in f"{HEAVY} pytest numba torch".split():
        __import__(module)  # once: each test run is a fork
    turns = [mutant for turn in zip_longest(*drawn.values()) for mutant in turn if mutant is not None]
    counts = {room: Counter[str]() for room in chosen}
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "src"
        shutil.copytree(ROOT / "src", source)
        for room in chosen if check else ():
            if failed := first_failure(room, source, None):
                sys.exit(f"the tests of {room} fail without a mutant: {failed}")
        for mutant in track(
            turns, "mutants"
        ):  # of each folder in turn, so that a limit of time leaves out some of each
            if time.monotonic() - began > 60 * minutes:
                break
            room = mutant.path.parts[1]
            cpu_s, noticed = cpu(), noticed_by(mutant, room, source)
            counts[room].update({"noticed" if noticed else "survived": 1, "CPU s": round(cpu() - cpu_s)})
            print(f"{mutant} [{noticed or 'survived'}]", flush=True)
            survivors += [] if noticed else [str(mutant)]
    rows: list[Row] = [{"folder": room, "noticed": 0, "survived": 0, **some} for room, some in counts.items()]
    tried = sum(row["noticed"] + row["survived"] for row in rows)
    share = 1 - len(survivors) / max(tried, 1)
    report("mutants", rows, seed=seed, tried=tried, noticed=share, survivors=survivors)
    print(f"{tried} mutants, {share:.0%} noticed; survived:", *survivors, sep="\n")


def draw(room: str, n: int, rng: np.random.Generator) -> list[Mutant]:
    """Draw mutants of a folder without putting one back."""
    files = sorted((ROOT / "src" / "ainerd" / room).glob("*.py"))
    every = [mutant for file in files for mutant in mutants_of(file)]
    return [every[i] for i in sorted(rng.choice(len(every), min(n, len(every)), replace=False))]


def mutants_of(file: Path) -> Iterator[Mutant]:
    """Yield all mutants of a file."""
    text = file.read_text()
    tree = ast.parse(text)
    types = {id(x) for node in ast.walk(tree) for x in (getattr(node, "annotation", 0), getattr(node, "returns", 0))}
    raw, starts = text.encode(), np.cumsum([0, *(len(line.encode()) for line in text.splitlines(keepends=True))])

    def place(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return int(starts[node.lineno - 1]) + node.col_offset, int(starts[node.end_lineno - 1]) + node.end_col_offset

    def walk(node: ast.AST, function: str) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
        for child in ast.iter_child_nodes(node):
            name = child.name if isinstance(child, ast.FunctionDef | ast.ClassDef) else function
            if id(child) in types or _is_silent(child):
                continue
            if isinstance(child, ast.stmt | ast.expr) and function:
                for after in changed(child, raw[slice(*place(child))].decode()):
                    yield child, function, after
            if not isinstance(child, ast.JoinedStr):
                yield from walk(child, name)

    for node, function, after in walk(tree, ""):
        begin, end = place(node)
        before = raw[begin:end].decode()
        yield Mutant(file.relative_to(ROOT / "src"), node.lineno, function, _short(before), after, begin, end)


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


def noticed_by(mutant: Mutant, room: str, source: Path) -> str:
    """Return the first test that fails with a mutant; empty if none does."""
    path = source / mutant.path
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(before[: mutant.begin] + mutant.after.encode() + before[mutant.end :])
    try:
        return first_failure(room, source, mutant)
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def first_failure(room: str, source: Path, mutant: Mutant | None) -> str:
    """Run the tests of a folder in a fork with this package, and return the first that fails; empty if none does."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        code = 3
        try:
            code = run_tests(room, source, mutant, writing)
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading) as pipe:
        failed = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1, 2) and code > 0:  # a negative one is a signal: the mutant ended the process, or never ends
        raise RuntimeError(f"pytest ended with {code} in tests/{room}, {mutant}")
    return "" if code == 0 else failed or f"ended with {code}"


def run_tests(room: str, source: Path, mutant: Mutant | None, writing: int) -> int:
    """Run the tests of a folder in this process, and write the name of the one that fails."""
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1), os.dup2(nothing, 2)
    os.chdir(ROOT)
    sys.path[:0] = [str(source)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(source), str(ROOT)])
    sys.dont_write_bytecode = True  # two mutants of a file may have one time and one length

    class Names:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                os.write(writing, report.nodeid.encode())

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                os.write(writing, f"import of {report.nodeid}".encode())

    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=900", "-o", "session_timeout=100000"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # some plugins were imported before the fork
    return int(pytest.main([*map(str, test_files(room, mutant)), *options], plugins=[Names()]))


def test_files(room: str, mutant: Mutant | None) -> list[Path]:
    """Return the test files of a folder: those that name the changed function first, those with a server last."""
    words = [] if mutant is None else [mutant.function, mutant.path.stem.strip("_")]

    def order(path: Path) -> tuple[bool, int]:
        text = path.read_text()
        return "server" in text, -sum(bool(re.search(rf"\b_?{word}\b", text)) for word in words)

    return sorted(sorted((ROOT / "tests" / room).glob("test_*.py")), key=order)


def cpu() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


if __name__ == "__main__":
    study()
