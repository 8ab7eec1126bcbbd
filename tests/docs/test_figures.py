"""Figures in the pages are those that their studies measure."""

import json

import pytest

from docs import figures

COMPARED = [page for page in figures.PAGES if figures.COMMENT.search(page.read_text())]


@pytest.mark.parametrize("page", COMPARED, ids=lambda page: page.stem)
def test_figures_are_as_measured(page):
    assert page.read_text().count("<!-- figures:") == len(figures.COMMENT.findall(page.read_text()))
    assert [*figures.differences(page)] == []


def test_each_study_is_named_by_a_page():
    assert figures.not_named() == []
    noted = json.loads(figures.MEASURED.read_text())
    assert noted.keys() <= {f"{study} {part}" for study, part in figures.named()}


def test_a_digest_is_that_of_the_code_that_a_study_imports(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "src" / "room").mkdir(parents=True)
    study, init, inner = (tmp_path / name for name in ("studies/one.py", "src/room/__init__.py", "src/room/_inner.py"))
    study.write_text("from room import length\n\nprint(length)\n")
    init.write_text("from room._inner import length\nfrom room._other import width\n")
    inner.write_text("length = 3\n")
    (tmp_path / "src" / "room" / "_other.py").write_text("width = 4\n")
    monkeypatch.setattr(figures, "ROOT", tmp_path)

    def digest_after(file, text):
        file.write_text(text)
        figures.imports_of.cache_clear()
        figures.code_of.cache_clear()
        return figures.digest("one")

    first = figures.digest("one")
    assert digest_after(inner, '"""In m."""\n\nlength = 3\n# metres\n') == first
    assert digest_after(tmp_path / "src" / "room" / "_other.py", "width = 5\n") == first
    assert digest_after(inner, "length = 2\n") != first
