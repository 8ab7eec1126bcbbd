"""The command line of studies."""

import re
import sys
from pathlib import Path

import pytest

from studies._tools import Study

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("studies/**/*.py")]


def run(study, *arguments, monkeypatch, capsys):
    """Run a study as from the command line, and return its exit code and the last line that it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    with pytest.raises(SystemExit) as ended:
        study()
    written = capsys.readouterr()
    return ended.value.code, written.out, written.err.strip().splitlines()


@pytest.fixture
def called():
    return []


@pytest.fixture
def study(called):
    study = Study("Two parts.\n\nshort  takes a moment\nlong   takes a night\n")

    @study.part
    def short(runs: int = 3, quick: bool = False) -> None:
        called.append(("short", runs, quick))

    @study.part
    def long(hours: float = 8.0) -> None:
        called.append(("long", hours))

    return study


def test_a_study_of_several_parts_lists_them_and_begins_none(study, called, monkeypatch, capsys):
    _, out, err = run(study, monkeypatch=monkeypatch, capsys=capsys)
    listed = out + "\n".join(err)
    assert called == [] and all(f"\n  {name}" in listed for name in ("short", "long", "all"))
    assert "short  takes a moment\n  long   takes a night" in listed  # lines stay apart


def test_all_parts_run_in_turn(study, called, monkeypatch, capsys):
    assert run(study, "all", "--quick", monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    assert called == [("short", 3, True), ("long", 8.0)]


@pytest.mark.parametrize(
    ("arguments", "said"), [(("long", "--hours=-1"), "--hours: -1 is"), (("long", "--hours=0"), "--hours: 0 is"),
                            (("long", "--hours=nan"), "--hours: nan is"), (("short", "--runs", "-2"), "--runs: -2 is")],
)  # fmt: skip
def test_a_number_below_its_limit_is_refused_in_one_line(study, called, arguments, said, monkeypatch, capsys):
    code, _, err = run(study, *arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2 and err[-1] == f"Error: Invalid value for {said} too small" and called == []


def test_texts_name_a_part_wherever_a_study_has_several():
    named = {
        found
        for page in PAGES
        for found in re.findall(r"python -m studies\.(\w+)(?: ([a-z_]+))?[^\w*]", page.read_text())
    }
    assert len(named) > 40
    for name, part in named - {("NAME", "")}:
        if (file := ROOT / "studies" / f"{name}.py").exists():
            parts = [found.strip("_") for found in re.findall(r"part\ndef (\w+)\(", file.read_text())]
            assert parts and (part in [*parts, "all"] if len(parts) > 1 else not part), (name, part)
        else:
            assert (ROOT / "studies" / name / "__main__.py").exists(), name
