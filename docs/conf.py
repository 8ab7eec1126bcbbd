"""Configuration of the documentation."""

import os
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

from ainerd import __version__

project = "ainerd"
copyright = "the ainerd developers"
folder = os.environ.get("DOCS_VERSION")  # of this version in the site of all versions, docs/versions.py
release = version = __version__ if folder in (None, "latest") else folder

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "paper", "upstream"]
default_role = "py:obj"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# A file system may not distinguish `g2` from `G2`.
LIST = re.compile(r"automodule:: (\S+)\n\n\.\. autosummary::\n(?:   :.*\n)+\n((?:   \w+\n)+)")
autosummary_filename_map = {
    f"{module}.{name}": f"{module}.{name}_function"
    for module, names in LIST.findall((Path(__file__).parent / "reference" / "api.md").read_text())
    for name in names.split()
    if name.islower() and names.lower().split().count(name) > 1
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc has the types
# what pydantic adds of its own
autodoc_default_options = {"exclude-members": "model_config, settings_customise_sources"}
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"ainerd {version.partition('+')[0]}"  # with the commit it would be wider than its column
html_show_sourcelink = False
html_sidebars = {"index": [], "tutorial/*": []}
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
}
if folder:
    html_theme_options |= {
        "navbar_end": ["version-switcher", "theme-switcher"],
        "switcher": {"json_url": os.environ.get("DOCS_ROOT", "/") + "switcher.json", "version_match": folder},
        "check_switcher": False,  # the list is written after the versions
        "show_version_warning_banner": True,
    }


def _escape_bars(app, what, name, obj, options, lines):
    """|g1| is a modulus, not a substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


# Words of the glossary are linked where a page first uses them, but for those that explain themselves.
GLOSSARY = (Path(__file__).parent / "reference" / "glossary.md").read_text()
PLAIN = {"C2", "contrast", "echo", "encoder", "event", "g2", "known kind", "novel", "result file"}
LINKED = sorted(set(re.findall(r"^(\w[\w ]*)\n  ", GLOSSARY, re.MULTILINE)) - PLAIN)
WORD = re.compile(rf"\b({'|'.join(LINKED)})(s?)\b")


def _link_words(app, doctree):
    """Link each of these words to the glossary where the text of a page first uses it."""
    if app.env.docname == "reference/glossary":
        return
    linked = set()
    for text in list(doctree.findall(nodes.Text)):
        parent = text.parent
        if not isinstance(parent, nodes.paragraph):  # not in titles, links, code or emphasis
            continue
        for match in WORD.finditer(str(text)):
            word = match[1]
            if word not in linked:
                linked.add(word)
                before, after = str(text)[: match.start()], str(text)[match.end() :]
                link = addnodes.pending_xref(
                    "", nodes.inline("", match[0]), reftype="term", refdomain="std", reftarget=word, refexplicit=True
                )
                parent.replace(text, [each for each in (nodes.Text(before), link, nodes.Text(after)) if each.astext()])
                break  # the rest of this text has no link: one in a sentence is enough


def setup(app):
    """Connect the hooks."""
    app.connect("autodoc-process-docstring", _escape_bars)
    app.connect("doctree-read", _link_words)
