"""``make tutorial``: type the tutorial into IPython, and put the output of the terminal into its page."""

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.demo.session import picture, typed
from agents.rheo_xpcs import TOML

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, IMAGES = DOCS / "tutorial" / "first-session.md", DOCS / "images"
# A block that is typed, and the output below it, if the page shows any.
BLOCK = re.compile(r"(<!-- runs -->\n```python\n)((?:(?!```).*\n)*)(```\n)(\n```text\n(?:(?!```).*\n)*```\n)?")
OWN = "output/session"  # the folder of `make ipython`


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


def plain(output: str, folder: str) -> str:
    """Return the output of IPython with the folder of `make ipython`, without numbers of values and empty lines."""
    output = re.sub(rf"{re.escape(folder)}(\S* *)", lambda path: f"{OWN}{path[1]}".ljust(len(path[0])), output)
    lines = re.sub(r"^Out\[\d+\]: ?", "", output, flags=re.MULTILINE).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines if line.strip())


if __name__ == "__main__":
    main()
