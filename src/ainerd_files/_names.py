"""The public names of files of other programs."""

from ainerd_files._acquisition import AcquisitionMetadata, EventMovie
from ainerd_files._average import Average
from ainerd_files._curves import read_curves
from ainerd_files._curves_of_bins import Curves
from ainerd_files._fitted import FittedCurves
from ainerd_files._map_analysis import Noises, ReadMaps, analyse_maps, map_numbers, technique_of
from ainerd_files._map_noise import MapNoise, Neighbours
from ainerd_files._maps import MapFile, put_right
from ainerd_files._movie import Movie, find_movie
from ainerd_files._repeats import Repeats, Trend, average_repeats, log_tau_shifts
from ainerd_files._results import ResultFile, ResultFiles
from ainerd_files._rigaku import EventFileError, RigakuReader, read_rigaku, rigaku_gaps

__all__ = [
    "AcquisitionMetadata", "Average", "Curves", "EventFileError", "EventMovie", "FittedCurves", "MapFile", "MapNoise",
    "Movie", "Neighbours", "Noises", "ReadMaps", "Repeats", "ResultFile", "ResultFiles", "RigakuReader", "Trend",
    "analyse_maps", "average_repeats", "find_movie", "log_tau_shifts", "map_numbers", "put_right",
    "read_curves", "read_rigaku", "rigaku_gaps", "technique_of",
]  # fmt: skip
