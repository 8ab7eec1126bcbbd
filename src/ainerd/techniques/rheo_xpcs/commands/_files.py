"""Maps in files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_npy(file: Path) -> "NDArray[Any]":
    """The array of a ``.npy`` file.

    Raises
    ------
    ValueError
        If it holds no numbers.
    """
    import numpy as np

    try:
        with file.open("rb") as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{file}: not a .npy file of numbers ({error})") from None
