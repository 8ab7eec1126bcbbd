"""The public names of rheo-XPCS."""

from ainerd_xpcs.technique._bank import BASELINE, Bank, add_systematics, noised, read_bank, write_bank
from ainerd_xpcs.technique._bins import build_partition, check_bins
from ainerd_xpcs.technique._calibration import RANKED, calibrated, placed, purpose_of
from ainerd_xpcs.technique._cells import Cells
from ainerd_xpcs.technique._clean import SHARES, Clean, measured_exposure, seen_from, simulated_exposures
from ainerd_xpcs.technique._correlated import Correlated
from ainerd_xpcs.technique._detector_maps import read_mask
from ainerd_xpcs.technique._drawing import (
    bin_names,
    draw_clock,
    draw_exposure,
    draw_half,
    draw_map,
    highest,
    new_figure,
)
from ainerd_xpcs.technique._exposure import analysis_of
from ainerd_xpcs.technique._features import RESIDUALS, TERMS, WEIGHTS, Ring, features, rings, run_features, sectors_of
from ainerd_xpcs.technique._models import agreed, table_of
from ainerd_xpcs.technique._noise_by_lag import noise_by_lag
from ainerd_xpcs.technique._numbers import (
    NAMES,
    TEXTS,
    Numbers,
    across,
    contrast_within,
    lit_weights,
    named,
    of_law,
    of_run,
    opposite,
    plain,
    with_clocks,
)  # fmt: skip
from ainerd_xpcs.technique._opposite import differences
from ainerd_xpcs.technique._over_q import LAW_COLOUR, OVER_Q, draw_over_q
from ainerd_xpcs.technique._parts import Part, Share
from ainerd_xpcs.technique._picture import Picture
from ainerd_xpcs.technique._sample_clock import CHANGING, clock_of
from ainerd_xpcs.technique._sectors import Sectors, opposite_pairs
from ainerd_xpcs.technique._sentences import bin_cells, details, half_cell, power_sentences, sentences, value_cell
from ainerd_xpcs.technique._settings import PartitionSettings, RheoXPCSSettings, settings_with_parts
from ainerd_xpcs.technique._sketch import draw_bins
from ainerd_xpcs.technique._technique import RESULT_FILE, RheoXPCS
from ainerd_xpcs.technique._verdict import (
    Judgement,
    Noise,
    bank_options,
    filled,
    holes,
    judge,
    pooled_contrast,
    prepare,
)  # fmt: skip
from ainerd_xpcs.technique.field import Field, q_of_pixels

__all__ = [
    "BASELINE", "Bank", "CHANGING", "Cells", "Clean", "Correlated", "Field", "Judgement", "LAW_COLOUR", "NAMES",
    "Noise", "Numbers", "OVER_Q", "Part", "PartitionSettings", "Picture", "RANKED", "RESIDUALS", "RESULT_FILE",
    "RheoXPCS", "RheoXPCSSettings", "Ring", "SHARES", "Sectors", "Share", "TERMS", "TEXTS", "WEIGHTS", "across",
    "add_systematics", "agreed", "analysis_of", "bank_options", "bin_cells", "bin_names", "build_partition",
    "calibrated", "check_bins", "clock_of", "contrast_within", "details", "differences", "draw_bins", "draw_clock",
    "draw_exposure", "draw_half", "draw_map", "draw_over_q", "features", "filled", "half_cell", "highest", "holes",
    "judge", "lit_weights", "measured_exposure", "named", "new_figure", "noise_by_lag", "noised", "of_law", "of_run",
    "opposite", "opposite_pairs", "placed", "plain", "pooled_contrast", "power_sentences", "prepare", "purpose_of",
    "q_of_pixels", "read_bank", "read_mask", "rings", "run_features", "sectors_of", "seen_from", "sentences",
    "settings_with_parts", "simulated_exposures", "table_of", "value_cell", "with_clocks", "write_bank",
]  # fmt: skip
