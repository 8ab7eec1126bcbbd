"""How well latent vectors separate regimes and give parameters, and how well maps are denoised, beside other encoders.

maps     Maps of a run of 5000 frames, 570 pixels a bin, contrast .1 to .3, of all families in `ainerd.dynamics`; flows
         are seen within 50 degrees of their direction. Nearest neighbours and mixtures use the latent vectors as they
         are, or standardised, whichever is better for the encoder. The mixture has as many Gaussians as there are
         families, and the kind of covariance that BIC chooses. Squared errors are in units of the contrast. The
         published network (with AINERD_REFERENCE_DATA set) and the paper's recipe see .1 photons only, for they take
         seconds a map set.
runs     Points of whole exposures, see `studies._latent_runs`; ``--quick`` takes few truths.
denoise  How many maps `denoise` makes worse, and its bias, on the same maps. The bias is the difference of the mean of
         many denoised maps from their truth. For dynamics new to the encoder, a person would take it for physics.
tuned    The encoder tuned to measured runs: runs of the held-out families, each at eighteen azimuths, stand for these.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, track
from sklearn.linear_model import RidgeCV
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ainerd.dynamics import HELD_OUT, KNOWN, Statistics, draw, known_maps, noisy, reduced_g1_squared
from ainerd.latent import Encoder, PcaEncoder, from_unit
from ainerd.latent.training import PcaFit, tune_ours
from ainerd.threads import one_thread
from studies._latent_maps import FAMILIES, PARAMETERS, LabelledMaps, block_mean, measured, truth_of
from studies._latent_runs import Exposures, measures, stability
from studies._tools import FOLDER, Row, Study, report

LEVELS = (0.05, 0.1, 0.5)
ENOUGH = 0.1  # photons per pixel at which networks that take 256 px are measured
NEAREST = 50
CONTRAST = 0.2  # of the maps whose bias is measured, and of those that tune
LAGS = 48  # of 64, up to which g2 is the mean of enough cells

study = Study(__doc__)


@study.part
def runs(quick: bool = False) -> None:
    """Measure points of exposures, and how often a map is found under noise of other textures."""
    encoders = {name: Encoder.load(name) for name in ("run", "pca", "ours")}
    truths, campaigns, n_maps = (3, 60, 100) if quick else (10, 200, 300)
    rng = np.random.default_rng(2026)
    of = Exposures.drawn(encoders, truths, 10, rng)
    worth = {name: measures(of, name, encoder.scatter, n=campaigns) for name, encoder in encoders.items()}
    rows = [{"measure": measure} | {name: worth[name][measure] for name in encoders} for measure in worth["run"]]
    report("latent_runs", rows, truths=truths, exposures=len(of.truth), campaigns=campaigns)
    report("latent_noise", stability(encoders, n_maps, rng), maps=n_maps)


@study.part
def maps(seeds: int = 3, each: int = 80, ours: str = "ours", paper: Path | None = None, fast: bool = False) -> None:
    """Measure latent vectors of `each` maps of a family; ``--fast`` leaves out the networks that take 256 px.

    ``--ours`` is a weight file instead of the shipped one, ``--paper`` one of the paper's recipe.
    """
    encoders = {"ours": Encoder.load(ours)} | baselines()
    reference = Path(os.environ.get("AINERD_REFERENCE_DATA", "/nowhere"))
    slow: dict[str, Encoder] = {}
    if (weights := reference / "published_autoencoder_state_dict.pth").exists() and not fast:
        slow["published"] = Encoder.load(weights)
    if paper and not fast:
        slow["paper recipe"] = Encoder.load(paper)
    table, probed = Table(encoders | slow), dict[str, list]()
    for seed in range(seeds):
        for level in LEVELS:
            data, rng = maps_at(level, seed, each, fine=bool(slow) and level == ENOUGH)
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
    report("latent", table.rows(), seeds=seeds, each=each, families=list(FAMILIES))


@study.part
def denoise(seeds: int = 3, each: int = 80, ours: str = "ours") -> None:
    """Measure squared errors and bias of denoised maps; options as for maps."""
    table = Table({"ours": (encoder := Encoder.load(ours))})
    for seed in range(seeds):
        for level in (level for level in LEVELS if level != ENOUGH):
            data, rng = maps_at(level, seed, each)
            denoising(table, table.encoders, {"ours": encoder.encode(data.maps)}, data, level)
            table.add_all(made_worse(encoder, data, level) | bias(encoder, level, rng))
    report("latent_denoise", table.rows(), seeds=seeds, each=each, families=list(FAMILIES))


@study.part
def tuned(runs: int = 90, steps: int = 1000, each: int = 60) -> None:
    """Tune the encoder to `runs`, and measure squared errors of `each` maps of a family at .05 photons."""
    rng, families = np.random.default_rng(11), sorted(HELD_OUT)

    def measured_runs() -> Iterator[NDArray[np.float32]]:
        for i in range(runs):
            clean = reduced_g1_squared(draw(families[i % len(families)], rng), 1.0, 256, np.arange(18) * 10.0)
            signal = (CONTRAST * clean).astype(np.float32)
            yield noisy(signal, n_pixels=570, n_frames=5000, counts=0.3, rng=rng)[:, 0]

    with tempfile.TemporaryDirectory() as folder, Progress() as bar:
        tasks: dict[str, Any] = {}

        def watch(stage: str, done: int, total: int, watched: dict[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        encoder = Encoder.load(tune_ours(Path(folder), measured_runs(), steps=steps, watch=watch))
    data = LabelledMaps.drawn(each, LEVELS[0], np.random.default_rng(12))
    rows = []
    for name, one in {"shipped": Encoder.load("ours"), "tuned": encoder}.items():
        for kind, (decoded, denoised) in errors_over_noisy(one, data).items():
            rows.append({"encoder": name, "families": kind, "decode(encode)": decoded, "denoise": denoised})
    report("tuning", rows, runs=runs, steps=steps, level=LEVELS[0])


def maps_at(level: float, seed: int, each: int, *, fine: bool = False) -> tuple[LabelledMaps, np.random.Generator]:
    """Draw maps at a level of photons, and return them with the generator."""
    rng = np.random.default_rng([seed, round(1000 * level)])
    return LabelledMaps.drawn(each, level, rng, fine=fine), rng


class Table:
    """Measures as rows, encoders as columns; several values of one cell are averaged."""

    def __init__(self, encoders: dict[str, Encoder]) -> None:
        self.encoders = encoders
        self.cells: dict[str, dict[str, list[float]]] = {}

    def add(self, measure: str, encoder: str, value: float) -> None:
        """Add a value to a cell."""
        self.cells.setdefault(measure, {}).setdefault(encoder, []).append(float(value))

    def add_all(self, values: dict[str, float]) -> None:
        """Add a value to several cells of ours."""
        for measure, value in values.items():
            self.add(measure, "ours", value)

    def rows(self) -> list[Row]:
        """Return the rows for `report`; the spread over seeds is that of ours."""
        out = []
        for measure, cells in self.cells.items():
            row: Row = {"measure": measure}
            for name in (*self.encoders, "raw pixels"):
                row[name] = f"{np.mean(cells[name]):.4f}" if name in cells else "–"
            row["± seeds"] = f"{np.std(cells['ours']):.4f}" if len(cells.get("ours", ())) > 1 else "–"
            out.append(row)
        return out


def baselines(n: int = 6000) -> dict[str, Encoder]:
    """Return principal components of known exposures, each clean and noisy, as `ainerd train pca` fits them."""
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
    """Measure the accuracy of five neighbours, and of a mixture with the true number of families."""
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
    """Return vectors in units of the overall spread, and with each column in units of its own."""
    z = z - z.mean(0)
    return z / z.std(), z / np.maximum(z.std(0), 1e-6)


def neighbours(z: NDArray, family: NDArray) -> NDArray[np.bool_]:
    """Return whether most of the five nearest others are of a map's family."""
    near = NearestNeighbors(n_neighbors=6).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    votes = (family[near][:, :, None] == np.arange(len(FAMILIES))).sum(1)
    return votes.argmax(1) == family


