"""C2 maps to latent vectors, and the latent vectors of a run to one point.

An `Encoder` turns the map of each bin into a latent vector, and the latent vectors of a run into one point.
`ainerd_xpcs.latent.training` trains encoders.
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
    to_triangle,
    to_unit,
)
from ainerd_xpcs.latent._weights import SHIPPED, ModelError, digest, kind_of, read_tensors, read_weights, write_weights

__all__ = [
    "COLS", "LAG_BIN", "LAG_MEAN", "ROWS", "SHIPPED", "SIZE", "Encoder", "ModelError", "PcaEncoder", "block_mean",
    "decay_and_unsteadiness", "digest", "from_triangle", "from_unit", "kind_of", "read_tensors", "read_weights",
    "run_embedding", "to_triangle", "to_unit", "write_weights",
]  # fmt: skip
