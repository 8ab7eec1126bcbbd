"""The route that averages chosen results in a process of its own: a server has neither SciPy nor a core to spare."""

import asyncio
import base64
import sys
from typing import Annotated, Any

import anyio
import msgpack
import numpy as np
import pandas as pd
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from tiled.utils import ensure_awaitable

from ainerd.server._access import json_body, json_response, validated
from ainerd.server.internals import Caller
from ainerd.technique import panels

MOST = 500  # results
LARGEST = 10_000_000  # numbers in an array or table
LIMIT_S = 120.0
_READ = ("read:metadata", "read:data")
_ABOUT = ("technique", "status", "reason", "scan_id", "event", "n_frames", "frame_time_s", "arrays", "tables")
_one_at_a_time = asyncio.Lock()
router = APIRouter()


class Repeats(BaseModel):
    """The results to average."""

    model_config = ConfigDict(extra="forbid")

    keys: list[str] = Field(min_length=2, max_length=MOST)


@router.post("/average/{path:path}")
async def average(request: Request, path: str, caller: Annotated[Caller, Depends()]) -> Response:
    """Average results of a campaign in the order of their times: return ``sentences`` and a ``picture`` (PNG, base64).

    The answer is 422, with the reason, if they cannot be averaged.
    """
    wanted = validated(Repeats, await json_body(request, 50 * MOST))
    results = await caller.node(path, "results", scopes=_READ)
    found = []
    for key in dict.fromkeys(wanted.keys):
        node = await caller.child(results, key, scopes=_READ)
        if node is None:
            raise HTTPException(404, f"there is no result {key[:100]!r}")
        metadata = node.metadata()
        parts = {name: await _packed(node, name) for name in _names(metadata)}
        about = {"arrays": {}, "tables": {}} | {name: metadata[name] for name in _ABOUT if name in metadata}
        found.append((metadata.get("event_time") or metadata.get("run_time") or 0.0, key, about, parts))
    found.sort(key=lambda each: each[:2])
    code = "from ainerd.results.together import main; main()"
    packed = msgpack.packb([each[1:] for each in found])
    try:
        async with _one_at_a_time:
            with anyio.fail_after(LIMIT_S):
                done = await anyio.run_process([sys.executable, "-c", code], input=packed, check=False)
    except TimeoutError:
        raise HTTPException(422, f"the average took longer than {LIMIT_S:.0f} s: choose fewer results") from None
    if done.returncode:
        problem = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise HTTPException(422, f"the average failed: {' '.join(problem)[:300]}")
    answer = msgpack.unpackb(done.stdout)
    if "refused" in answer:
        raise HTTPException(422, answer["refused"])
    picture = base64.b64encode(answer["picture"]).decode()
    return json_response({"sentences": answer["sentences"], "picture": picture})


def _names(metadata: dict[str, Any]) -> list[str]:
    """Return the names of the arrays and tables of a result that its technique averages."""
    there = {*(metadata.get("arrays") or {}), *(metadata.get("tables") or {})}
    return [name for name in getattr(panels(str(metadata.get("technique"))), "averaged", ()) if name in there]


async def _packed(node: Any, name: str) -> Any:
    """Return an array or a table of a result as the route `contents` packs them; of a table the numbers."""
    try:
        values = await ensure_awaitable((await node.lookup_adapter([name])).read)
    except Exception:  # not written yet, or written by another program
        raise HTTPException(422, f"{name} of a result cannot be read") from None
    if isinstance(values, pd.DataFrame):
        return {str(column): _array(x.to_numpy()) for column, x in values.items() if x.dtype.kind in "biuf"}
    return _array(np.asarray(values))


def _array(values: Any) -> list[Any]:
    if values.dtype.kind not in "biuf" or values.size > LARGEST:
        raise HTTPException(422, f"an array of {values.dtype} and shape {values.shape} cannot be averaged")
    return [values.dtype.str, values.shape, np.ascontiguousarray(values).tobytes(), None]
