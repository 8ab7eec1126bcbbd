"""gpCAM chooses where to measure next: where the embeddings are least certain, for the travel it takes."""

import uuid

import numpy as np
from gpcam import GPOptimizer
from scipy.stats import qmc

FIRST = 4  # exposures before the first Gaussian process
COMPONENTS = 2  # principal components of the embeddings, one Gaussian process each
NOISE = 0.05  # variance of a component, of its variance over the sample
TRAVEL = 2.0  # exposures that a way across the sample takes
PLACES = 400  # random places that are compared


class GpcamPolicy:
    """An optimizer of bluesky-adaptive."""

    def __init__(self, bounds):
        self._names, limits = list(bounds), np.array(list(bounds.values()))
        self._low, self._width = limits[:, 0], np.ptp(limits, axis=1)
        self._sobol, self._rng = qmc.Sobol(len(limits), seed=0), np.random.default_rng(0)
        self._seen, self._asked = {}, {}  # positions on the unit cube, by id

    def suggest(self, num_points=None):
        """Return the next positions."""
        suggestions = []
        for _ in range(num_points or 1):
            at = self._sobol.random(1)[0] if len(self._seen) < FIRST else self._least_certain()
            self._asked[id := uuid.uuid4().hex] = at
            position = dict(zip(self._names, (self._low + self._width * at).tolist(), strict=True))
            suggestions.append({"_id": id, **position, "reason": "gpCAM is least certain here"})
        return suggestions

    def ingest(self, points):
        """Learn the embeddings of measured positions."""
        for point in points:
            at = (np.array([point[name] for name in self._names]) - self._low) / self._width
            self._seen[point["_id"]] = at, point["embedding"]
            self._asked.pop(point["_id"], None)

    def _least_certain(self):
        positions, embeddings = zip(*self._seen.values(), strict=True)
        u, s, _ = np.linalg.svd(np.array(embeddings) - np.mean(embeddings, axis=0), full_matrices=False)
        components = (u * s)[:, :COMPONENTS]
        components /= components.std(axis=0) + 1e-9
        at = np.array([*positions, *self._asked.values()])
        unknown = np.zeros(len(self._asked))  # the mean: asked for, not measured yet
        places = self._rng.random((PLACES, at.shape[1]))
        variance = np.zeros(PLACES)
        for component in components.T:
            y = np.concatenate([component, unknown])
            gp = GPOptimizer(at, y, np.array([1.0, *[0.2] * at.shape[1]]), noise_variances=np.full(len(y), NOISE))
            ranges = np.array([[0.1, 10.0], *[[0.03, 2.0]] * at.shape[1]])  # of the signal, and of the lengths
            gp.train(hyperparameter_bounds=ranges, method="local", n_restarts=1, max_iter=20)
            variance += gp.evaluate_acquisition_function(places, acquisition_function="variance")
        travel = TRAVEL * np.linalg.norm(places - at[-1], axis=1)
        return places[(variance / (1 + travel)).argmax()]
