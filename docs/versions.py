"""The documentation of each release and of this checkout, side by side: ``make site``.

Each version is in a folder of its own, with the list that the theme's menu of versions reads beside them. Releases are
the tags ``v…``; each is built by its own configuration. ``DOCS_ROOT`` is the address of the folder, "/" by default.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "_build" / "site"
LATEST = "latest"  # folder of this checkout


def releases(repository: Path = ROOT) -> list[str]:
    """Return the numbers of the releases of a repository, the newest first."""
    tags = subprocess.run(
        ["git", "tag", "--list", "v[0-9]*"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.split()
    return sorted((tag.removeprefix("v") for tag in tags), key=Version, reverse=True)


def switcher(numbers: Iterable[str], address: str) -> list[dict[str, object]]:
    """Return the entries of the menu: the checkout, then releases, of which the newest that is final is preferred."""
    entries: list[dict[str, object]] = [{"name": LATEST, "version": LATEST, "url": f"{address}{LATEST}/"}]
    preferred = False
    for number in numbers:
        entry: dict[str, object] = {"name": number, "version": number, "url": f"{address}{number}/"}
        if not preferred and not Version(number).is_prerelease:
            preferred = entry["preferred"] = True
        entries.append(entry)
    return entries


def build(checkout: Path, folder: str) -> None:
    """Build the documentation of a checkout into a folder of the site, with its code in place of the installed one."""
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(SITE / folder)],
        cwd=checkout, check=True, env={**os.environ, "PYTHONPATH": str(checkout / "src"), "DOCS_VERSION": folder},
    )  # fmt: skip


def main() -> None:
    """Build all versions, and write the list of them."""
    numbers = releases()
    build(ROOT, LATEST)
    for number in numbers:
        if not (SITE / number).is_dir():  # a release does not change
            with tempfile.TemporaryDirectory() as scratch:
                checkout = Path(scratch, number)
                subprocess.run(
                    ["git", "worktree", "add", "--detach", str(checkout), f"v{number}"], cwd=ROOT, check=True
                )
                try:
                    build(checkout, number)
                finally:
                    subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], cwd=ROOT, check=True)
    (SITE / "switcher.json").write_text(json.dumps(switcher(numbers, os.environ.get("DOCS_ROOT", "/")), indent=1))


if __name__ == "__main__":
    main()
