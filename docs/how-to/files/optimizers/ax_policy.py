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

    The rarity of an exposure is the distance of its embedding to the nearest other one; it changes with every result.
    """

    def __init__(self, bounds):
        self._bounds, self._sobol = dict(bounds), qmc.Sobol(len(bounds), seed=0)
        knobs = [RangeParameterConfig(name=name, bounds=b, parameter_type="float") for name, b in bounds.items()]
        self._ax = AxOptimizer(knobs, objective="rarity")
        options = {"model_gen_options": {"optimizer_kwargs": SEARCH}}
        model = GeneratorSpec(Generators.BOTORCH_MODULAR, generator_gen_kwargs=options)
        node = GenerationNode("model", generator_specs=[model])
        self._ax.ax_client.set_generation_strategy(GenerationStrategy(nodes=[node]))
        self._trials, self._seen = {}, {}  # numbers of Ax, by id; embeddings, by these numbers
        self._known = {}  # rarities that Ax knows

    def suggest(self, num_points=None):
        """Return the next positions."""
        suggestions = []
        for _ in range(num_points or 1):
            if len(self._seen) < FIRST:
                at = qmc.scale(self._sobol.random(1), *np.array(list(self._bounds.values())).T)[0]
                (suggestion,) = self._ax.register_suggestions([dict(zip(self._bounds, at.tolist(), strict=True))])
            else:
                (suggestion,) = self._ax.suggest(1)
            id = uuid.uuid4().hex  # Ax counts from 0 in every session
            self._trials[id] = suggestion["_id"]
            position = {name: float(suggestion[name]) for name in self._bounds}
            suggestions.append({"_id": id, **position, "reason": "Ax expects an embedding here that is unlike others"})
        return suggestions

    def ingest(self, points):
        """Learn the embeddings of measured positions."""
        for point in points:
            if point["_id"] not in self._trials:  # asked for by a person, or of an earlier session
                position = {name: float(point[name]) for name in self._bounds}
                (suggestion,) = self._ax.register_suggestions([position])
                self._trials[point["_id"]] = suggestion["_id"]
            self._seen[self._trials[point["_id"]]] = point["embedding"]
        if len(self._seen) > 1:
            apart = cdist([*self._seen.values()], [*self._seen.values()])
            np.fill_diagonal(apart, np.inf)
            for trial, rarity in zip(self._seen, apart.min(axis=1).tolist(), strict=True):
                if trial not in self._known:
                    self._ax.ax_client.complete_trial(trial, raw_data={"rarity": rarity})
                elif rarity < self._known[trial]:
                    self._ax.ax_client.attach_data(trial, raw_data={"rarity": rarity})
                self._known[trial] = rarity
