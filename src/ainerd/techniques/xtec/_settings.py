"""The technique's section of the TOML."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from ainerd.config import Section


class XTECSettings(Section):
    """What is read beside the frames, which pixels count, and how they are clustered."""

    temperature: str = "temperature"  #: data key of what is ramped: temperature, strain, field or time
    unit: str = "K"  #: of that
    series: str = "series_id"  #: key of the start document that runs of one ramp share
    monitor: str = ""  #: data key of the beam's intensity at each frame; empty: frames are not divided by it
    exposure: str = ""  #: data key of the exposure time of each frame, likewise
    direction: Literal["both", "heating", "cooling"] = "both"  #: which frames of a ramp that turns count
    merge: float | None = Field(default=None, ge=0)  #: temperatures that differ by no more are one
    mask: Path | None = None  #: a .npy of booleans (ny, nx), True where a pixel must not be used
    dark: Path | None = None  #: a .npy (ny, nx): counts of a frame without beam
    cut: Literal["kl", "simple", "none"] | PositiveFloat = "kl"  #: which pixels are bright enough; a number: counts
    scale: Literal["mean", "zscore", "log"] = "mean"  #: of each trajectory
    clusters: int | None = Field(default=None, ge=1, le=50)  #: how many; without it, as many as are stable
    most_clusters: int = Field(default=8, ge=2, le=50)  #: of those that are tried
    smooth: Literal["none", "neighbours", "cells", "patches"] = "none"  #: X-TEC-s
    length: PositiveFloat = 1.0  #: of neighbours, in pixels; of cells, as in `ainerd.techniques.xtec.smoothing`
    cell: tuple[PositiveFloat, PositiveFloat] | None = None  #: rows and columns from a zone to the next, for cells
    follow: bool = True  #: whether peaks that expansion moves by more than a pixel are followed
    memory_gb: PositiveFloat = 4.0  #: of frames and trajectories; more lie in temporary files
    alike: PositiveFloat = 5.0  #: two series of one regime differ by no more, in `unit`
    alpha: float = Field(default=0.05, gt=0, lt=1)  #: a series is called novel if its p-value is at most this
    seed: int = 0  #: of starts and resampling

    @model_validator(mode="after")
    def _has_cell(self) -> Self:
        if self.smooth == "cells" and self.cell is None:
            raise ValueError('smooth = "cells" needs cell: rows and columns from a zone to the next')
        return self
