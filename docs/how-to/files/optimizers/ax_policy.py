"""Ax, as blop drives it, chooses where to measure next: where an embedding unlike all others is expected."""

import uuid

import numpy as np
from ax import RangeParameterConfig
from ax.adapter.registry import Generators
from ax.generation_strategy.generation_node import GenerationNode
from ax.generation_strategy.generation_strategy import GenerationStrategy
from ax.generation_strategy.generator_spec import GeneratorSpec
from blop.ax.optimizer import AxOptimizer
from scipy.spatial.distance import cdist
from scipy.stats import qmc

FIRST = 5  # exposures before the first Gaussian process
SEARCH = {"num_restarts": 4, "raw_samples": 128, "options": {"maxiter": 50}}  # of the acquisition function


class AxPolicy:
    """An optimizer of bluesky-adaptive.

    The rarity of an exposure is the distance of its embedding to the nearest other one. It changes with every result,
    so that Ax gets all results anew.
    """

    def __init__(self, bounds):
        self._bounds, self._sobol = dict(bounds), qmc.Sobol(len(bounds), seed=0)
        self._seen, self._asked = {}, {}  # positions by name, by id

    def suggest(self, num_points=None):
        """Return the next positions."""
        suggestions = []
        for _ in range(num_points or 1):
            if len(self._seen) < FIRST:
                at = qmc.scale(self._sobol.random(1), *np.array(list(self._bounds.values())).T)[0]
                position = dict(zip(self._bounds, at.tolist(), strict=True))
            else:
                position = self._rarest()
            self._asked[id := uuid.uuid4().hex] = position
            suggestions.append({"_id": id, **position, "reason": "Ax expects an embedding here that is unlike others"})
        return suggestions

    def ingest(self, points):
        """Learn the embeddings of measured positions."""
        for point in points:
            self._seen[point["_id"]] = {name: float(point[name]) for name in self._bounds}, point["embedding"]
            self._asked.pop(point["_id"], None)

    def _rarest(self):
        positions, embeddings = zip(*self._seen.values(), strict=True)
        apart = cdist(embeddings, embeddings)
        np.fill_diagonal(apart, np.inf)
        ax = AxOptimizer(
            [RangeParameterConfig(name=n, bounds=b, parameter_type="float") for n, b in self._bounds.items()], "rarity"
        )
        model = GeneratorSpec(
            Generators.BOTORCH_MODULAR, generator_gen_kwargs={"model_gen_options": {"optimizer_kwargs": SEARCH}}
        )
        ax.ax_client.set_generation_strategy(
            GenerationStrategy(nodes=[GenerationNode("model", generator_specs=[model])])
        )
        ax.ingest([{**at, "rarity": float(x)} for at, x in zip(positions, apart.min(axis=1), strict=True)])
        ax.register_suggestions([*self._asked.values()])  # they are not suggested twice
        (suggestion,) = ax.suggest(1)
        return {name: float(suggestion[name]) for name in self._bounds}
