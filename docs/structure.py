"""The import graph of the folders of src/: ``make structure`` draws it for docs/explanation/architecture.md.

``python docs/structure.py`` prints the floors and draws nothing. A folder stands above everything that it imports.
Imports inside functions count; imports for type checkers do not. A module at the top of `ainerd` counts as a folder,
and so does each of the other packages but `ainerd_xpcs`.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import grimp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "images" / "structure.svg"
PACKAGES = (
    "ainerd", "ainerd_files", "ainerd_folder", "ainerd_mcp", "ainerd_queueserver", "ainerd_shear", "ainerd_streams",
    "ainerd_train", "ainerd_xpcs", "ainerd_xtec",
)  # fmt: skip
COLOR = "#33526e"
WIDTH, TRIES = 1.7, 12000  # of a folder; places that are tried
Imports = Mapping[str, set[str]]


def imports_of_folders() -> dict[str, set[str]]:
    """Return the folders that each folder imports."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    folders = {module: folder for module in graph.modules if (folder := _folder(*module.split(".")))}
    folders_of: dict[str, set[str]] = {folder: set() for folder in sorted(folders.values())}
    for module, folder in folders.items():
        imported = graph.find_modules_directly_imported_by(module)
        folders_of[folder] |= {folders[other] for other in imported if other in folders} - {folder}
    return folders_of


def _folder(package: str, room: str = "", *_: str) -> str:
    """Return the name of the folder of a module, empty for the first file of a package with folders."""
    if package not in ("ainerd", "ainerd_xpcs"):
        return package
    if room in ("", "__main__"):
        return ""
    return room if package == "ainerd" else f"{package}.{room}"


def circles(imports: Imports) -> list[list[str]]:
    """Folders that import each other, directly or through others; one list for each circle."""
    reach = {folder: reachable(imports, folder) for folder in imports}
    rings = {tuple(sorted({f} | {o for o in reach[f] if f in reach[o]})) for f in imports if f in reach[f]}
    return [list(ring) for ring in sorted(rings)]


