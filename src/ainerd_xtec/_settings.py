"""The technique's section of the TOML."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from ainerd.config import Section


class XTECSettings(Section):
    """Readings beside the frames, selection of pixels, and clustering."""

    temperature: str = "temperature"  #: data key of the ramped quantity: temperature, strain, field or time
    unit: str = "K"  #: of this quantity
    monitor: tuple[str, ...] = ()  #: data keys of readings at each frame by which frames are divided
    direction: Literal["both", "heating", "cooling"] = "both"  #: which frames of a ramp that turns are used
    mask: Path | None = None  #: a .npy of booleans (ny, nx), True where a pixel must not be used
    cut: Literal["kl", "simple", "none"] | PositiveFloat = "kl"  #: which pixels are bright enough; a number: counts
    scale: Literal["mean", "zscore", "log"] = "mean"  #: of each trajectory
    clusters: int | None = Field(default=None, ge=1, le=50)  #: number of clusters; without it, as many as are stable
    #: X-TEC-s: over neighbours, over the same place in zones of (rows, columns), or one trajectory for each patch
    smooth: Literal["none", "neighbours", "patches"] | tuple[PositiveFloat, PositiveFloat] = "none"
    alpha: float = Field(default=0.05, gt=0, lt=1)  #: a series is novel if its p-value is at most this
