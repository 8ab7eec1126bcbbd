"""Latent vectors: how well they separate regimes, give parameters and denoise maps, beside other encoders.

runs     Points of whole exposures: whether those of one truth are together, and apart from others. Truths are of every
         family in `ainerd_xpcs.dynamics`, the held-out ones among them; an exposure of a truth has parameters within a
         quarter, events at any time, an azimuth and a contrast (.1 to .3) of its own, 250 to 2500 photons a pixel, and
         570 pixels in each of 18 bins. A campaign has three to six regions, of one truth each and of different
         families, with one to ten exposures each. ``--quick`` takes few truths.
maps     Maps of a run of 5000 frames, 570 pixels a bin, contrast .1 to .3, of all families; flows are seen within 50
         degrees of their direction. Nearest neighbours use the latent vectors as they are, or standardised,
         whichever is better for the encoder. The published network, with AINERD_REFERENCE_DATA set, sees .1 photons
         only, for it takes seconds a map set.
denoise  Squared errors of decoded and denoised maps, in units of the contrast, and how many `denoise` makes worse
         on the same maps.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.spatial.distance import pdist, squareform
from sklearn.linear_model import RidgeCV
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ainerd.novelty import find_regimes
from ainerd_train import variant
from ainerd_xpcs.dynamics import HELD_OUT, KNOWN, Dynamics, clean_exposure, clock, draw, rate_factor, reduced_g1_squared
from ainerd_xpcs.latent import Encoder, from_unit
from studies._tools import Row, Study, report

N_PIXELS, N_FRAMES, FINE, COARSE, BINS = 570, 5000, 256, 64, 18
CONTRASTS, PHOTONS = (0.1, 0.3), (250.0, 2500.0)
LEVELS = (0.05, 0.1, 0.5)
ENOUGH = 0.1  # photons per pixel at which the published network is measured
FAMILIES = (*KNOWN, *sorted(HELD_OUT))
LEAST = {"ARI known": 0.95, "ARI with held-out": 0.9, "same-or-other AUC": 0.99}  # of the encoder of runs
PARAMETERS = ("log tau", "exponent", "ageing", "fringe frequency", "plateau")
# Within this angle of the flow: across it there are no fringes, and the map is one of another family.
ALONG_DEG = 50.0
Maps = NDArray[np.float32]
Cell = tuple[str, str, float]  # measure, encoder, value

study = Study(__doc__)


@study.part
def runs(quick: bool = False) -> None:
    """Measure points of exposures."""
    encoders = {name: Encoder.load(name) for name in ("run", "pca", "ours")}
    truths, campaigns = (3, 60) if quick else (10, 200)
    rng = np.random.default_rng(2026)
    family = np.repeat(np.arange(len(FAMILIES)), 10 * truths)
    truth = np.arange(len(family)) // 10
    points = exposures(encoders, truths, rng)
    worth = {
        name: measures(points[name], family, truth, encoder.scatter, campaigns) for name, encoder in encoders.items()
    }
    rows = [
        {"measure": measure, **{name: worth[name][measure] for name in encoders}, "least": LEAST.get(measure, np.nan)}
        for measure in worth["run"]
    ]
    report("latent_runs", rows, least={"run": "least"}, truths=truths, exposures=len(truth), campaigns=campaigns)


@study.part
def maps(seeds: int = 3, each: int = 80, ours: str = "ours") -> None:
    """Measure latent vectors of `each` maps of a family; ``--ours`` is a weight file instead of the shipped one."""
    encoders = {"ours": Encoder.load(ours), "pca": Encoder.load("pca")}
    reference = Path(os.environ.get("AINERD_REFERENCE_DATA", "/nowhere"))
    weights, target = reference / "published_autoencoder_state_dict.pth", reference / "published_target_c2.npy"
    every = encoders | ({"published": Encoder.load(weights)} if weights.exists() else {})
    cells, probed = list[Cell](), list[tuple[dict[str, Maps], LabelledMaps]]()
    for seed in range(seeds):
        for level in LEVELS:
            data = labelled(each, level, np.random.default_rng([seed, round(1000 * level)]))
            used = every if level == ENOUGH else encoders
            z = {name: encoder.encode(data.maps) for name, encoder in used.items()}
            cells += regimes(z, data, level)
            if level == ENOUGH:
                probed.append((z, data))
    cells += probes(probed)
    for name, encoder in every.items():
        if target.exists():
            c2 = from_unit(np.load(target))[None]
            rest = np.square(encoder.decode(encoder.encode(c2)) - c2).mean()
            cells.append(("explained variance, measured map", name, 1 - rest / c2.var()))
    report("latent", table(cells), least={"ours": "pca"}, seeds=seeds, each=each, families=list(FAMILIES))


@study.part
def denoise(seeds: int = 3, each: int = 80, ours: str = "ours") -> None:
    """Measure squared errors of denoised maps; options as for maps."""
    encoders, cells = {"ours": Encoder.load(ours), "pca": Encoder.load("pca")}, list[Cell]()
    for seed in range(seeds):
        for level in (level for level in LEVELS if level != ENOUGH):
            data = labelled(each, level, np.random.default_rng([seed, round(1000 * level)]))
            for name, encoder in encoders.items():
                cells += ((f"{what}, {level:g}", name, value) for what, value in errors(encoder, data).items())
    report("latent_denoise", table(cells), most={"ours": "pca"}, seeds=seeds, each=each, families=list(FAMILIES))


def table(cells: Iterable[Cell]) -> list[Row]:
    """Return a row for each measure: the mean of its values for each encoder, and the spread of ours over seeds."""
    of_measure: dict[str, dict[str, list[float]]] = {}
    for measure, encoder, value in cells:
        of_measure.setdefault(measure, {}).setdefault(encoder, []).append(float(value))
    names = dict.fromkeys(name for values in of_measure.values() for name in values)
    return [
        {"measure": measure}
        | {name: f"{np.mean(values[name]):.4f}" if name in values else "–" for name in names}
        | {"± seeds": f"{np.std(values['ours']):.4f}" if len(values["ours"]) > 1 else "–"}
        for measure, values in of_measure.items()
    ]


# maps of known origin


@dataclass
class LabelledMaps:
    """Noisy maps (n, 256, 256), and |g1|² (n, 64, 64), index in `FAMILIES`, contrast and parameters of each.

    `parameters` (n, 5) has the columns `PARAMETERS`, with NaN where a family has none.
    """

    maps: Maps
    shape: Maps
    family: NDArray[np.int64]
    contrast: NDArray[np.float32]
    parameters: NDArray[np.float64]

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Whether each map is of a family that no encoder was trained on."""
        return self.family >= len(KNOWN)


