"""The recipe published with AI-NERD (Horwath et al., Nat. Commun. 15, 5945, 2024), on simulated maps.

It trains a plain autoencoder to reproduce the noisy map, for comparison. The published network was trained on measured
maps.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ainerd_xpcs.dynamics import KNOWN, Statistics, draw, noisy, reduced_g1_squared
from ainerd_xpcs.latent._grid import MAP_SIZE, to_unit
from ainerd_xpcs.latent._published import Autoencoder
from ainerd_xpcs.latent.training._network import Loss, train
from ainerd_xpcs.latent.training._simulated import Watch, silent

_BATCH, _LOWEST_RATE, _HIGHEST_RATE = 16, 1e-4, 1e-3


def train_paper(
    out: Path, *, seed: int = 0, maps: int = 2000, epochs: int = 60, cpu_s: float | None = None, watch: Watch = silent
) -> Path:
    """Train the network and write `out`/paper.pth, a state dict like the published one.

    The recipe: squared error, Adam, a cyclic learning rate (triangular2, 1e-4 to 1e-3), 60 epochs, and maps rolled
    along their diagonal at random. It takes days on a CPU; a GPU is used if there is one. Interrupted training
    continues from `out`/paper.checkpoint.pt, which is written after each epoch.

    Parameters
    ----------
    out : Path
        Folder.
    seed : int
    maps, epochs : int
        Number of simulated maps at 256 px, and passes over them.
    cpu_s : float, optional
        CPU time after which training ends early, to compare recipes.
    watch : callable
        Called with the stage, the number done, the total, and the loss.

    Raises
    ------
    ModelError
        If there is a checkpoint of another seed or size.
    """
    recipe = {"seed": seed, "maps": maps, "epochs": epochs}
    out.mkdir(parents=True, exist_ok=True)
    data = np.concatenate([_simulated(seed, first, watch, maps) for first in range(0, maps, 50)])

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    network = Autoencoder().to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), _LOWEST_RATE)
    a_pass = maps // _BATCH
    schedule = torch.optim.lr_scheduler.CyclicLR(
        optimizer, _LOWEST_RATE, _HIGHEST_RATE, 4 * a_pass, mode="triangular2", cycle_momentum=False
    )
    began = time.process_time()

    def losses(start: int) -> Iterator[Loss]:
        for epoch in range(start // a_pass, epochs):
            rng = np.random.default_rng([seed, 1, epoch])
            torch.manual_seed(seed * 1_000_003 + epoch)  # dropout continues identically after an interruption
            for which in rng.permutation(maps)[: a_pass * _BATCH].reshape(-1, _BATCH):
                if cpu_s is not None and time.process_time() - began > cpu_s:
                    return
                x = torch.from_numpy(to_unit(shifted(data[which].astype(np.float32), rng)))[:, None].to(device)
                loss = (network.decode(network.encode(x)) - x).square().mean()
                yield loss, {"map": float(loss.detach())}

    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    options: dict[str, Any] = {"steps": epochs * a_pass, "every": a_pass, "threads": 0}
    train(parts, losses, out / "paper.checkpoint.pt", recipe, watch, clip=np.inf, **options)
    torch.save(network.cpu().state_dict(), out / "paper.pth")
    return out / "paper.pth"


def shifted(maps: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Roll each map (n, s, s) along its diagonal by a random number of cells."""
    by = rng.integers(maps.shape[1], size=len(maps))
    return np.stack([np.roll(a_map, (cells, cells), (0, 1)) for a_map, cells in zip(maps, by, strict=True)])


def _simulated(seed: int, first: int, watch: Watch, total: int) -> NDArray[np.float16]:
    """Draw noisy maps (n, 256, 256) of known families: fifty from `first` on, or as many as are left of the total."""
    rng, n = np.random.default_rng([seed, 0, first]), min(50, total - first)
    statistics = Statistics.draw(n, rng)
    drawn = (draw(str(family), rng) for family in rng.choice(KNOWN, n))
    clean = [reduced_g1_squared(known, 1.0, MAP_SIZE, [rng.uniform(0, 180)], oversample=1) for known in drawn]
    shape = (statistics.contrast[:, None, None] * np.concatenate(clean)).astype(np.float32)
    pixels = np.maximum(statistics.n_pixels, MAP_SIZE + 1)
    maps = noisy(shape, n_pixels=pixels, n_frames=statistics.n_frames, counts=statistics.counts, rng=rng)[:, 0]
    watch("simulating", first + n, total, {})
    return maps.astype(np.float16)
