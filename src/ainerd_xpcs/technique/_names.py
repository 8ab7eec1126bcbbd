"""The public names of rheo-XPCS."""

from ainerd_xpcs.technique._average import Average
from ainerd_xpcs.technique._bank import Bank, add_systematics, read_bank, write_bank
from ainerd_xpcs.technique._bins import build_partition, check_bins, dead_pixels, questions
from ainerd_xpcs.technique._calibration import Views, calibrated, placed, scorer_of, views
from ainerd_xpcs.technique._cells import Cells
from ainerd_xpcs.technique._clean import SHARES, Clean, measured_exposure, seen_from, simulated_exposures
from ainerd_xpcs.technique._correlated import Correlated
from ainerd_xpcs.technique._curves import read_curves
from ainerd_xpcs.technique._curves_of_bins import Curves
from ainerd_xpcs.technique._detector_maps import read_flat, read_mask
from ainerd_xpcs.technique._drawing import draw_exposure, draw_map, highest, new_figure
from ainerd_xpcs.technique._features import TERMS, Ring, Sectors, rings, run_features
from ainerd_xpcs.technique._field import Field, q_of_pixels
from ainerd_xpcs.technique._files import find_movie
from ainerd_xpcs.technique._map_run import analyse as analyse_maps
from ainerd_xpcs.technique._map_run import technique_of
from ainerd_xpcs.technique._maps import MapFile
from ainerd_xpcs.technique._numbers import contrast_within, lit_weights, opposite, plain
from ainerd_xpcs.technique._parts import Part, Share
from ainerd_xpcs.technique._picture import Picture
from ainerd_xpcs.technique._sentences import bin_cells, details, sentences
from ainerd_xpcs.technique._settings import PartitionSettings, RheoXPCSSettings, settings_with_parts
from ainerd_xpcs.technique._sketch import draw_bins
from ainerd_xpcs.technique._technique import RheoXPCS
from ainerd_xpcs.technique._verdict import (
    Judgement,
    Noise,
    bank_options,
    filled,
    holes,
    judge,
    pooled_contrast,
    prepare,
)
from ainerd_xpcs.technique.panels import draw_columns
from ainerd_xpcs.technique.plans import acquire_with_record, preshear, preshear_of, with_record

__all__ = [
    "SHARES", "TERMS", "Average", "Bank", "Cells", "Clean", "Correlated", "Curves", "Field", "Judgement", "MapFile",
    "Noise", "Part", "PartitionSettings", "Picture", "RheoXPCS", "RheoXPCSSettings", "Ring", "Sectors", "Share",
    "Views", "acquire_with_record", "add_systematics", "analyse_maps", "bank_options", "bin_cells",
    "build_partition", "calibrated", "check_bins", "contrast_within", "dead_pixels", "details", "draw_bins",
    "draw_columns", "draw_exposure", "draw_map", "filled", "find_movie", "highest", "holes", "judge", "lit_weights",
    "measured_exposure", "new_figure", "opposite", "placed", "plain", "pooled_contrast", "prepare", "preshear",
    "preshear_of", "q_of_pixels", "questions", "read_bank", "read_curves", "read_flat", "read_mask", "rings",
    "run_features", "scorer_of", "seen_from", "sentences", "settings_with_parts", "simulated_exposures",
    "technique_of", "views", "with_record", "write_bank",
]  # fmt: skip
