"""Number of frames in the files of a Rigaku detector."""

from pathlib import Path

from ainerd.documents import EventFrames, FrameError

SHAPES = {".bin": (512, 1024), ".000": (1676, 2100)}  # of frames, by the ending of the first file
ENDINGS = (".bin",), tuple(f".bin.{number:03d}" for number in range(6))  # of all files
EVERY = 1 << 16  # words from one that is read to count frames to the next
WRAP = 1 << 24


def count_frames(path: Path, shape: tuple[int, int]) -> int:
    """Return the number of frames in complete files, up to the last one with an event.

    Parameters
    ----------
    path : Path
        The only file, or the first of six.
    shape : (int, int)
        Rows and columns of the detector.

    Raises
    ------
    MissingFrames
        If a file is missing.
    FrameError
        If none holds an event.

    Examples
    --------
    >>> frame, pixel = np.array([0, 0, 7]), np.array([5, 9, 5])
    >>> (frame << 40 | pixel << 16 | 1).astype("<u8").tofile(folder / "a.bin")  # words of a Rigaku detector
    >>> count_frames(folder / "a.bin", (512, 1024))  # the last event is in frame 7
    8
    """
    n_frames, files = 0, EventFrames.files(path, shape, [Path("/")])
    for name in files:
        with name.open("rb") as file:
            n = name.stat().st_size // 8
            some = [*range(0, n, EVERY), n - 1] if n else []  # the frame wraps at most once between two
            last = 0
            for word in some:
                file.seek(8 * word)
                last += ((int.from_bytes(file.read(8), "little") >> 40) - last) % WRAP
                n_frames = max(n_frames, last + 1)
    if not n_frames:
        raise FrameError(f"{files[0]} holds no event")
    return n_frames
