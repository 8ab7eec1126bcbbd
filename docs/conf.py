"""Configuration of the documentation."""

from ainerd import __version__

project = "ainerd"
copyright = "the ainerd developers"
release = version = __version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
default_role = "py:obj"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc has the types
# what pydantic adds of its own
autodoc_default_options = {"exclude-members": "model_config, settings_customise_sources"}
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "ainerd"
html_show_sourcelink = False
html_sidebars = {"index": [], "tutorial/*": []}
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_end": ["theme-switcher"],
}


def _escape_bars(app, what, name, obj, options, lines):
    """|g1| is a modulus, not a substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app):
    """Connect the hook."""
    app.connect("autodoc-process-docstring", _escape_bars)
