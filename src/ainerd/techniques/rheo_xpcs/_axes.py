"""What the dimensions of a result's arrays are: bins by q and azimuth, rows of a map by time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def coordinates(result: Any, sizes: Mapping[str, int]) -> dict[str, tuple[str, NDArray[Any], str]]:
    """Number, q and phi of the bins, and the middle of each row of a map since the first frame, as far as is known."""
    said = result.metadata
    found: dict[str, tuple[str, NDArray[Any], str]] = {}
    if "roi" in sizes:
        found["roi"] = "roi", np.arange(1, sizes["roi"] + 1), "1"
        try:
            node = result.configuration
            found |= {
                name: ("roi", np.asarray(node[name].read()), unit)
                for name, unit in (("q", "1/nm"), ("phi", "degree"))
                if name in node.metadata["arrays"]
            }
        except KeyError:  # nobody kept the partition
            pass
    if "n_frames" in said and "frame_time_s" in said:
        duration_s = said["n_frames"] * said["frame_time_s"]
        times = {name for name in sizes if name.split("_")[0] in ("t1", "t2")}
        found |= {name: (name, (np.arange(sizes[name]) + 0.5) * duration_s / sizes[name], "s") for name in times}
    return found
