"""``make tutorial``: type the tutorial into IPython, and put the output of the terminal into its page.

A picture of another session goes to ``docs/images/session.svg``.
"""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pexpect
from rich.console import Console
from rich.text import Text

from agents.rheo_xpcs import TOML

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, IMAGES = DOCS / "tutorial" / "first-session.md", DOCS / "images"
# A block that is typed, and the output below it, if the page shows any.
BLOCK = re.compile(r"(<!-- runs -->\n```python\n)((?:(?!```).*\n)*)(```\n)(\n```text\n(?:(?!```).*\n)*```\n)?")
OWN = "output/session"  # the folder of `make ipython`
LINES = (
    "agent",
    "RE(agent.explore(3));",
    'agent.add(2.0, 8.0, reason="a scratch in the window")["reason"]',
    "RE(agent.explore(1));",
    "agent.log()",
)
WIDTH = 110
THINKS_S = 1.0  # before each line, as a person does: the log of the last one is then written
PROMPT = r"In \[\d+\]: "


def main() -> None:
    """Write the page, its picture, and the picture of a session."""
    text = PAGE.read_text()
    lines = [line for block in BLOCK.finditer(text) for line in block[2].strip().splitlines()]
    with TemporaryDirectory() as folder:
        shown = iter([output for _, _, output in typed(lines, Path(folder), TOML, term="dumb")])
        shutil.copy(Path(folder) / "first-session.png", IMAGES)

    def filled(block: re.Match[str]) -> str:
        outputs = [plain(next(shown), folder) for _ in block[2].strip().splitlines()]
        code = block[1] + block[2] + block[3]
        return code + f"\n```text\n{''.join(outputs)}```\n" if block[4] else code

    PAGE.write_text(BLOCK.sub(filled, text))
    picture(IMAGES)


def own(output: str, folder: str) -> str:
    """Return the output with the folder of `make ipython`, as wide as before."""
    return re.sub(rf"{re.escape(folder)}(\S* *)", lambda path: f"{OWN}{path[1]}".ljust(len(path[0])), output)


def plain(output: str, folder: str) -> str:
    """Return the output of IPython with the folder of `make ipython`, without numbers of values and empty lines."""
    lines = re.sub(r"^Out\[\d+\]: ?", "", own(output, folder), flags=re.MULTILINE).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines if line.strip())


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
        Prompt, line, and output of the terminal.
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
            "LOGNAME": "ada",  # whose name the log has
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
            time.sleep(THINKS_S)
            session.sendline(line)
            session.expect(PROMPT)
            yield [prompt, line, own(re.sub(r"\r+\n", "\n", session.before), kept).strip("\n")]
        session.sendline("exit")
        session.expect(pexpect.EOF)


def picture(folder: Path) -> None:
    """Type `LINES` with a small detector in a session in `folder`, and write ``session.svg`` there."""
    shown = []
    for prompt, line, output in typed(LINES, folder, TOML.with_name("small.toml")):
        shown += [f"\x1b[32m{prompt}\x1b[0m{line}", output, ""]
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)
    with console.file:
        lines = Text("\n").join(Text.from_ansi(text) for text in shown).split()
        for line, next_line in pairwise([*lines, Text()]):
            if line or next_line:  # of several empty lines one
                console.print(line)
        console.save_svg(str(folder / "session.svg"), title="make ipython")


if __name__ == "__main__":
    main()
