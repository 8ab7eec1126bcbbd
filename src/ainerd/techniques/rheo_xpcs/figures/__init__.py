"""Figures of rheo-XPCS: one exposure on a page, and the azimuths of many, as in the paper."""

from ainerd.techniques.rheo_xpcs.figures._azimuth_figures import cluster_figure, latent_figure
from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths, read_azimuths
from ainerd.techniques.rheo_xpcs.figures._coincidence import Coincidence, coincidence
from ainerd.techniques.rheo_xpcs.figures._exposure import draw_exposure
from ainerd.techniques.rheo_xpcs.figures._maps import new_figure
from ainerd.techniques.rheo_xpcs.figures._neighbours import neighbourhood_figure, similarity_figure
from ainerd.techniques.rheo_xpcs.figures._relaxation import timeline_figure

__all__ = [
    "Azimuths",
    "Coincidence",
    "cluster_figure",
    "coincidence",
    "draw_exposure",
    "latent_figure",
    "neighbourhood_figure",
    "new_figure",
    "read_azimuths",
    "similarity_figure",
    "timeline_figure",
]
