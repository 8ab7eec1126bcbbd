"""The training loop: checkpoints, a learning rate that comes down, and as many processes as torchrun starts."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ainerd.latent._weights import ModelError
from ainerd.latent.training._network import Network
from ainerd.latent.training._objective import Batch, Objective

_WARM_UP, _COOL_DOWN = 200, 0.3
_CHECKPOINT_EVERY = 200
Watch = Callable[[str, int, int, dict[str, float]], None]


@contextmanager
def processes() -> Iterator[tuple[int, int]]:
    """Which process this is, of how many: ``torchrun`` says it; one alone without."""
    n = int(os.environ.get("WORLD_SIZE", 1))
    if n == 1:
        yield 0, 1
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield distributed.get_rank(), n
    finally:
        distributed.destroy_process_group()


def trained(
    network: Network,
    objective: Objective,
    checkpoint: Path,
    recipe: dict[str, Any],
    *,
    learning_rate: float,
    process: tuple[int, int],
    watch: Watch,
) -> Network:
    """Train a network, in training mode, for `recipe["steps"]` steps.

    Each process draws batches of its own and the gradients are averaged, so that n processes see n times the maps
    in a step. What is interrupted goes on at the last checkpoint, which every process reads and the first writes;
    ModelError if it is of another recipe. `process` says which this is, of how many.
    """
    steps, seed, (rank, n) = recipe["steps"], recipe["seed"], process
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=1e-3, betas=(0.9, 0.98), fused=True)
    start = resume(checkpoint, recipe, network=network, optimizer=optimizer)
    step_of = _Step(network, objective)
    loss_of: nn.Module = DistributedDataParallel(step_of) if n > 1 else step_of
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    mean: dict[str, float] = {}
    with ThreadPoolExecutor(2) as pool:  # one thread trains, two draw noise
        ahead = [pool.submit(objective.batch, step * n + rank) for step in range(start, min(start + 3, steps))]
        for step in range(start, steps):
            batch = ahead.pop(0).result()
            if step + 3 < steps:
                ahead.append(pool.submit(objective.batch, (step + 3) * n + rank))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * _pace(step, steps)
            batch = Batch(**{name: tensor.to(device) for name, tensor in vars(batch).items()})
            # Of its own seed, so that a run that was interrupted goes on the same.
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step * n + rank)
            loss, watched = loss_of(batch, generator)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            mean = {name: 0.98 * mean.get(name, value) + 0.02 * value for name, value in watched.items()}
            watch("training", step + 1, steps, mean)
            if rank == 0 and ((step + 1) % _CHECKPOINT_EVERY == 0 or step + 1 == steps):
                keep(checkpoint, recipe, step + 1, network=network, optimizer=optimizer)
    torch.set_num_threads(threads)
    return network.cpu().eval()


class _Step(nn.Module):
    """What one step computes, as one module: so that gradients of several processes are averaged as they come."""

    def __init__(self, network: Network, objective: Objective) -> None:
        super().__init__()
        self.network, self._objective = network, objective

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return self._objective.loss(self.network, batch, generator)


def _pace(step: int, steps: int) -> float:
    """Learning rate over its largest: a warm-up, a plateau, and a linear descent to a hundredth."""
    left = (steps - step) / (_COOL_DOWN * steps)
    return min(1.0, (step + 1) / _WARM_UP, 0.01 + 0.99 * left)


def keep(checkpoint: Path, recipe: dict[str, Any], step: int, **parts: Any) -> None:
    """Write the state of the parts; it goes on at `step`."""
    state = {name: part.state_dict() for name, part in parts.items()} | {"step": step, "recipe": recipe}
    torch.save(state, checkpoint.with_suffix(".part"))
    checkpoint.with_suffix(".part").replace(checkpoint)


def resume(checkpoint: Path, recipe: dict[str, Any], **parts: Any) -> int:
    """Take up what `keep` wrote, if it did, and say at which step to go on; ModelError if of another recipe."""
    if not checkpoint.exists():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    if state["recipe"] != recipe:
        raise ModelError(f"{checkpoint}: of another recipe ({state['recipe']}); remove it, or choose another folder")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])
