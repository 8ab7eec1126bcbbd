"""The brightness of each frame, and its changes: a small technique."""

import numpy as np

from ainerd.config import Section, read_section
from ainerd.novelty import find_regimes
from ainerd.technique import Analysis, AnalysisError, RunAnalysis, Series, Technique


class ToySettings(Section):
    unit: str = "run"  # "event", "run", or else the key of the start document by which a series is known
    usual_counts: list[float] = []  # mean counts of runs that are not novel
    alpha: float = 0.05


class Toy(Technique):
    name, embedding_size, regime_width = "toy", 4, 3.0

    def __init__(self, unit="run", usual_counts=(), alpha=0.05):
        self.unit = unit if unit in ("event", "run") else Series(unit)
        self.usual_counts, self.alpha = list(usual_counts), alpha

    @classmethod
    def from_settings(cls, section, folder):
        return cls(**read_section(ToySettings, section, cls.name).model_dump())

    @property
    def parameters(self):
        return {"technique": self.name, "version": 1, "unit": str(self.unit), "usual_counts": self.usual_counts}

    def begin(self, run):
        return Trajectory(self, run.frame_shape)

    def regimes(self, embeddings, previous=None):
        return find_regimes(embeddings, previous, width=self.regime_width)


class Trajectory(RunAnalysis):
    def __init__(self, toy, frame_shape):
        self.toy, self.pixels, self.means = toy, np.arange(frame_shape[0] * frame_shape[1]), []

    def push(self, block, first):
        self.means += block.mean(axis=1, dtype=float).tolist()

    def finish(self):
        counts = np.array(self.means)
        if not np.isfinite(counts).all() or not counts.sum() > 0:
            raise AnalysisError(f"{counts.size} frames without finite counts: is the shutter open?")
        mean, slope = counts.mean(), np.polyfit(np.arange(counts.size), counts, 1)[0] if counts.size > 1 else 0.0
        usual = np.array(self.toy.usual_counts)
        far = np.abs(usual - np.median(usual)) >= abs(mean - np.median(usual)) if usual.size else []
        return Analysis(
            embedding=np.array([*np.quantile(counts, [0.1, 0.5, 0.9]), slope], np.float32),
            novelty_p=(1 + sum(far)) / (1 + usual.size) if usual.size else None,
            arrays={"trajectory": counts}, dims={"trajectory": ("frame",)},
            summary={"counts": mean, "slope": slope}, units={"counts": "1", "slope": "1/frame", "trajectory": "1"},
            calibration={"n": usual.size, "alpha": self.toy.alpha},
        )  # fmt: skip
