"""The mean of the frames in a file, for guesses and pictures."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 50  # frames to average


def mean_frame(path: Path, dataset: str | None = None) -> "NDArray[np.float64]":
    """Return the mean, (ny, nx), of at most 50 frames that are evenly spread over a .npy or HDF5 file.

    Negative numbers and the largest one of the type are left out, because detectors mark gaps and bad pixels in this
    way. A pixel without another number is NaN.

    Parameters
    ----------
    path : Path
    dataset : str, optional
        Name of the dataset in an HDF5 file, with shape (frames, ny, nx) or (ny, nx); by default the largest one.

    Raises
    ------
    ValueError
        If the file or the frames in it cannot be read.

    Examples
    --------
    >>> frames = np.full((200, 2, 2), 4, np.uint16)
    >>> frames[:, 1, 1] = 65535  # the detector marks a gap
    >>> np.save(folder / "frames.npy", frames)
    >>> mean_frame(folder / "frames.npy")
    array([[ 4.,  4.],
           [ 4., nan]])
    """
    import h5py
    import numpy as np

    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  (registers the filters)

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        if path.suffix == ".npy":
            return _mean(np.load(path, mmap_mode="r", allow_pickle=False))
        with h5py.File(path, locking=False) as file:
            return _mean(file[_largest(file) if dataset is None else dataset])
    except KeyError:
        raise ValueError(f"{path}: there is no {dataset}") from None
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _largest(file: Any) -> str:
    """Return the name of the largest dataset, also behind links, as the frames of an Eiger's master file are."""
    import h5py

    sizes = dict[str, int]()

    def add(name: str, _: object) -> None:
        with suppress(OSError, KeyError):  # a link to a file that is not there
            item = file[name]
            if isinstance(item, h5py.Dataset) and item.ndim in (2, 3) and item.dtype.kind in "uif":
                sizes[name] = item.size

    file.visititems_links(add)
    if not sizes:
        raise ValueError("no frames, of (ny, nx) or (frames, ny, nx)")
    return max(sizes, key=lambda name: sizes[name])


def _mean(frames: Any) -> "NDArray[np.float64]":
    import numpy as np

    shape: tuple[int, ...] = getattr(frames, "shape", ())
    if len(shape) not in (2, 3) or 0 in shape or np.dtype(frames.dtype).kind not in "buif":
        got = f"{getattr(frames, 'dtype', type(frames).__name__)} of shape {shape}"
        raise ValueError(f"frames must be of (ny, nx) or (frames, ny, nx), got {got}")
    n = shape[0] if len(shape) == 3 else 1
    top = np.iinfo(frames.dtype).max if np.dtype(frames.dtype).kind in "ui" else np.inf
    total, n_good = np.zeros(()), np.zeros((), int)
    for k in np.unique(np.linspace(0, n - 1, min(n, MOST)).astype(int)):
        frame = np.asarray(frames[k] if len(shape) == 3 else frames[()])
        good = (frame >= 0) & (frame < top)
        total, n_good = total + np.where(good, frame, 0), n_good + good
    return np.where(n_good > 0, total / np.maximum(n_good, 1), np.nan)
