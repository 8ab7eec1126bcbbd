"""What the simulated instrument really is, read from a file of its own; whoever analyses its runs has settings."""

import inspect
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from sim_devices._geometry import Geometry
from sim_devices._lambda750k import Lambda750k

# Of the detector: what is left after what SimulatedInstrument sees to.
OPTIONS = (
    set(inspect.signature(Lambda750k.__init__).parameters)
    - {"self", "prefix", "kwargs", "name", "directory", "geometry", "clock", "sample_now", "seed", "transmission"}
)  # fmt: skip


def read_hardware(path: Path) -> dict[str, Any]:
    """Options of `SimulatedInstrument`: `geometry`, and those of its detector.

    Parameters
    ----------
    path : Path
        A TOML with the table ``[geometry]``, whose keys are the attributes of `Geometry`, and the table
        ``[detector]``, with those parameters of `Lambda750k` that say what the instrument is like: `count_rate`,
        `contrast`, `speckle_px`, `flicker_rms`, `noise_rms`, `drift`, `unlit_share`, `dark_hz`, `lost_share`.

    Raises
    ------
    ValueError
        If the file has other keys, or no instrument can be as it says.
    """
    told = tomllib.loads(path.read_text())
    for table, known in (("geometry", {field.name for field in fields(Geometry)}), ("detector", OPTIONS)):
        if unknown := sorted(set(told.get(table, {})) - known):
            raise ValueError(f"{path}: no {table}.{unknown[0]}: there are {', '.join(sorted(known))}")
    if unknown := sorted(set(told) - {"geometry", "detector"}):
        raise ValueError(f"{path}: no {unknown[0]}: there are geometry and detector")
    given = {name: tuple(x) if isinstance(x, list) else x for name, x in told.get("geometry", {}).items()}
    return {"geometry": Geometry(**given), **told.get("detector", {})}
