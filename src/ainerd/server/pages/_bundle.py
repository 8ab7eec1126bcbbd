"""All scripts of the views as one: a server of Tiled takes longer for thirty answers than a browser for what they say.

The scripts are modules that a person reads; here each becomes a function of the same page. That is no compiler: it
knows ``import { a, b as c } from "./x.js"`` and ``export`` before ``const``, ``function`` and ``class``, and no more.
"""

import re
from pathlib import Path

VIEWS = "views.js"  # the script that Tiled loads: it needs all others
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|const|class) (\w+)", re.MULTILINE)


def bundle(folder: Path) -> str:
    """One script with all modules of a folder, those that others import first; ValueError if it cannot be made.

    Scripts of techniques find a module in ``window.__AINERD__["plot.js"]``.
    """
    sources = {path.name: path.read_text() for path in sorted(folder.glob("*.js"))}
    done: dict[str, str] = {}

    def add(name: str, waiting: tuple[str, ...]) -> None:
        if name in waiting:
            raise ValueError(f"modules import each other: {' → '.join((*waiting, name))}")
        if name in done:
            return
        for _, wanted in _IMPORT.findall(sources[name]):
            add(wanted, (*waiting, name))
        done[name] = _function(name, sources[name])

    add(VIEWS, ())
    opening = "(() => {\nconst here = document.currentScript.src;\nconst modules = (window.__AINERD__ = {});\n"
    return opening + "".join(done.values()) + "})();\n"


def _function(name: str, source: str) -> str:
    """A module as a function that gives what it exports."""
    exported = [found[2] for found in _EXPORT.finditer(source)]
    body = _IMPORT.sub(lambda found: f'const {{{found[1].replace(" as ", ": ")}}} = modules["{found[2]}"];\n', source)
    body = _EXPORT.sub(r"\1 \2", body).replace("import.meta.url", "here")
    if left := re.search(r"^(import|export)\b.*", body, re.MULTILINE):
        raise ValueError(f"{name}: this line is not understood: {left[0]}")
    return f'modules["{name}"] = (() => {{\n{body}return {{ {", ".join(exported)} }};\n}})();\n'
