"""Figures of rheo-XPCS: one exposure on a page, and the azimuths of many, as in the paper."""

from ainerd.techniques.rheo_xpcs.figures._azimuth_figures import cluster_figure, latent_figure, two_dimensions
from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths, read_azimuths
from ainerd.techniques.rheo_xpcs.figures._coincidence import Coincidence, coincidence
from ainerd.techniques.rheo_xpcs.figures._exposure import draw_exposure
from ainerd.techniques.rheo_xpcs.figures._files import azimuths_of, read_record, shaped
from ainerd.techniques.rheo_xpcs.figures._grouping_figures import number_figure, ways_figure
from ainerd.techniques.rheo_xpcs.figures._maps import new_figure
from ainerd.techniques.rheo_xpcs.figures._neighbours import neighbourhood_figure, similarity_figure
from ainerd.techniques.rheo_xpcs.figures._relaxation import timeline_figure

__all__ = [
    "Azimuths",
    "Coincidence",
    "azimuths_of",
    "cluster_figure",
    "coincidence",
    "draw_exposure",
    "latent_figure",
    "neighbourhood_figure",
    "new_figure",
    "number_figure",
    "read_azimuths",
    "read_record",
    "shaped",
    "similarity_figure",
    "timeline_figure",
    "two_dimensions",
    "ways_figure",
]
