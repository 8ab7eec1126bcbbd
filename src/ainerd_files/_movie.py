"""Frames in HDF5 files: datasets (frames, ny, nx), alone or in a series."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py

from ainerd.documents import Block, FrameError, FrameReader, Whole, open_hdf5
from ainerd.technique import RunAnalysis
from ainerd_files._layouts import why_not_opened

EIGER = "entry/instrument/detector/detectorSpecific"  # of a master file


@dataclass(frozen=True)
class Movie:
    """Datasets of frames (ny, nx), by name in the file, and how many each has."""

    file: Path
    parts: list[tuple[str, int]]
    shape: tuple[int, int]

    @property
    def n_frames(self) -> int:
        """Number of frames of all parts."""
        return sum(n for _, n in self.parts)

    def blocks(self, analysis: RunAnalysis) -> Iterator[Block]:
        """Yield the pixels of the analysis in all frames; FrameError if they cannot be read. It gets whole frames."""
        before = first = 0
        for dataset, n in self.parts:
            reader = FrameReader(self.file, dataset, analysis.pixels, self.shape)
            for frames in reader.blocks(0, n, whole=Whole(analysis, -before)):
                yield Block(first, frames)
                first += len(frames)
            before += n


def find_movie(file: Path, dataset: str) -> Movie:
    """Find frames by name in a file: a dataset (frames, ny, nx), or a group of several.

    A master file of Eiger has the group ``entry/data`` with links ``data_000001``, ``data_000002``, … to the files with
    the frames (Dectris, File writer, 2.x); it is found by default. If there are no frames, the ValueError lists the
    movies in the file. The frames of several triggers are no movie.
    """
    try:
        with open_hdf5(file) as opened:
            node = _at(opened, dataset, file)
            if node is None and dataset == "entry/data/data":
                node, dataset = _at(opened, "entry/data", file), "entry/data"
            n_triggers, n_images = (_number(opened, f"{EIGER}/{name}") for name in ("ntrigger", "nimages"))
            if isinstance(node, h5py.Group):
                parts = _series(node, file)
            else:
                parts = {dataset: node.shape} if getattr(node, "ndim", 0) == 3 else {}
            if not parts and isinstance(node, h5py.Dataset):
                dimensions = f"{node.ndim} dimension{'s' * (node.ndim != 1)}, {node.shape}"
                raise ValueError(f"{file}: {dataset!r} has {dimensions}; frames need 3, (frames, ny, nx)")
            if not parts:
                movies: list[str] = []
                opened.visititems(lambda name, item: movies.append(name) if getattr(item, "ndim", 0) == 3 else None)
                instead = f"of (frames, ny, nx) it holds {', '.join(movies)}" if movies else "it holds no movie"
                raise ValueError(f"{file} has no frames at {dataset!r}: {instead}; name one with --dataset")
    except OSError as err:
        raise ValueError(why_not_opened(file, err)) from None
    except FrameError as err:  # it is being written
        raise ValueError(str(err)) from None
    shapes = {shape[1:] for shape in parts.values()}
    if len(shapes) > 1:
        sizes = ", ".join(f"{name} {shape[1]} × {shape[2]}" for name, shape in parts.items())
        raise ValueError(f"{file}: the frames differ in size ({sizes}); name one dataset with --dataset")
    if min(n_triggers, n_images) > 1 and sum(shape[0] for shape in parts.values()) > n_images:
        raise ValueError(
            f"{file} holds {n_triggers} triggers of {n_images} images, and does not say what time passed between them: "
            f"name the frames of one trigger with --dataset, such as {next(iter(parts))}"
        )
    return Movie(file, [(name, shape[0]) for name, shape in parts.items()], next(iter(shapes)))


def _series(group: h5py.Group, file: Path) -> dict[str, tuple[int, int, int]]:
    """Return the shapes of datasets of frames whose names end in a number, in the order of these numbers.

    ValueError if the names are not those of one series, or one of it is missing.
    """
    ended = sorted((int(end[0]), end.string) for end in map(partial(re.search, r"\d+$"), group) if end)
    series = [(number, name, _at(group, name, file)) for number, name in ended]
    series = [each for each in series if getattr(each[2], "ndim", 0) == 3]
    shapes = {f"{group.name.strip('/')}/{name}": item.shape for _, name, item in series}
    stems = {name.rstrip("0123456789") for name in shapes}
    if len(stems) > 1 or any(second - first != 1 for (first, *_), (second, *_) in pairwise(series)):
        raise ValueError(
            f"{file}: {', '.join(shapes)} are not one series without a gap; name one dataset with --dataset"
        )
    return shapes


def _number(file: h5py.File, name: str) -> int:
    """Return a whole number in a file, 1 without it."""
    node = file.get(name)
    return int(node[()]) if isinstance(node, h5py.Dataset) and node.size == 1 else 1


def _at(group: h5py.Group, name: str, file: Path) -> Any:
    """Return an item of a group, or None; ValueError if a link leads to a missing file."""
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
