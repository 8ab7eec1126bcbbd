"""C2 maps to latent vectors, and the latent vectors of a run to one point.

An `Encoder` turns the map of each bin into a latent vector, and the latent vectors of a run into one point.
`ainerd_train` trains encoders.
"""

from ainerd_xpcs.latent._encoder import Encoder, PcaEncoder, run_embedding
from ainerd_xpcs.latent._grid import (
    COLS,
    LAG_BIN,
    LAG_MEAN,
    ROWS,
    SIZE,
    block_mean,
    decay_and_unsteadiness,
    from_triangle,
    from_unit,
    harmonics,
    to_triangle,
    to_unit,
    weighted,
)
from ainerd_xpcs.latent._learned import (
    DEPTH,
    GROUPS,
    N_DETAIL,
    N_GAUGES,
    N_NOISE_GAUGES,
    N_SHAPE,
    LearnedEncoder,
    features_of,
    group_power,
    noise_gauges,
    scaled,
    unit_of,
)
from ainerd_xpcs.latent._run import N_LEARNED, N_POINT, MapFeatures, RunEncoder
from ainerd_xpcs.latent._weights import SHIPPED, ModelError, digest, kind_of, read_tensors, read_weights, write_weights

__all__ = [
    "COLS", "DEPTH", "GROUPS", "LAG_BIN", "LAG_MEAN", "N_DETAIL", "N_GAUGES", "N_LEARNED", "N_NOISE_GAUGES", "N_POINT",
    "N_SHAPE", "ROWS", "SHIPPED", "SIZE", "Encoder", "LearnedEncoder", "MapFeatures", "ModelError", "PcaEncoder",
    "RunEncoder", "block_mean", "decay_and_unsteadiness", "digest", "features_of", "from_triangle", "from_unit",
    "group_power", "harmonics", "kind_of", "noise_gauges", "read_tensors", "read_weights", "run_embedding", "scaled",
    "to_triangle", "to_unit", "unit_of", "weighted", "write_weights",
]  # fmt: skip
