"""The public names of rheo-XPCS."""

from ainerd.techniques.rheo_xpcs._average import Average
from ainerd.techniques.rheo_xpcs._bank import Bank, add_systematics, read_bank, write_bank
from ainerd.techniques.rheo_xpcs._bins import build_partition, check_bins, dead_pixels, questions
from ainerd.techniques.rheo_xpcs._calibration import Views, calibrated, placed, scorer_of, views
from ainerd.techniques.rheo_xpcs._cells import Cells
from ainerd.techniques.rheo_xpcs._clean import SHARES, Clean, measured_exposure, seen_from, simulated_exposures
from ainerd.techniques.rheo_xpcs._curves import read_curves
from ainerd.techniques.rheo_xpcs._detector_maps import read_flat, read_mask
from ainerd.techniques.rheo_xpcs._drawing import draw_exposure, draw_map, highest, new_figure
from ainerd.techniques.rheo_xpcs._features import TERMS, Sectors, run_features
from ainerd.techniques.rheo_xpcs._field import Field, q_of_pixels
from ainerd.techniques.rheo_xpcs._files import find_movie
from ainerd.techniques.rheo_xpcs._maps import MapFile
from ainerd.techniques.rheo_xpcs._picture import Picture
from ainerd.techniques.rheo_xpcs._preshear import preshear, preshear_of
from ainerd.techniques.rheo_xpcs._sentences import bin_cells, details, sentences
from ainerd.techniques.rheo_xpcs._settings import PartitionSettings, RheoXPCSSettings
from ainerd.techniques.rheo_xpcs._sketch import draw_bins
from ainerd.techniques.rheo_xpcs._technique import RheoXPCS
from ainerd.techniques.rheo_xpcs._verdict import Noise, bank_options, judge, pooled_contrast
from ainerd.techniques.rheo_xpcs.panels import draw_columns

__all__ = [
    "SHARES", "TERMS", "Average", "Bank", "Cells", "Clean", "Field", "MapFile", "Noise", "PartitionSettings",
    "Picture", "RheoXPCS", "RheoXPCSSettings", "Sectors", "Views", "add_systematics", "bank_options", "bin_cells",
    "build_partition", "calibrated", "check_bins", "dead_pixels", "details", "draw_bins", "draw_columns",
    "draw_exposure", "draw_map", "find_movie", "highest", "judge", "measured_exposure", "new_figure",
    "placed", "pooled_contrast", "preshear", "preshear_of", "q_of_pixels", "questions", "read_bank", "read_curves",
    "read_flat", "read_mask", "run_features", "scorer_of", "seen_from", "sentences", "simulated_exposures", "views",
    "write_bank",
]  # fmt: skip
