"""The command line of studies."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from studies import _tools
from studies._tools import Study, report

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("studies/**/*.py")]


@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/[a-z]*.py")), ids=lambda path: path.stem)
def test_a_study_can_be_imported(path):
    assert importlib.import_module(f"studies.{path.stem}").study.__doc__


def run(study, *arguments, monkeypatch, capsys):
    """Run a study as from the command line, and return its exit code and the last line that it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    with pytest.raises(SystemExit) as ended:
        study()
    written = capsys.readouterr()
    return ended.value.code, written.out, written.err.strip().splitlines()


@pytest.mark.parametrize(
    ("bar", "missed"), [({"most": {"error": 0.2}}, 0), ({"most": {"error": "allowed"}}, 1), ({"least": {"gone": 1}}, 1)]
)
def test_a_study_that_misses_its_bar_goes_on_and_ends_with_1(bar, missed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_tools, "FOLDER", tmp_path)
    study, rows = Study("One part."), [{"what": "a", "error": "0.1 [0.0, 0.2]", "allowed": 0.01, "same": "no"}]

    @study.part
    def measured() -> None:
        report("of a length", rows, **bar)
        print("the end")

    code, out, _ = run(study, monkeypatch=monkeypatch, capsys=capsys)
    assert code == missed and out.count("misses its bar") == missed and out.endswith("the end\n")


def test_each_study_has_a_bar():
    studies = [path.read_text() for path in (ROOT / "studies").glob("[a-z]*.py")]
    assert studies and all(re.search(r"\b(most|least|wrong)=", text) for text in studies)


def test_texts_name_a_part_wherever_a_study_has_several():
    named = {
        pair
        for page in PAGES
        for pair in re.findall(r"python -m studies\.(\w+)(?: ([a-z_]+))?[^\w*]", page.read_text())
    }
    assert len(named) > 40
    for name, part in named - {("NAME", "")}:
        if (file := ROOT / "studies" / f"{name}.py").exists():
            parts = [of_study.strip("_") for of_study in re.findall(r"part\ndef (\w+)\(", file.read_text())]
            assert parts and (part in [*parts, "all"] if len(parts) > 1 else not part), (name, part)
        else:
            assert (ROOT / "studies" / name / "__main__.py").exists(), name
