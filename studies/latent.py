"""What latent vectors tell of regimes and parameters, and how well maps are denoised, ours against others.

Maps of a run of 5000 frames, 570 pixels a bin, contrast 0.1 to 0.3, of all families in `ainerd.dynamics`; flows are
seen within 50 degrees of their direction. Nearest neighbours and mixtures see the latent vectors as they are, or
standardised, whichever serves the representation better. The mixture has as many Gaussians as there are families, and
the kind of covariance that BIC chooses. What is measured of whole exposures is said in `studies._latent_runs`;
``--quick`` measures that alone, on few truths. Squared errors are in units of the contrast. The published network (with
AINERD_REFERENCE_DATA set) and the paper's recipe see 0.1 photons only, for they take seconds a map set.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ainerd.dynamics import KNOWN
from ainerd.dynamics._corpus import Statistics, known_maps, noisy
from ainerd.latent import Encoder, PcaEncoder, from_unit
from ainerd.latent.training import PcaFit
from ainerd.threads import one_thread
from studies._latent_denoised import bias, made_worse
from studies._latent_maps import FAMILIES, PARAMETERS, LabelledMaps, measured
from studies._latent_runs import Exposures, measures, stability
from studies._report import FOLDER, report

LEVELS = (0.05, 0.1, 0.5)
ENOUGH = 0.1  # photons per pixel at which networks that take 256 px are measured
NEAREST = 50
# What an encoder like ours reached in a first study, on other families.
FIRST_STUDY = {
    "5-NN accuracy, held out, .05": 0.935,
    "5-NN accuracy, held out, .1": 0.915,
    "5-NN accuracy, held out, .5": 0.925,
    "5-NN accuracy, all, .05": 0.954,
    "5-NN accuracy, all, .1": 0.949,
    "5-NN accuracy, all, .5": 0.956,
    "GMM ARI, all, .1": 0.75,
    "GMM ARI, known, .1": 0.93,
    "R² log tau": 0.93,
    "R² exponent": 0.84,
    "R² ageing": 0.91,
    "R² fringe frequency": 0.97,
    "R² contrast": 0.96,
    "R² plateau": 0.80,
    "squared error / noisy, known, .05": 0.0021 / 0.0103,
    "squared error / noisy, held out, .05": 0.0181 / 0.0106,
    "retrieval among 1000, .05": 0.63,
    "explained variance, measured map": 0.887,
    "18 maps, ms": 7.5,
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--each", type=int, default=80, help="maps of each family, at each level, for each seed")
    parser.add_argument("--ours", default="ours", help="a weight file instead of the shipped one")
    parser.add_argument("--paper", type=Path, help="weights of the paper's recipe, trained as long as ours")
    parser.add_argument("--fast", action="store_true", help="leave out the networks that take 256 px")
    parser.add_argument("--runs", action="store_true", help="whole exposures alone")
    parser.add_argument("--quick", action="store_true", help="whole exposures alone, and few")
    parser.add_argument("--denoise", action="store_true", help="what denoising makes better and worse, alone")
    arguments = parser.parse_args()
    if arguments.denoise:
        return by_denoising(Encoder.load(arguments.ours), arguments.seeds, arguments.each)
    whole_exposures(quick=arguments.quick)
    if arguments.runs or arguments.quick:
        return
    encoders = {"ours": Encoder.load(arguments.ours)} | baselines()
    reference = Path(os.environ.get("AINERD_REFERENCE_DATA", "/nowhere"))
    slow: dict[str, Encoder] = {}
    if (weights := reference / "published_autoencoder_state_dict.pth").exists() and not arguments.fast:
        slow["published"] = Encoder.load(weights)
    if arguments.paper and not arguments.fast:
        slow["paper recipe"] = Encoder.load(arguments.paper)
    table = Table(encoders | slow)

    probed: dict[str, list] = {}
    for seed in range(arguments.seeds):
        for level in LEVELS:
            rng = np.random.default_rng([seed, round(1000 * level)])
            data = LabelledMaps.drawn(arguments.each, level, rng, fine=bool(slow) and level == ENOUGH)
            z = {name: encoder.encode(data.maps) for name, encoder in encoders.items()}
            if data.fine is not None:
                z |= {name: encoder.encode(data.fine) for name, encoder in slow.items()}
            regimes(table, z, data, level)
            if level == ENOUGH:
                probed.setdefault("data", []).append(data)
                for name, vectors in z.items():
                    probed.setdefault(name, []).append(vectors)
            if level == LEVELS[0]:
                denoising(table, encoders, z, data, level)
            if level != ENOUGH:
                table.add_all(made_worse(encoders["ours"], data, level) | bias(encoders["ours"], level, rng))
        retrieval(table, encoders, seed)
        plausible(table, encoders, seed)
    probes(table, {name: np.concatenate(z) for name, z in probed.items() if name != "data"}, probed["data"])
    honesty(table, encoders)
    if (target := reference / "published_target_c2.npy").exists():
        measured_map(table, np.load(target))
    speed(table)
    report("latent", table.rows(), seeds=arguments.seeds, each=arguments.each, families=list(FAMILIES))


def by_denoising(encoder: Encoder, seeds: int, each: int) -> None:
    """Squared errors after and before, on the maps of the whole benchmark."""
    table = Table({"ours": encoder})
    for seed in range(seeds):
        for level in (level for level in LEVELS if level != ENOUGH):
            rng = np.random.default_rng([seed, round(1000 * level)])
            data = LabelledMaps.drawn(each, level, rng)
            denoising(table, table.encoders, {"ours": encoder.encode(data.maps)}, data, level)
            table.add_all(made_worse(encoder, data, level) | bias(encoder, level, rng))
    report("latent_denoise", table.rows(), seeds=seeds, each=each, families=list(FAMILIES))


def whole_exposures(*, quick: bool) -> None:
    """Points of exposures, and how well a map is found again under noise of other textures."""
    encoders = {name: Encoder.load(name) for name in ("run", "pca", "ours")}
    truths, campaigns, maps = (3, 60, 100) if quick else (10, 200, 300)
    rng = np.random.default_rng(2026)
    of = Exposures.drawn(encoders, truths, 10, rng)
    worth = {name: measures(of, name, encoder.scatter, n=campaigns) for name, encoder in encoders.items()}
    rows = [{"measure": measure} | {name: worth[name][measure] for name in encoders} for measure in worth["run"]]
    report("latent_runs", rows, truths=truths, exposures=len(of.truth), campaigns=campaigns)
    report("latent_noise", stability(encoders, maps, rng), maps=maps)


class Table:
    """Measures as rows, encoders as columns; several values of one cell are averaged."""

    def __init__(self, encoders: dict[str, Encoder]) -> None:
        self.encoders = encoders
        self.cells: dict[str, dict[str, list[float]]] = {}

    def add(self, measure: str, encoder: str, value: float) -> None:
        """One more value of a cell."""
        self.cells.setdefault(measure, {}).setdefault(encoder, []).append(float(value))

    def add_all(self, values: dict[str, float]) -> None:
        """One more value of several cells of ours."""
        for measure, value in values.items():
            self.add(measure, "ours", value)

    def rows(self) -> list[dict[str, Any]]:
        """For `report`; the spread over seeds is that of ours."""
        out = []
        for measure, cells in self.cells.items():
            row: dict[str, Any] = {"measure": measure}
            for name in (*self.encoders, "raw pixels"):
                row[name] = f"{np.mean(cells[name]):.4f}" if name in cells else "–"
            row["± seeds"] = f"{np.std(cells['ours']):.4f}" if len(cells.get("ours", ())) > 1 else "–"
            first = FIRST_STUDY.get(measure)
            out.append(row | {"first study": "–" if first is None else f"{first:.3f}"})
        return out


def baselines(n: int = 6000) -> dict[str, Encoder]:
    """Principal components of known exposures, each clean and noisy, as `ainerd train pca` fits them."""
    path = FOLDER / "latent_pca.npz"
    if not path.exists():
        rng, fit = np.random.default_rng(1234), PcaFit()
        for _ in range(n // 100):
            statistics = Statistics.drawn(100, rng)
            clean = statistics.contrast.astype(np.float32)[:, None, None] * known_maps(100, rng)
            fit.push(1 + clean)
            fit.push(
                noisy(
                    clean,
                    n_pixels=statistics.n_pixels,
                    n_frames=statistics.n_frames,
                    counts=statistics.counts,
                    rng=rng,
                )[:, 0]
            )
        mean, components = fit.finish(128)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, mean=mean, components=components)
    fitted = np.load(path)
    return {f"PCA-{k}": PcaEncoder(fitted["mean"], fitted["components"][:k], name=f"PCA-{k}") for k in (16, 64, 128)}


def regimes(table: Table, z: dict[str, NDArray], data: LabelledMaps, level: float) -> None:
    """Accuracy of five neighbours, and of a mixture that is told how many families there are."""
    at, known = f"{level:g}".lstrip("0"), ~data.held_out
    if level == ENOUGH:
        for name, vectors in {**z, "raw pixels": data.maps.reshape(len(data.maps), -1)}.items():
            table.add(f"of the {NEAREST} nearest, alike, {at}", name, alike(vectors, data.family))
    for name, vectors in z.items():
        right = max((neighbours(v, data.family) for v in views(vectors)), key=np.mean)
        table.add(f"5-NN accuracy, held out, {at}", name, right[~known].mean())
        table.add(f"5-NN accuracy, all, {at}", name, right.mean())
        if level == ENOUGH:
            table.add(f"GMM ARI, all, {at}", name, mixture(vectors, data.family))
            table.add(f"GMM ARI, known, {at}", name, mixture(vectors[known], data.family[known]))


def views(z: NDArray) -> tuple[NDArray, NDArray]:
    """In units of the overall spread; each column in units of its own."""
    z = z - z.mean(0)
    return z / z.std(), z / np.maximum(z.std(0), 1e-6)


def neighbours(z: NDArray, family: NDArray) -> NDArray[np.bool_]:
    """Whether most of the five nearest others are of a map's family."""
    near = NearestNeighbors(n_neighbors=6).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    votes = (family[near][:, :, None] == np.arange(len(FAMILIES))).sum(1)
    return votes.argmax(1) == family