def alike(z: NDArray, family: NDArray) -> float:
    """Return the share of a map's nearest others that are of its family, as in a search for similar maps."""
    near = NearestNeighbors(n_neighbors=NEAREST + 1).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    return float((family[near] == family[:, None]).mean())


@one_thread
def mixture(z: NDArray, family: NDArray) -> float:
    """Return the ARI of as many Gaussians as families; BIC chooses the covariance, ARI the scaling."""
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
    """Measure the cross-validated R² of ridge regression on the latent vectors."""
    family = np.concatenate([d.family for d in data])
    wanted = dict(zip(PARAMETERS, np.concatenate([d.parameters for d in data]).T, strict=True))
    wanted["contrast"] = np.where(family < len(KNOWN), np.concatenate([d.contrast for d in data]), np.nan)
    for parameter, y in wanted.items():
        there = np.isfinite(y)
        for name, vectors in z.items():
            probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))
            predicted = cross_val_predict(probe, vectors[there], y[there], cv=KFold(5, shuffle=True, random_state=0))
            table.add(f"R² {parameter}", name, 1 - np.square(predicted - y[there]).mean() / y[there].var())


def squared_error(maps: NDArray, data: LabelledMaps) -> NDArray:
    """Return the squared error of each map, in units of the contrast."""
    contrast = data.contrast[:, None, None]
    return np.square((maps - (1 + contrast * data.shape)) / contrast).mean((1, 2))


