"""Each page of the documentation is complete, and can be reached from its first page."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
ELSEWHERE = ("_build", "paper", "upstream")  # no pages of the site
PAGES = [path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in ELSEWHERE]


def test_every_page_is_in_a_list_of_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        text = page.read_text()
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {page.parent / f"{name}.md" for name in names}
        listed |= {page.parent / name for name in re.findall(r"^```\{include\} (\S+\.md)$", text, re.MULTILINE)}
    assert listed == set(PAGES)


def test_no_page_has_a_blank_that_was_to_be_filled_in():
    pages = [DOCS.parent / "README.md", *PAGES]
    blanks = {page.name: re.findall(r"(?<!\$)\{[A-Z_]+\}", page.read_text()) for page in pages}
    assert not any(blanks.values()), blanks