def labelled(n: int, counts: float, rng: np.random.Generator) -> LabelledMaps:
    """Draw n maps of each family at `counts` photons per pixel and frame."""
    kinds = np.repeat(FAMILIES, n).tolist()
    maps, shape, known = np.empty((len(kinds), FINE, FINE), np.float32), [], []
    contrast = rng.uniform(*CONTRASTS, len(kinds)).astype(np.float32)
    for i, kind in enumerate(kinds):
        dynamics, phi, truth = truth_of(kind, rng)
        maps[i] = measured(contrast[i] * truth, counts, rng)
        shape.append(block_mean(truth))
        known.append(parameters(dynamics, phi))
    family = np.repeat(np.arange(len(FAMILIES)), n)
    return LabelledMaps(maps, np.array(shape, np.float32), family, contrast, np.array(known))


def truth_of(family: str, rng: np.random.Generator) -> tuple[Dynamics, float, NDArray[np.float64]]:
    """Draw dynamics of a family and an azimuth, and return both with |g1|² at 256 px of an exposure of 1 s.

    Where there are fringes |g1|² is averaged over a bin of 20 degrees.
    """
    dynamics = draw(family, rng)
    away = rng.uniform(-ALONG_DEG, ALONG_DEG) if dynamics.is_heterodyne else rng.uniform(0, 180)
    phi = dynamics.flow_deg + away
    across = np.linspace(-8.75, 8.75, 8) if dynamics.is_heterodyne else [0.0]
    seen = [reduced_g1_squared(dynamics, 1.0, FINE, [phi + a], oversample=1)[0] for a in across]
    return dynamics, phi, np.mean(seen, axis=0)


def block_mean(maps: NDArray) -> NDArray:
    """Average maps of 256 px to 64 px."""
    return maps.reshape(*maps.shape[:-2], COARSE, 4, COARSE, 4).mean((-3, -1))


