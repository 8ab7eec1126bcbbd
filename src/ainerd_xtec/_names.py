"""The public names of X-TEC."""

from ainerd_xtec._clusters import Mixture, find_clusters, fit, improve, responsibilities, smoothing
from ainerd_xtec._pixels import cut, rescale
from ainerd_xtec._settings import XTECSettings
from ainerd_xtec._technique import XTEC
from ainerd_xtec._transitions import Trajectories, posteriors, transitions

__all__ = [
    "XTEC", "Mixture", "Trajectories", "XTECSettings", "cut", "find_clusters", "fit", "improve", "posteriors",
    "rescale", "responsibilities", "smoothing", "transitions",
]  # fmt: skip
