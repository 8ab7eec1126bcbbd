"""Files of g2 as they are published: averages of repeats of a gel with two modes, in the layout of boost_corr.

The field correlation of a ring is share exp(-(t/tau)^p) + (1 - share) exp(-(t/tau2)^p2), and the slow mode is slower
than the lags. All rings of a file have one contrast and one pair of exponents, as in the files of the repository
AZjk/llps-saxpcs on GitHub. The noise is that of Gaussian speckle and of photons. No code of ainerd makes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import track

from ainerd_files import read_curves
from studies._tools import Row

Floats = NDArray[np.float64]
FRAME_S, N_FRAMES, N_RINGS = 2e-5, 100_000, 27
LEVEL = np.r_[np.zeros(8, int), np.repeat(np.arange(1, 14), 4)]
LAG = np.r_[np.arange(1, 9), (np.arange(5, 9) * 2 ** np.arange(1, 14)[:, None]).ravel()].astype(float)
SURE = 0.15  # standard error of the logarithm of tau below which a number is expected
KINDS = ("repeats listed", "repeats not listed", "errors too small")


@dataclass(frozen=True)
class Published:
    """The truth of a file, and g2 with its errors, (27, n) each."""

    contrast: float
    exponents: tuple[float, float]
    share: Floats
    tau: Floats
    tau2: Floats
    speckles: NDArray[np.int64]
    photons: Floats
    repeats: int
    g2: Floats
    sd: Floats
    error: Floats
    tau_sure: Floats  # standard error of the logarithm of tau that the noise allows
    tau2_sure: Floats

    @property
    def true(self) -> Floats:
        """G2 without noise."""
        fields = zip(self.share, self.tau, self.tau2, strict=True)
        return 1 + self.contrast * np.array([field(LAG, *each, *self.exponents) ** 2 for each in fields])

    def write(self, path: Path, kind: str) -> None:
        """Write the file; one row of pixels for each ring."""
        roi = np.zeros((N_RINGS, self.speckles.max()), np.int64)
        for k, n in enumerate(self.speckles):
            roi[k, :n] = k + 1
        with h5py.File(path, "w") as file:
            group = file.create_group("xpcs/multitau")
            group["delay_list"], group["normalized_g2"] = LAG, self.g2.T
            group["normalized_g2_err"] = self.error.T
            file["entry/instrument/detector_1/frame_time"] = FRAME_S
            file["xpcs/temporal_mean/scattering_2d"] = (self.photons[:, None] * (roi > 0))[None]
            file["xpcs/spatial_mean/intensity_vs_time"] = np.ones(N_FRAMES)
            if kind == KINDS[0]:
                file["xpcs/average/file_list"] = np.array([f"repeat_{i:05d}" for i in range(self.repeats)], "S")
            qmap = file.create_group("xpcs/qmap")
            qmap["dynamic_roi_map"], qmap["mask"] = roi, np.ones(roi.shape, "u1")
            qmap["map_names"] = [b"q", b"phi"]
            qmap["dynamic_v_list_dim0"], qmap["dynamic_v_list_dim1"] = np.geomspace(0.003, 0.03, N_RINGS), [0.0]
            qmap["dynamic_index_mapping"] = np.arange(N_RINGS)


def field(t: Floats, share: float, tau: float, tau2: float, p: float, p2: float) -> Floats:
    """Return the field correlation at lags in frames."""
    t = np.abs(t)
    return np.asarray(share * np.exp(-((t / tau) ** p)) + (1 - share) * np.exp(-((t / tau2) ** p2)))


def covariance(contrast: float, shape: tuple[float, ...], photons: float) -> Floats:
    """Return the covariance between lags of g2 of one speckle in one measurement, (n, n).

    Isserlis' theorem for a Gaussian field, with the sum over the distances of both pairs on a grid; the noise of single
    photons, and that of photons which two pairs share.
    """
    u = np.unique(np.rint(np.geomspace(1, N_FRAMES - 1, 120)))
    edges = np.r_[0.5, (u[1:] + u[:-1]) / 2, N_FRAMES - 0.5]
    u, width = np.r_[-u[::-1], 0, u], np.r_[np.diff(edges)[::-1], 1, np.diff(edges)]
    weight = width * np.maximum(1 - np.abs(u) / N_FRAMES, 0) / N_FRAMES
    g = field(u, *shape)
    at = field(LAG, *shape)
    out = np.empty((LAG.size, LAG.size))
    before, after = field(u - LAG[:, None], *shape), field(u + LAG[:, None], *shape)
    for i, a in enumerate(LAG):
        apart = field(u + LAG[i:, None] - a, *shape)
        two = (g * apart) ** 2 + (after[i:] * before[i]) ** 2
        pair = (at[i] * at[i:])[:, None]
        four = pair * (before[i] * after[i:] + apart * g) + g * before[i] * apart * after[i:]
        out[i, i:] = out[i:, i] = (contrast**2 * two + 2 * contrast**3 * four) @ weight
    near, far = field(LAG - LAG[:, None], *shape) ** 2, field(LAG + LAG[:, None], *shape) ** 2
    shared = 2 * contrast * (near + far) / (N_FRAMES - np.minimum(LAG, LAG[:, None]))
    single = (1 + contrast * at**2) / (N_FRAMES - LAG) / 2.0**LEVEL
    return np.asarray(out + shared / photons / 2 + np.diag(single) / photons**2)


def draw(seed: int, kind: str) -> Published:
    """Draw a file of 27 rings."""
    rng = np.random.default_rng(seed)
    contrast, p, p2 = rng.uniform(0.1, 0.2), rng.uniform(0.5, 1.0), rng.uniform(0.4, 0.8)
    q = np.geomspace(1, 10, N_RINGS)
    share = np.interp(np.log(q), np.log(q[[0, -1]]), np.sort(rng.uniform(0.02, 0.7, 2)))
    tau = np.exp(rng.uniform(np.log(20), np.log(500))) * q ** -rng.uniform(0.2, 1)
    tau2 = np.exp(rng.uniform(np.log(10), np.log(2000))) / FRAME_S * q ** -rng.uniform(0, 0.5)
    speckles = np.exp(rng.uniform(np.log(20), np.log(5000), N_RINGS)).astype(int)
    brightest, darkest = np.sort(np.exp(rng.uniform(np.log(0.0005), np.log(0.1), 2)))[::-1]
    photons = brightest * (darkest / brightest) ** (np.log(q) / np.log(10))
    repeats = int(np.exp(rng.uniform(0, np.log(150))))
    shapes = [(*each, p, p2) for each in zip(share, tau, tau2, strict=True)]
    noise = [
        covariance(contrast, shape, n) / size / repeats
        for shape, n, size in zip(shapes, photons, speckles, strict=True)
    ]
    sd = np.sqrt([np.diag(c) for c in noise])
    true = 1 + contrast * np.array([field(LAG, *shape) ** 2 for shape in shapes])
    g2 = np.array([mean + _drawn(rng, c) for mean, c in zip(true, noise, strict=True)])
    too_small = np.exp(rng.uniform(np.log(0.02), np.log(0.5), (N_RINGS, 1))) if kind == KINDS[2] else 1.0
    sure = fisher(contrast, shapes, noise)
    return Published(
        contrast, (p, p2), share, tau, tau2, speckles, photons, repeats, g2, sd, sd * too_small, *sure
    )  # fmt: skip


def _drawn(rng: np.random.Generator, covariance: Floats) -> Floats:
    """Draw noise of a covariance, whose smallest eigenvalues may be negative by rounding."""
    variances, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors @ (np.sqrt(np.maximum(variances, 0)) * rng.normal(size=variances.size)))


def fisher(contrast: float, shapes: list[tuple[float, ...]], noise: list[Floats]) -> tuple[Floats, Floats]:
    """Return the standard errors of log tau and log tau2, (27,) each, with one contrast and one pair of exponents."""
    size = 3 + 3 * N_RINGS
    matrix = np.zeros((size, size))
    for k, (shape, c) in enumerate(zip(shapes, noise, strict=True)):
        x = np.r_[contrast, shape[3], shape[4], shape[0], np.log(shape[1]), np.log(shape[2])]

        def g2(x: Floats) -> Floats:
            return np.asarray(x[0] * field(LAG, x[3], np.exp(x[4]), np.exp(x[5]), x[1], x[2]) ** 2)

        steps = 1e-5 * np.eye(6)
        slope = np.array([(g2(x + step) - g2(x - step)) / 2e-5 for step in steps])
        place = np.r_[0, 1, 2, 3 + 3 * k + np.arange(3)]
        matrix[np.ix_(place, place)] += slope @ np.linalg.solve(c, slope.T)
    sd = np.sqrt(np.maximum(np.diag(np.linalg.pinv(matrix, hermitian=True)), 0))[3:].reshape(-1, 3)
    return sd[:, 1], sd[:, 2]


def errors_of_fall(value: Floats, sd: Floats) -> tuple[float, float]:
    """Return by how many errors the last lags lie below the first, and below a half of them."""
    falls, halves = [], []
    last = np.average(value[-3:], weights=sd[-3:] ** -2)
    for n in (3, 8, 16):
        w = sd[:n] ** -2
        first, error = np.average(value[:n], weights=w), np.hypot(w.sum() ** -0.5, (sd[-3:] ** -2).sum() ** -0.5)
        falls.append((first - last) / error)
        halves.append((first / 2 - last) / error)
    return max(falls), max(halves)


def judged(seed: int, kind: str) -> pd.DataFrame:
    """Read and fit a file as `ainerd analyze` does; return a row for each curve."""
    of = draw(seed, kind)
    with TemporaryDirectory() as folder:
        path = Path(folder, "average.hdf")
        of.write(path, kind)
        fit = read_curves(path).fit()
    rows = []
    for k in range(N_RINGS):
        (fall, half), tau = errors_of_fall(of.g2[k] - 1, of.sd[k]), of.tau[k] * FRAME_S
        pull = np.log(fit.tau[k] / tau) * fit.tau[k] / fit.tau_err[k]
        false = {
            "no speckle": fit.no_tau[k] == "no speckle" and np.max(np.abs(of.true[k] - 1) / of.sd[k]) > 5,
            "no decay": fit.no_tau[k] == "does not decay" and fall > 5,
            "slower": fit.no_tau[k] == "slower than the lags" and half > 3,
            "limit": fall > 5 and (fit.tau_above[k] > tau or fit.tau_below[k] < tau),
        }
        rows.append(
            {
                "kind": kind,
                **{f"false: {name}": bool(x) for name, x in false.items()},
                "expected": of.tau_sure[k] < SURE,
                "given": bool(np.isfinite(fit.tau[k])),
                "tau": pull,
                "share": (fit.share[k] - of.share[k]) / fit.share_err[k],
                "slow": np.log(fit.tau2_above[k] / FRAME_S / of.tau2[k]),
                "fall": (fit.fall[k] - _fall(of.true[k] - 1, fit.fall[k])) / fit.fall_err[k],
                "repeats": fit.n_files / of.repeats,
                "truth": (of.tau_sure[k], of.share[k], fall, seed, k),
            }
        )
    return pd.DataFrame(rows)


def _fall(true: Floats, seen: float) -> float:
    """Return the true fall between the lags of `fall_of` that is nearest to the one that was seen."""
    falls = [true[:a].mean() - true[-b:].mean() for a in (3, 8, 16) for b in (3, 8)]
    return float(min(falls, key=lambda x: abs(x - seen)))


def of_files(quick: bool) -> Iterator[Row]:
    """Yield a row for each kind of file: false statements, numbers that are given, and pulls."""
    files = 1 if quick else 7
    table = pd.concat(
        judged(100 * i + seed, kind) for i, kind in enumerate(KINDS) for seed in track(range(files), description=kind)
    )
    said = [name for name in table if name.startswith("false")]
    right = table[table["kind"] != KINDS[2]]
    for kind, of in [*table.groupby("kind", sort=False), ("errors right", right)]:
        expected = of[of["expected"]]
        row = {"kind": kind, "curves": len(of), "false": int(of[said].to_numpy().sum())}
        row |= {"repeats": float(of["repeats"].median()), "expected": len(expected)}
        if kind != KINDS[2]:
            row |= {"given": float(expected["given"].mean())}
        if of is right:
            for name in ("tau", "share", "fall"):
                row |= {f"{name} mean": float(np.nanmean(of[name])), f"{name} sd": float(np.nanstd(of[name]))}
            slow = of["slow"].dropna()
            row |= {"bounds of tau2": len(slow), "hold": float((slow < 0).mean())}
            row |= {"tau2 over bound": float(np.exp(-np.median(slow)))}
        yield row