def reachable(imports: Imports, folder: str) -> set[str]:
    """Folders that a folder imports, directly or through others."""
    reached: set[str] = set()
    waiting = [folder]
    while waiting:
        new = imports[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


def floors(imports: Imports) -> list[list[str]]:
    """Folders by floor, the lowest first: a folder stands one floor above the highest that it imports.

    Raises
    ------
    ValueError
        If folders import each other in a circle.
    """
    if rings := circles(imports):
        raise ValueError("circles of imports: " + "; ".join(" ↔ ".join(ring) for ring in rings))
    floor: dict[str, int] = {}
    while len(floor) < len(imports):
        for folder, imported in imports.items():
            if folder not in floor and imported <= floor.keys():
                floor[folder] = 1 + max((floor[other] for other in imported), default=0)
    return [sorted(f for f in floor if floor[f] == n) for n in range(1, max(floor.values()) + 1)]


def direct(imports: Imports) -> dict[str, set[str]]:
    """The imports that no longer way through other folders implies."""
    return {
        folder: {other for other in imported if not any(other in reachable(imports, via) for via in imported)}
        for folder, imported in imports.items()
    }


def text(imports: Imports) -> str:
    """The floors in words, the highest first."""
    lines = []
    rows = floors(imports)
    width = max(map(len, imports))
    for number, row in reversed(list(enumerate(rows, start=1))):
        for i, folder in enumerate(row):
            start = f"{number if i == 0 else ' '}  {folder:{width}}"
            lines.append(f"{start}  → {', '.join(sorted(imports[folder]))}" if imports[folder] else start.rstrip())
    return "\n".join(lines) + "\n"


def draw(imports: Imports) -> Figure:
    """Floors as rows, an arrow from a folder down to each that it imports, but where a longer way implies it."""
    rows, straight = floors(imports), direct(imports)
    place, half = _places(rows, straight), _half(rows)
    figure = Figure(figsize=(1.6 * half, 0.8 * len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-half, half), ylim=(0.45, len(rows) + 0.55))
    axes.axis("off")
    for number, row in enumerate(rows, start=1):
        axes.axhspan(number - 0.5, number + 0.5, color="#f4f6f8" if number % 2 else "white", zorder=0)
        axes.text(0.15 - half, number, str(number), color="#8a94a0", va="center", fontsize=9)
        for folder in row:
            box = {"boxstyle": "round,pad=0.42", "facecolor": "white", "edgecolor": COLOR, "linewidth": 1.1}
            label = folder.replace(".", "\n")
            axes.text(place[folder][0], number, label, ha="center", va="center", fontsize=10, bbox=box, zorder=3)
            for other in sorted(straight[folder]):
                (x, y), (to_x, to_y) = place[folder], place[other]
                way = FancyArrowPatch(
                    (x, y - 0.24),
                    (to_x, to_y + 0.24),
                    arrowstyle="-|>",
                    mutation_scale=9,
                    shrinkA=0,
                    shrinkB=0,
                    color=COLOR,
                    zorder=2,
                )
                axes.add_patch(way)
    return figure


def _half(rows: list[list[str]]) -> float:
    """Half the width of the picture, which the longest row and the numbers of the floors fill."""
    return max(map(len, rows)) * WIDTH / 2 + 0.3


def _places(rows: list[list[str]], straight: Imports) -> dict[str, tuple[float, int]]:
    """Where each folder stands in its row: the best of many tries, always the same."""
    arrows = [(folder, other) for folder, imported in straight.items() for other in sorted(imported)]
    floor = {folder: y for y, row in enumerate(rows, start=1) for folder in row}
    random, edge = np.random.default_rng(0), _half(rows) - WIDTH / 2
    best: dict[str, float] = {}
    for row in rows:
        best |= dict(zip(row, np.arange(len(row)) * WIDTH - (len(row) - 1) * WIDTH / 2, strict=True))
    least = now = _muddle(best, floor, arrows)
    at = best
    for n in range(TRIES):
        row = rows[random.integers(len(rows))]
        tried = dict(at)
        if len(row) > 1 and n % 2:
            a, b = random.choice(row, 2, replace=False)
            tried[a], tried[b] = at[b], at[a]
        else:
            folder = random.choice(row)
            tried[folder] = np.clip(at[folder] + random.normal(0, 1.5), -edge, edge)
        if (np.diff(np.sort([tried[folder] for folder in row])) < WIDTH).any():
            continue
        muddle = _muddle(tried, floor, arrows)
        if muddle < now or random.random() < np.exp((now - muddle) * 8 * n / TRIES):  # cooled down slowly
            at, now = tried, muddle
            if now < least:
                best, least = at, now
    return {folder: (float(best[folder]), floor[folder]) for folder in best}


def _muddle(x: Mapping[str, float], floor: Mapping[str, int], arrows: list[tuple[str, str]]) -> float:
    """How hard the picture is to read: arrows behind folders, arrows that cross, long ones."""
    sum_ = 0.0
    for i, (a, b) in enumerate(arrows):
        sum_ += 0.1 * abs(x[a] - x[b])
        for folder, y in floor.items():
            if floor[b] < y < floor[a]:
                at = x[b] + (x[a] - x[b]) * (y - floor[b]) / (floor[a] - floor[b])
                sum_ += 10 * (abs(at - x[folder]) < 0.4 * WIDTH)
        for c, d in arrows[:i]:
            low, high = max(floor[b], floor[d]), min(floor[a], floor[c])
            if low < high and not {a, b} & {c, d}:
                sides = [
                    x[b]
                    + (x[a] - x[b]) * (y - floor[b]) / (floor[a] - floor[b])
                    - x[d]
                    - (x[c] - x[d]) * (y - floor[d]) / (floor[c] - floor[d])
                    for y in (low, high)
                ]
                sum_ += sides[0] * sides[1] <= 0
    return sum_


def main() -> None:
    """Print the floors; with ``--write`` draw them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the picture")
    options = parser.parse_args()
    imports = imports_of_folders()
    try:
        listed = text(imports)
    except ValueError as error:
        sys.exit(f"structure: {error}")
    print(listed, end="")
    if options.write:
        import matplotlib

        matplotlib.rcParams["svg.hashsalt"] = "ainerd"  # the same picture has the same bytes
        draw(imports).savefig(PICTURE, metadata={"Date": None, "Description": listed})


if __name__ == "__main__":
    main()
