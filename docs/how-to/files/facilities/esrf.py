"""Correlate a movie with xpcs-correlator on SLURM, and write the two-time maps and their bins for ainerd.

python esrf.py MOVIE DATASET BINS OUT FRAME_TIME: `BINS` is an .npz with the labels of the pixels, 0 unused, and `q` of
the bins 1, 2, … in 1/nm; the frame time is in seconds.
"""

import os
import sys

import h5py
import hdf5plugin  # noqa: F401 - the filters of the detector
import numpy as np
from xpcscorr import correlator_dense_chunked

ROWS = 4096  # of a map, at most; rows of several frames, of a longer movie, have no p-value
CLUSTER = {"dask_cluster_type": "slurm", "dask_n_workers": 4, "dask_slurm_queue": "low", "chunks_N": 4}


def main(movie: str, dataset: str, bins: str, out: str, frame_time: str) -> None:
    """Correlate a movie, and write its maps."""
    with np.load(bins) as given, h5py.File(movie) as file:
        labels, q, frames = given["labels"], given["q"], file[dataset]
        masks = np.array([labels == k for k in range(1, len(q) + 1)])
        rows = min(ROWS, len(frames))
        row_s = len(frames) / rows * float(frame_time)
        binning = rows if rows < len(frames) else None
        result = correlator_dense_chunked(
            frames, masks, ttcf_format="t1,t2", t1_t2_binning=binning, extra_options=CLUSTER
        )  # fmt: skip
    with h5py.File(f"{out}.part", "w") as file:
        maps = file.create_dataset("entry/twotime/two_time_corr_func", data=result.ttcf.astype(np.float32))
        maps.attrs.update(storage_mode="one_array_q_first", baseline_reference=1)
        file["entry/twotime/t1"] = row_s * np.arange(rows)
        file["entry/instrument/masks/dynamic_roi_map"] = labels
        file["entry/instrument/masks/dynamic_q_list"] = q
        for name, unit in (("twotime/t1", "s"), ("instrument/masks/dynamic_q_list", "1/nm")):
            file[f"entry/{name}"].attrs["units"] = unit
    os.replace(f"{out}.part", out)  # only now ainerd sees it


if __name__ == "__main__":
    main(*sys.argv[1:])
