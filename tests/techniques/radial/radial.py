"""The scatter of counts in rings around the beam, while the temperature changes."""

import numpy as np

from ainerd.config import Section, read_section
from ainerd.novelty import find_regimes
from ainerd.technique import Analysis, AnalysisError, Common, Finding, Landmarks, RunAnalysis, Series, Technique


class RadialSettings(Section):
    center_px: tuple[float, float]
    ring_px: float = 2.0
    n_rings: int = 3
    temperature: str = "temperature"


class Radial(Technique):
    name = "radial"
    unit = Series("ramp")
    alpha = 0.05
    regime_width = 0.5

    def __init__(self, center_px, ring_px=2.0, n_rings=3, temperature="temperature"):
        self.center_px, self.ring_px, self.n_rings, self.temperature = tuple(center_px), ring_px, n_rings, temperature
        self.embedding_size = n_rings + 1

    @classmethod
    def from_settings(cls, section, folder):
        return cls(**read_section(RadialSettings, section, cls.name).model_dump())

    @property
    def parameters(self):
        about = {"center_px": list(self.center_px), "ring_px": self.ring_px, "n_rings": self.n_rings}
        return {"technique": self.name, "version": 1, "temperature": self.temperature, **about}

    def rings(self, frame_shape):
        """Ring of each pixel, -1 outside."""
        rows, columns = np.indices(frame_shape)
        radius = np.hypot(rows - self.center_px[0], columns - self.center_px[1])
        ring = (radius / self.ring_px).astype(int)
        return np.where(ring < self.n_rings, ring, -1).ravel()

    def begin(self, run):
        return Rings(self, run)

    def regimes(self, embeddings, previous=None):
        return find_regimes(embeddings, previous, width=self.regime_width)

    def landmarks(self):
        kinds = np.array([[0.0] * (self.n_rings + 1), [1.0] * self.n_rings + [0.0]], np.float32)
        return Landmarks(embeddings=kinds, names=["counting noise", "speckle"])

    def common(self):
        edges = self.ring_px * np.arange(self.n_rings + 1)
        return Common(instrument={"center_row_px": self.center_px[0]}, arrays={"edges": edges}, units={"edges": "px"})

    def check(self):
        yield Finding(
            "rings", f"{self.n_rings} of {self.ring_px:g} px", "" if self.n_rings > 1 else "make n_rings 2 or more"
        )

    def optimizer(self, bounds):
        return Halves(bounds)


class Rings(RunAnalysis):
    def __init__(self, technique, run):
        self.technique = technique
        self.next_run(run)
        ring = technique.rings(run.frame_shape)
        self.pixels = np.flatnonzero(ring >= 0)
        self.ring = ring[self.pixels]
        if np.unique(self.ring).size < technique.n_rings:
            raise AnalysisError(f"frames of {run.frame_shape} have no pixel in some ring around {technique.center_px}")
        self.variance = []

    def next_run(self, run):
        self.readings = run.readings

    def push(self, block, first):
        block = block.astype(float)
        self.variance += list(
            np.stack([block[:, self.ring == k].var(axis=1) for k in range(self.technique.n_rings)], axis=1)
        )

    def finish(self):
        if not self.variance:
            raise AnalysisError("no frame came")
        variance = np.array(self.variance)
        temperature = self.readings.of_frames(self.technique.temperature)
        if temperature.size != len(variance) or not np.isfinite(temperature).any():
            raise AnalysisError(f"{self.technique.temperature!r} was not read: give the device to the plan")
        if not np.isfinite(variance).all():
            raise AnalysisError("frames hold counts that are not finite")
        scatter = np.log1p(variance).astype(np.float32)
        span = float(np.ptp(temperature[np.isfinite(temperature)]))
        change = float(np.abs(np.diff(scatter.mean(axis=1))).max()) if len(scatter) > 1 else 0.0
        return Analysis(
            embedding=np.array([*scatter.mean(axis=0), change], np.float32),
            novelty_p=None,
            arrays={
                "variance": variance,
                "temperature": temperature,
                "radius": self.technique.ring_px * (0.5 + np.arange(self.technique.n_rings)),
            },
            dims={"variance": ("frame", "ring"), "temperature": ("frame",), "radius": ("ring",)},
            summary={"span": span, "change": change, "hottest_ring": str(scatter.mean(axis=0).argmax())},
            units={"span": "K", "change": "1", "radius": "px", "temperature": "K"},
        )


class Halves:
    """Halves the widest gap between positions, along every actuator at once."""

    def __init__(self, bounds):
        self.bounds, self.parts = dict(bounds), [0.0, 1.0]

    def suggest(self, n=None):
        suggestions = []
        for _ in range(n or 1):
            known = np.sort(self.parts)
            widest = np.diff(known).argmax()
            self.parts.append(known[widest : widest + 2].mean())
            at = {name: low + self.parts[-1] * (high - low) for name, (low, high) in self.bounds.items()}
            suggestions.append({**at, "reason": "the middle of the widest gap"})
        return suggestions

    def ingest(self, points):
        pass
