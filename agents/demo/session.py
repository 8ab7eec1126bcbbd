"""Pictures of an IPython session with the agent, as a user sees it: ``python -m agents.demo.session docs/images``."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pexpect
from rich.console import Console
from rich.text import Text

from agents.rheo_xpcs import TOML

LINES = (
    "agent",
    "RE(agent.explore(3));",
    'agent.add(2.0, 8.0, reason="a scratch in the window")["reason"]',
    "RE(agent.explore(1));",
    "agent.log()",
)
WIDTH = 110
PROMPT = r"In \[\d+\]: "


def typed(lines: Iterable[str], folder: Path, settings: Path, term: str = "xterm-256color") -> Iterator[list[str]]:
    """Type lines at the profile, one after the other, with an empty catalogue.

    Parameters
    ----------
    lines : iterable of str
    folder : Path
        Where the session runs.
    settings : Path
        The TOML.
    term : str
        Kind of terminal; "dumb" has no colours, and no line that is drawn again and again.

    Yields
    ------
    list of str
        Prompt, line, and what the terminal showed.
    """
    with TemporaryDirectory() as kept:
        environment = os.environ | {
            "AINERD_CONFIG": str(settings),
            "AINERD_STORAGE__DIRECTORY": f"{kept}/tiled",
            "AINERD_STORAGE__FRAMES": json.dumps([f"{kept}/frames"]),
            "IPYTHONDIR": kept,
            "MPLBACKEND": "Agg",
            "TERM": term,
            "COLUMNS": str(WIDTH),
        }
        session = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", f"--profile-dir={TOML.parent}", "--simple-prompt", "--no-banner"],
            cwd=folder,
            env=environment,
            encoding="utf8",
            timeout=300,
            dimensions=(50, WIDTH),
            echo=False,
        )
        session.expect(PROMPT)
        for line in lines:
            prompt = session.after
            session.sendline(line)
            session.expect(PROMPT)
            yield [prompt, line, re.sub(r"\r+\n", "\n", session.before).strip("\n")]
        session.sendline("exit")
        session.expect(pexpect.EOF)


def picture(folder: Path) -> str:
    """Type `LINES` with a small detector, and keep the output of the terminal.

    Parameters
    ----------
    folder : Path
        Where the session runs, and its picture goes: ``session.svg``.

    Returns
    -------
    str
        The same as plain text.
    """
    shown = []
    for prompt, line, output in typed(LINES, folder, TOML.with_name("small.toml")):
        shown += [f"\x1b[32m{prompt}\x1b[0m{line}", output, ""]
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)
    with console.file:
        lines = Text("\n").join(Text.from_ansi(text) for text in shown).split()
        for line, next_line in pairwise([*lines, Text()]):
            if line or next_line:  # of several empty lines one
                console.print(line)
        console.save_svg(str(folder / "session.svg"), title="make ipython", clear=False)
        return console.export_text()


if __name__ == "__main__":
    print(picture(Path(sys.argv[1])))