def alike(z: NDArray, family: NDArray) -> float:
    """Share of a map's nearest others that are of its family: what a search for similar maps brings."""
    near = NearestNeighbors(n_neighbors=NEAREST + 1).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    return float((family[near] == family[:, None]).mean())


@one_thread
def mixture(z: NDArray, family: NDArray) -> float:
    """ARI of Gaussians, as many as families; covariance and scaling by BIC within, by ARI between, the two views."""
    scores = []
    for view in views(z):
        fits = [
            GaussianMixture(len(np.unique(family)), covariance_type=kind, reg_covar=1e-2, n_init=5, random_state=0)
            for kind in ("full", "tied", "diag")
        ]
        best = min(fits, key=lambda fit: fit.fit(view).bic(view))
        scores.append(adjusted_rand_score(family, best.predict(view)))
    return max(scores)


def probes(table: Table, z: dict[str, NDArray], data: list[LabelledMaps]) -> None:
    """Cross-validated R² of ridge regression on the latent vectors."""
    family = np.concatenate([d.family for d in data])
    wanted = dict(zip(PARAMETERS, np.concatenate([d.parameters for d in data]).T, strict=True))
    wanted["contrast"] = np.where(family < len(KNOWN), np.concatenate([d.contrast for d in data]), np.nan)
    for parameter, y in wanted.items():
        there = np.isfinite(y)
        for name, vectors in z.items():
            probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))
            told = cross_val_predict(probe, vectors[there], y[there], cv=KFold(5, shuffle=True, random_state=0))
            table.add(f"R² {parameter}", name, 1 - np.square(told - y[there]).mean() / y[there].var())