def errors_over_noisy(encoder: Encoder, data: LabelledMaps) -> dict[str, tuple[float, float]]:
    """Return squared errors of decoded and of denoised maps over those of the noisy ones, by kind of family."""
    decoded = squared_error(encoder.decode(encoder.encode(data.maps), size=64), data)
    denoised, before = squared_error(encoder.denoise(data.maps, size=64), data), squared_error(data.maps, data)
    return {
        name: tuple(float(after[which].mean() / before[which].mean()) for after in (decoded, denoised))
        for name, which in (("known", ~data.held_out), ("held out", data.held_out))
    }


def denoising(
    table: Table, encoders: dict[str, Encoder], z: dict[str, NDArray], data: LabelledMaps, level: float
) -> None:
    """Measure the squared error over that of the noisy map."""
    at, before = f"{level:g}".lstrip("0"), squared_error(data.maps, data)
    for name, (decoded, denoised) in errors_over_noisy(encoders["ours"], data).items():
        which = data.held_out if name == "held out" else ~data.held_out
        table.add(f"the same, decode(encode), {name}, {at}", "ours", decoded)
        table.add(f"squared error / noisy, {name}, {at}", "ours", denoised)
        for encoder in z.keys() - {"ours"}:
            after = squared_error(encoders[encoder].decode(z[encoder], size=64), data)
            table.add(f"squared error / noisy, {name}, {at}", encoder, after[which].mean() / before[which].mean())


def made_worse(encoder: Encoder, data: LabelledMaps, level: float) -> dict[str, float]:
    """Return the share of maps whose squared error is larger after `denoise`, and the largest ratio."""
    after, before = squared_error(encoder.denoise(data.maps, size=64), data), squared_error(data.maps, data)
    at = f"{level:g}".lstrip("0")
    return {
        f"made worse by denoise, share, {at}": (after > before).mean(),
        f"made worse by denoise, at most, {at}": (after / before).max(),
    }


