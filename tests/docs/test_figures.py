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