def denoising(
    table: Table, encoders: dict[str, Encoder], z: dict[str, NDArray], data: LabelledMaps, level: float
) -> None:
    """Squared error, in units of the contrast, over that of the noisy map."""
    truth = data.contrast[:, None, None] * data.shape + 1

    def error(maps: NDArray) -> NDArray:
        return np.square((maps - truth) / data.contrast[:, None, None]).mean((1, 2))

    at, before = f"{level:g}".lstrip("0"), error(data.maps)
    for which, name in ((~data.held_out, "known"), (data.held_out, "held out")):
        for encoder, vectors in z.items():
            plain = error(encoders[encoder].decode(vectors, size=64))[which].mean() / before[which].mean()
            if encoder == "ours":
                table.add(f"the same, decode(encode), {name}, {at}", encoder, plain)
                plain = error(encoders["ours"].denoise(data.maps, size=64))[which].mean() / before[which].mean()
            table.add(f"squared error / noisy, {name}, {at}", encoder, plain)


def retrieval(table: Table, encoders: dict[str, Encoder], seed: int) -> None:
    """How often a noisy map's nearest among 1000 clean ones is its own."""
    data = LabelledMaps.drawn(112, LEVELS[0], np.random.default_rng([seed, 1]), families=KNOWN)
    clean = 1 + data.contrast[:1000, None, None] * data.shape[:1000]
    for name, encoder in encoders.items():
        own = np.arange(len(clean))
        found = [
            NearestNeighbors(n_neighbors=1).fit(a).kneighbors(b, return_distance=False)[:, 0] == own
            for a, b in [(encoder.encode(clean), encoder.encode(data.maps[:1000]))]
        ]
        table.add("retrieval among 1000, .05", name, np.mean(found))