def measured(signal: NDArray[np.float64], counts: float, rng: np.random.Generator) -> Maps:
    """Return C2 of `N_PIXELS` Gaussian pixels of covariance beta |g1|² + shot noise, less its Poisson diagonal."""
    diagonal = np.arange(FINE)
    shot = FINE / (N_FRAMES * counts)
    covariance = signal.copy()
    covariance[diagonal, diagonal] += shot
    factor = np.tril(rng.standard_normal((FINE, FINE), dtype=np.float32), -1)
    factor[diagonal, diagonal] = np.sqrt(rng.chisquare(N_PIXELS - diagonal))
    factor = np.linalg.cholesky(covariance + 1e-9 * np.eye(FINE)).astype(np.float32) @ factor
    c2 = factor @ factor.T / np.float32(N_PIXELS)
    c2[diagonal, diagonal] -= shot
    return c2 + 1


def parameters(dynamics: Dynamics, phi_deg: float) -> list[float]:
    """Return minus log mean rate; exponent; log of the first rate over the last; log turns; plateau."""
    name, nan = dynamics.family, np.nan
    s = clock(dynamics, [0.0, 0.02, 0.98, 1.0]) * rate_factor(dynamics, [phi_deg])[0]
    turns = abs(dynamics.flow_rad_s * np.cos(np.deg2rad(phi_deg - dynamics.flow_deg))) / 2 / np.pi
    return [
        -np.log(s[3]) if name in ("fluid", "slow", "arrested", "flow") else nan,
        dynamics.exponent if name in ("fluid", "slow", "ageing", "arrested") else nan,
        np.log((s[1] - s[0]) / (s[3] - s[2])) if name in ("slow", "ageing", "beam") else nan,
        np.log(turns) if name == "flow" else nan,
        dynamics.plateau if name in ("fluid", "arrested") else nan,
    ]


# measures of maps


def regimes(z: dict[str, Maps], data: LabelledMaps, level: float) -> Iterator[Cell]:
    """Measure the accuracy of five neighbours."""
    for name, vectors in z.items():
        right = max((neighbours(v, data.family) for v in views(vectors)), key=np.mean)
        yield f"5-NN accuracy, held out, {level:g}", name, right[data.held_out].mean()
        yield f"5-NN accuracy, all, {level:g}", name, right.mean()


def views(z: NDArray) -> tuple[NDArray, NDArray]:
    """Return vectors in units of the overall spread, and with each column in units of its own."""
    z = z - z.mean(0)
    return z / z.std(), z / np.maximum(z.std(0), 1e-6)


def neighbours(z: NDArray, family: NDArray) -> NDArray[np.bool_]:
    """Return whether most of the five nearest others are of a map's family."""
    near = NearestNeighbors(n_neighbors=6).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    votes = (family[near][:, :, None] == np.arange(len(FAMILIES))).sum(1)
    return votes.argmax(1) == family


def probes(probed: list[tuple[dict[str, Maps], LabelledMaps]]) -> Iterator[Cell]:
    """Measure the cross-validated R² of ridge regression on the latent vectors."""
    known = np.concatenate([data.family for _, data in probed]) < len(KNOWN)
    wanted = dict(zip(PARAMETERS, np.concatenate([data.parameters for _, data in probed]).T, strict=True))
    wanted["contrast"] = np.where(known, np.concatenate([data.contrast for _, data in probed]), np.nan)
    for parameter, y in wanted.items():
        there = np.isfinite(y)
        for name in probed[0][0]:
            vectors = np.concatenate([z[name] for z, _ in probed])[there]
            probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))
            predicted = cross_val_predict(probe, vectors, y[there], cv=KFold(5, shuffle=True, random_state=0))
            yield f"R² {parameter}", name, 1 - np.square(predicted - y[there]).mean() / y[there].var()