def bias(
    encoder: Encoder, level: float, rng: np.random.Generator, *, each: int = 8, draws: int = 12
) -> dict[str, float]:
    """Return the bias of denoised maps and of g2 along their diagonals, in units of the contrast: root mean squares.

    There are `each` truths of each family, and `draws` noisy maps of each; the scatter of so few means is subtracted.
    """
    of_map, of_g2 = (np.empty((len(FAMILIES), each)) for _ in range(2))
    for i in track(range(of_map.size), f"bias at {level:g} photons", transient=True):
        _, _, truth = truth_of(FAMILIES[i // each], rng)
        noisy = np.array([block_mean(measured(CONTRAST * truth, level, rng)) for _ in range(draws)])
        off = (encoder.denoise(noisy, size=64) - 1) / CONTRAST - block_mean(truth)
        of_map.flat[i] = _squared(off.reshape(draws, -1))
        of_g2.flat[i] = _squared(np.array([off.diagonal(lag, 1, 2).mean(1) for lag in range(LAGS)]).T)
    at, known = f"{level:g}".lstrip("0"), np.isin(FAMILIES, KNOWN)
    return {
        f"bias of denoise in {what}, {name}, {at}": np.sqrt(max(squared[which].mean(), 0))
        for what, squared in (("a map", of_map), ("g2", of_g2))
        for which, name in ((known, "known"), (~known, "held out"))
    }


def _squared(off: NDArray) -> float:
    """Return the mean square of the mean over n draws (n, m), less the scatter of n draws."""
    return float(np.mean(np.square(off.mean(0)) - off.var(0, ddof=1) / len(off)))


def retrieval(table: Table, encoders: dict[str, Encoder], seed: int) -> None:
    """Measure how often the nearest of 1000 clean maps to a noisy one is its own."""
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
    """Measure the share of maps, decoded from latent vectors .3 of the spread off, whose nearest map is of the family.

    The paper does this by eye: where distances have a meaning, similar maps surround each map.
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
    """Measure the share of denoised noise with fringes or events above the 99th percentile of other noise."""
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
    """Return the largest amplitude, of 2 to 16 turns, of the mean over age against lag."""
    profile = np.stack([maps.diagonal(lag, 1, 2).mean(1) for lag in range(48)], axis=1)
    wave = np.exp(2j * np.pi * np.arange(2, 17)[:, None] * np.arange(48) / 64)
    return np.abs((profile - profile.mean(1, keepdims=True)) @ wave.T).max(1) / 24


def event(maps: NDArray) -> NDArray:
    """Return the largest drop of correlation across a moment: the mean in 8 cells on either side, less that across."""
    drops = []
    for t in range(8, 57):
        before, after = maps[:, t - 8 : t, t - 8 : t].mean((1, 2)), maps[:, t : t + 8, t : t + 8].mean((1, 2))
        drops.append((before + after) / 2 - maps[:, t - 8 : t, t : t + 8].mean((1, 2)))
    return np.max(drops, axis=0)


def measured_map(table: Table, target: NDArray) -> None:
    """Measure how much of a measured map is explained, and whether its fringes keep their frequency."""
    c2 = from_unit(target)[None]
    for name, encoder in table.encoders.items():
        held = encoder.decode(encoder.encode(c2))[0]
        table.add("explained variance, measured map", name, 1 - np.square(held - c2[0]).mean() / c2.var())
        table.add("fringe frequency, measured map, ratio", name, frequency(held) / frequency(c2[0]))


def frequency(a_map: NDArray) -> float:
    """Return the turns across the map of the strongest fringe of the mean over age against lag."""
    lags = np.arange(8, 192)
    profile = np.array([a_map.diagonal(lag).mean() for lag in lags])
    profile -= np.polyval(np.polyfit(lags, profile, 3), lags)
    turns = np.linspace(2, 16, 1401)
    return float(turns[np.abs(np.exp(2j * np.pi * turns[:, None] * lags / 256) @ profile).argmax()])


def speed(table: Table) -> None:
    """Measure the median time of the 18 maps of a run, in one batch."""
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
    study()
