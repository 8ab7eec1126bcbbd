"""Frames of an HDF5 file: one dataset, or several that follow each other."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from ainerd.documents import Whole


@dataclass(frozen=True)
class Movie:
    """Datasets of frames (ny, nx), by name in the file, and how many each has."""

    file: Path
    parts: list[tuple[str, int]]
    shape: tuple[int, int]

    @property
    def n_frames(self) -> int:
        """Of all parts."""
        return sum(n for _, n in self.parts)

    def blocks(self, pixels: "NDArray[Any]", whole: "Whole | None") -> Iterator["NDArray[Any]"]:
        """These pixels of all frames, in blocks; FrameError if they cannot be read."""
        from ainerd.documents import FrameReader

        before = 0
        for dataset, n in self.parts:
            with closing(FrameReader(self.file, dataset, pixels, self.shape, swmr=False)) as reader:
                yield from reader.blocks(0, n, whole=None if whole is None else whole.moved(-before))
            before += n


def find_movie(file: Path, dataset: str) -> Movie:
    """The frames at a name in a file: a dataset (frames, ny, nx), or a group of several.

    A master file of Eiger has the group ``entry/data`` with links ``data_000001``, ``data_000002``, … to the files with
    the frames (Dectris, File writer, 2.x). It is found if nothing is named. ValueError says what there is instead.
    """
    import h5py

    if not file.is_file():
        raise ValueError(f"no file {file}")
    try:
        with h5py.File(file, "r") as opened:
            found = _at(opened, dataset, file)
            if found is None and dataset == "entry/data/data":
                found, dataset = _at(opened, "entry/data", file), "entry/data"
            if isinstance(found, h5py.Group):
                parts = _series(found, file)
            else:
                parts = {dataset: found.shape} if getattr(found, "ndim", 0) == 3 else {}
            if not parts:
                movies: list[str] = []
                opened.visititems(lambda name, item: movies.append(name) if getattr(item, "ndim", 0) == 3 else None)
                there = f"of (frames, ny, nx) it holds {', '.join(movies)}" if movies else "it holds no movie"
                raise ValueError(f"{file} has no frames at {dataset!r}: {there}; name one with --dataset")
    except OSError as err:
        raise ValueError(f"{file} is not an HDF5 file: {err}") from None
    shapes = {shape[1:] for shape in parts.values()}
    if len(shapes) > 1:
        sizes = ", ".join(f"{name} {shape[1]} × {shape[2]}" for name, shape in parts.items())
        raise ValueError(f"{file}: the frames differ in size ({sizes}); name one dataset with --dataset")
    return Movie(file, [(name, shape[0]) for name, shape in parts.items()], next(iter(shapes)))


def _series(group: "h5py.Group", file: Path) -> dict[str, tuple[int, int, int]]:
    """Shapes of the datasets of frames in a group whose names end in a number, in the order of these numbers."""
    numbers = {name: re.search(r"\d+$", name) for name in group}
    names = sorted((name for name, number in numbers.items() if number), key=lambda name: int(numbers[name][0]))  # type: ignore[index]
    found = {f"{group.name.strip('/')}/{name}": _at(group, name, file) for name in names}
    return {name: item.shape for name, item in found.items() if getattr(item, "ndim", 0) == 3}


def _at(group: "h5py.Group", name: str, file: Path) -> Any:
    """What is there; None if nothing. ValueError where a link leads to a file that is not there."""
    import h5py

    try:
        return group[name]
    except (KeyError, OSError) as err:
        try:
            link = group.get(name, getlink=True)
        except (KeyError, OSError):
            link = None
        if isinstance(link, h5py.ExternalLink):
            where = f"{group.name.rstrip('/')}/{name}".strip("/")
            raise ValueError(f"{file}: {where} leads to {link.filename}, which cannot be opened: {err}") from None
        return None