def errors(encoder: Encoder, data: LabelledMaps) -> dict[str, float]:
    """Return squared errors of decoded and of denoised maps over those of the noisy ones, and how many are worse."""
    contrast = data.contrast[:, None, None]
    before, decoded, denoised = (
        np.square((maps - 1) / contrast - data.shape).mean((1, 2))
        for maps in (
            block_mean(data.maps),
            encoder.decode(encoder.encode(data.maps), size=64),
            encoder.denoise(data.maps, size=64),
        )
    )
    out = {}
    for name, which in (("known", ~data.held_out), ("held out", data.held_out)):
        out[f"decode(encode), {name}"] = float(decoded[which].mean() / before[which].mean())
        out[f"denoise, {name}"] = float(denoised[which].mean() / before[which].mean())
    worse = {"made worse, share": (denoised > before).mean(), "made worse, at most": (denoised / before).max()}
    return out | {name: float(value) for name, value in worse.items()}


# points of exposures


def exposures(encoders: dict[str, Encoder], truths: int, rng: np.random.Generator) -> dict[str, Maps]:
    """Return points of ten exposures of each truth of every family, for each encoder."""
    points: dict[str, list[Maps]] = {name: [] for name in encoders}
    for kind in track(np.repeat(FAMILIES, truths), "exposures"):
        dynamics = draw(str(kind), rng)
        for _ in range(10):
            maps = exposure(variant(dynamics, rng), rng)
            for name, encoder in encoders.items():
                points[name].append(encoder.encode_run(maps))
    return {name: np.stack(p) for name, p in points.items()}


def exposure(dynamics: Dynamics, rng: np.random.Generator) -> Maps:
    """Return maps (18, 64, 64) of an exposure of 1 s, covariances of Gaussian pixels."""
    contrast = rng.uniform(*CONTRASTS)
    photons = np.exp(rng.uniform(*np.log(PHOTONS)))
    clean = contrast * clean_exposure(dynamics, rng.uniform(0, 360) + 20.0 * np.arange(BINS)).astype(float)
    shot = COARSE / photons * np.eye(COARSE)
    root = np.linalg.cholesky(clean + shot + 1e-6 * np.eye(COARSE))
    pixels = np.broadcast_to(root, (BINS, COARSE, COARSE)) @ rng.standard_normal((BINS, COARSE, N_PIXELS))
    return (1 + pixels @ pixels.swapaxes(1, 2) / N_PIXELS - shot).astype(np.float32)


def campaigns(family: NDArray, truth: NDArray, families: Sequence[int], n: int, seed: int) -> list[tuple[NDArray, ...]]:
    """Draw campaigns of regions of these families."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(n):
        which = [
            rng.permutation(np.flatnonzero(truth == rng.choice(np.unique(truth[family == kind]))))
            for kind in rng.choice(families, rng.integers(3, 7), replace=False)
        ]
        which = [members[: rng.integers(1, min(len(members), 10) + 1)] for members in which]
        out.append((np.concatenate(which), np.repeat(np.arange(len(which)), [len(members) for members in which])))
    return out


def measures(z: Maps, family: NDArray, truth: NDArray, scatter: float, n: int) -> dict[str, float]:
    """Return the measures of the points (m, d) of an encoder with this `scatter`."""
    out: dict[str, float] = {}
    covered = []
    for name, families, seed in (("known", range(len(KNOWN)), 2), ("with held-out", range(len(FAMILIES)), 3)):
        agreement, off = [], []
        for which, region in campaigns(family, truth, families, n, seed):
            grouping, regions = find_regimes(z[which], width=3 * scatter), region.max() + 1
            agreement.append(adjusted_rand_score(region, grouping.labels))
            off.append(abs(len(np.unique(grouping.labels)) - regions))
            covered.append(grouping.supported_range[0] <= regions <= grouping.supported_range[1])
        out[f"ARI {name}"], out[f"regimes off by, {name}"] = float(np.mean(agreement)), float(np.mean(off))
    out["range covers the truth"] = float(np.mean(covered))
    same = squareform(truth[:, None] == truth, checks=False)
    other = squareform(family[:, None] != family, checks=False)
    apart = pdist(z)
    is_same = np.r_[np.ones(same.sum()), np.zeros(other.sum())]
    out["same-or-other AUC"] = roc_auc_score(is_same, -np.r_[apart[same], apart[other]])
    out["others within the nearest 95 % of same"] = (apart[other] < np.quantile(apart[same], 0.95)).mean()
    half = np.isin(truth, np.unique(truth)[::2])
    right = KNeighborsClassifier(5).fit(z[half], family[half]).predict(z[~half]) == family[~half]
    out["5-NN family, other truths"] = right.mean()
    return out


if __name__ == "__main__":
    study()