def plausible(table: Table, encoders: dict[str, Encoder], seed: int) -> None:
    """Share of maps, decoded from latent vectors 0.3 of the spread off, whose nearest measured map is of the family.

    What the paper looks at by eye: a latent space in which distances mean something holds alike maps around each.
    """
    rng = np.random.default_rng([seed, 2])
    data = LabelledMaps.drawn(80, LEVELS[-1], rng, families=KNOWN)
    clean = 1 + data.contrast[:, None, None] * data.shape
    near = NearestNeighbors(n_neighbors=2).fit(clean.reshape(len(clean), -1))
    for name, encoder in encoders.items():
        z = encoder.encode(clean)
        off = z + 0.3 * z.std(0) * rng.standard_normal(z.shape, dtype=np.float32)
        decoded = encoder.decode(off, size=64).reshape(len(z), -1)
        found = near.kneighbors(decoded, return_distance=False)
        other = np.where(found[:, 0] == np.arange(len(z)), found[:, 1], found[:, 0])
        table.add("decoded a little off, nearest alike", name, (data.family[other] == data.family).mean())


def honesty(table: Table, encoders: dict[str, Encoder], n: int = 400) -> None:
    """Share of denoised pure-noise maps with fringes or events above the 99th percentile of other noise maps."""
    rng = np.random.default_rng(9)
    nothing = np.zeros((256, 256))
    null, maps = (
        np.stack([measured(nothing, 0.1, rng).reshape(64, 4, 64, 4).mean((1, 3)) for _ in range(n)]) for _ in range(2)
    )
    for what, statistic in (("fringes", fringe), ("events", event)):
        limit = np.quantile(statistic(null), 0.99)
        for name, encoder in encoders.items():
            if name == "ours":
                cleaned = encoder.denoise(maps, size=64)
            else:
                cleaned = encoder.decode(encoder.encode(maps), size=64)
            table.add(f"pure noise: {what}, share", name, (statistic(cleaned) > limit).mean())


def fringe(maps: NDArray) -> NDArray:
    """Largest amplitude, of 2 to 16 turns, of the mean over age against lag."""
    profile = np.stack([maps.diagonal(lag, 1, 2).mean(1) for lag in range(48)], axis=1)
    wave = np.exp(2j * np.pi * np.arange(2, 17)[:, None] * np.arange(48) / 64)
    return np.abs((profile - profile.mean(1, keepdims=True)) @ wave.T).max(1) / 24


def event(maps: NDArray) -> NDArray:
    """Largest drop of the correlation across a moment: mean within 8 cells on either side, less that across."""
    drops = []
    for t in range(8, 57):
        before, after = maps[:, t - 8 : t, t - 8 : t].mean((1, 2)), maps[:, t : t + 8, t : t + 8].mean((1, 2))
        drops.append((before + after) / 2 - maps[:, t - 8 : t, t : t + 8].mean((1, 2)))
    return np.max(drops, axis=0)


def measured_map(table: Table, target: NDArray) -> None:
    """How much of a measured map is held, and whether its fringes keep their frequency."""
    c2 = from_unit(target)[None]
    for name, encoder in table.encoders.items():
        held = encoder.decode(encoder.encode(c2))[0]
        table.add("explained variance, measured map", name, 1 - np.square(held - c2[0]).mean() / c2.var())
        table.add("fringe frequency, measured map, ratio", name, frequency(held) / frequency(c2[0]))


def frequency(a_map: NDArray) -> float:
    """Turns across the map of the strongest fringe of the mean over age against lag."""
    lags = np.arange(8, 192)
    profile = np.array([a_map.diagonal(lag).mean() for lag in lags])
    profile -= np.polyval(np.polyfit(lags, profile, 3), lags)
    turns = np.linspace(2, 16, 1401)
    return float(turns[np.abs(np.exp(2j * np.pi * turns[:, None] * lags / 256) @ profile).argmax()])


def speed(table: Table) -> None:
    """Median time of the 18 maps of a run, in one batch."""
    maps = np.ones((18, 256, 256), np.float32) + 0.1 * np.random.default_rng(0).random((18, 256, 256), np.float32)
    start = time.perf_counter()
    Encoder.load("ours")
    table.add("load, s", "ours", time.perf_counter() - start)
    for name, encoder in table.encoders.items():
        times = []
        for _ in range(15):
            start = time.perf_counter()
            encoder.encode(maps)
            times.append(time.perf_counter() - start)
        table.add("18 maps, ms", name, 1e3 * float(np.median(times)))


if __name__ == "__main__":
    main()
