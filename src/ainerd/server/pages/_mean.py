"""The mean over the first axis of an array, such as all bins of a result: a page need not read them all for it."""

from typing import Annotated, Any

import anyio
import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Response
from numpy.typing import NDArray
from tiled.utils import ensure_awaitable

from ainerd.server.pages._access import Asked

LARGEST = 64_000_000  # numbers
router = APIRouter()


@router.get("/mean/{path:path}")
async def mean(path: str, asked: Annotated[Asked, Depends()], step: int = 1) -> Response:
    """Mean of an array (n, …) over n without NaN, each `step`-th number along the other axes.

    The body is float32, little-endian, in C order; the header ``x-shape`` says its shape.
    """
    node = await asked.node(path, scopes=("read:metadata", "read:data"))
    shape = getattr(getattr(node, "structure", lambda: None)(), "shape", ())
    if len(shape) < 2 or not 1 <= step <= 1000:
        raise HTTPException(404, "that is no array with axes to take a mean over")
    if np.prod(shape, dtype=float) > LARGEST:
        raise HTTPException(413, f"at most {LARGEST:,} numbers")
    values = np.asarray(await ensure_awaitable(node.read))
    if values.dtype.kind not in "biuf":
        raise HTTPException(404, "that is no array of numbers")
    found = await anyio.to_thread.run_sync(_mean, values, step)
    headers = {"x-shape": ",".join(map(str, found.shape)), "Cache-Control": "no-cache"}
    return Response(found.tobytes(), media_type="application/octet-stream", headers=headers)


def _mean(values: NDArray[Any], step: int) -> NDArray[np.float32]:
    thinned = values[(slice(None), *[slice(None, None, step)] * (values.ndim - 1))]
    known = np.isfinite(thinned)
    count = known.sum(axis=0)
    total = np.where(known, thinned, 0).sum(axis=0, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.ascontiguousarray(total / count, dtype="<f4")
