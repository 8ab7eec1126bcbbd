"""Pictures of an IPython session with the agent, as a person sees it: ``python -m agents.demo.session docs/images``."""

import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pexpect
from rich.console import Console
from rich.text import Text

from agents.rheo_xpcs import TOML

LINES = (
    "agent",
    "live = agent.plot()",
    "RE(agent.explore(3));",
    'agent.add(2.0, 8.0, reason="a scratch in the window")["reason"]',
    "RE(agent.explore(1));",
    "agent.log()",
    'live.savefig("first-session.png")',
)
WIDTH = 110
PROMPT = r"In \[\d+\]: "


def picture(folder: Path) -> str:
    """Type `LINES` at the profile with a small detector and an empty catalogue, and keep what the terminal showed.

    Parameters
    ----------
    folder : Path
        Where the session runs, and its picture goes: ``session.svg``.

    Returns
    -------
    str
        The same as plain text.
    """
    with TemporaryDirectory() as kept:
        environment = os.environ | {
            "AINERD_CONFIG": str(TOML.with_name("small.toml")),
            "AINERD_STORAGE__DIRECTORY": f"{kept}/tiled",
            "AINERD_STORAGE__FRAMES": json.dumps([f"{kept}/frames"]),
            "IPYTHONDIR": kept,
            "MPLBACKEND": "Agg",
            "TERM": "xterm-256color",
            "COLUMNS": str(WIDTH),
        }
        command = ["-m", "IPython", f"--profile-dir={TOML.parent}", "--simple-prompt", "--no-banner"]
        size = (50, WIDTH)
        session = pexpect.spawn(
            sys.executable,
            command,
            cwd=folder,
            env=environment,
            encoding="utf8",
            timeout=300,
            dimensions=size,
            echo=False,
        )
        session.expect(PROMPT)
        shown = []
        for line in LINES:
            prompt = session.after
            session.sendline(line)
            session.expect(PROMPT)
            shown += [f"\x1b[32m{prompt}\x1b[0m{line}", re.sub(r"\r+\n", "\n", session.before).strip("\n"), ""]
        session.sendline("exit")
        session.expect(pexpect.EOF)
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
