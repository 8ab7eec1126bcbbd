"""The technique's section of the TOML."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from ainerd.config import Section


class XTECSettings(Section):
    """Readings beside the frames, selection of pixels, and clustering."""

    temperature: str = "temperature"  #: data key of the ramped quantity: temperature, strain, field or time
    unit: str = "K"  #: of this quantity
    series: str = "series_id"  #: key of the start document that runs of one ramp share
    monitor: str = ""  #: data key of the beam intensity (or exposure time) at each frame; empty: no division
    direction: Literal["both", "heating", "cooling"] = "both"  #: which frames of a ramp that turns are used
    merge: float | None = Field(default=None, ge=0)  #: temperatures that differ by at most this are merged
    mask: Path | None = None  #: a .npy of booleans (ny, nx), True where a pixel must not be used
    dark: Path | None = None  #: a .npy (ny, nx): counts of a frame without beam
    cut: Literal["kl", "simple", "none"] | PositiveFloat = "kl"  #: which pixels are bright enough; a number: counts
    clusters: int | None = Field(default=None, ge=1, le=50)  #: number of clusters; without it, as many as are stable
    most_clusters: int = Field(default=8, ge=2, le=50)  #: largest number tried
    smooth: Literal["none", "patches"] = "none"  #: X-TEC-s: one trajectory for each connected patch
    follow: bool = True  #: whether to follow peaks that expansion moves by more than a pixel
    memory_gb: PositiveFloat = 4.0  #: for frames and trajectories; the rest goes to temporary files
    alike: PositiveFloat = 5.0  #: largest difference of two series of one regime, in `unit`
    alpha: float = Field(default=0.05, gt=0, lt=1)  #: a series is novel if its p-value is at most this
    seed: int = 0  #: of starts and resampling
