"""The mean frame of a file."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 50  # frames to average


def mean_frame(path: Path, dataset: str | None = None) -> "NDArray[np.float64]":
    """Return the mean, (ny, nx), of at most 50 frames that are evenly spread over a .npy or HDF5 file.

    A pixel is NaN if in all frames it is negative or has the largest value of its type: detectors mark gaps and bad
    pixels in this way.

    Parameters
    ----------
    path : Path
    dataset : str, optional
        Name of the dataset in an HDF5 file, with shape (frames, ny, nx) or (ny, nx); by default the largest one.

    Raises
    ------
    ValueError
        If the file or the frames in it cannot be read.
    """
    import numpy as np

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix == ".npy":
        try:
            return _mean(np.load(path, mmap_mode="r", allow_pickle=False), path)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: {error}") from None
    import h5py

    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401  (registers the filters)
    try:
        with h5py.File(path, "r") as file:
            name = dataset or _largest(file, path)
            found = file.get(name)
            if not isinstance(found, h5py.Dataset):
                raise ValueError(f"{path} has no dataset {name!r}")
            return _mean(found, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as HDF5: {error}") from None


def _largest(file: Any, path: Path) -> str:
    import h5py

    found: dict[str, int] = {}

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim in (2, 3) and item.dtype.kind in "uif":
            found[name] = item.size

    file.visititems(look)
    if not found:
        raise ValueError(f"{path} holds no frames, of (ny, nx) or (frames, ny, nx)")
    return max(found, key=lambda name: found[name])


def _mean(frames: Any, path: Path) -> "NDArray[np.float64]":
    import numpy as np

    if len(frames.shape) not in (2, 3) or 0 in frames.shape or np.dtype(frames.dtype).kind not in "buif":
        raise ValueError(f"{path}: frames must be of (ny, nx) or (frames, ny, nx), got {frames.shape}, {frames.dtype}")
    n = frames.shape[0] if len(frames.shape) == 3 else 1
    top = np.iinfo(frames.dtype).max if np.dtype(frames.dtype).kind in "ui" else np.inf
    total, marked = np.zeros(frames.shape[-2:]), np.ones(frames.shape[-2:], bool)
    wanted = np.unique(np.linspace(0, n - 1, min(n, MOST)).astype(int))
    for k in wanted:
        frame = np.asarray(frames[k] if len(frames.shape) == 3 else frames)
        marked &= ~((frame >= 0) & (frame < top))
        total += frame
    return np.where(marked, np.nan, total / wanted.size)
