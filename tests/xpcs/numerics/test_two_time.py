import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from ainerd_xpcs.numerics import Partition, TwoTimeReducer, reduction_operator, two_time

DIAGONALS = ("poisson", "neighbour", "raw")
NORMALIZATIONS = ("smoothed", "paper", "symmetric")


def reduce(frames, partition, blocks=(7,), valid=None, **options):
    reducer = TwoTimeReducer(partition, len(frames), **options)
    keep = np.ones(len(frames), bool) if valid is None else valid
    start, i = 0, 0
    while start < len(frames):
        step = blocks[i % len(blocks)]
        reducer.push(frames[start : start + step], valid=keep[start : start + step])
        start, i = start + step, i + 1
    return reducer.maps()


def by_light(full, frames, partition, smaller):
    """Make maps smaller, by a linear function of one map, in which each frame counts with its photons in the bin."""
    out = []
    for k, c2 in enumerate(full, 1):
        light = frames[:, partition.roi_map == k].sum(1, dtype=float)
        pairs = np.outer(light, light)
        out.append(smaller(c2 * pairs) / smaller(pairs))
    return np.array(out)


def symmetric_by_the_book(frames, partition):
    """N Σ I1 I2 / (Σ I1 Σ I2), the definition of scikit-beam and pychx."""
    out = []
    for k in range(1, partition.n_roi + 1):
        i = frames[:, partition.roi_map == k].astype(float)
        total = i.sum(1)
        out.append(i.shape[1] * (i @ i.T) / np.outer(total, total))
    return np.array(out)


def test_symmetric_raw_is_the_definition(frames, partition):
    full = two_time(frames, partition, diagonal="raw", normalization="symmetric", dtype="float64")
    assert np.allclose(full, symmetric_by_the_book(frames, partition), rtol=0, atol=1e-12)


def test_poisson_diagonal_is_the_factorial_moment(frames, partition):
    full = two_time(frames, partition, normalization="symmetric", dtype="float64")
    i = frames[:, partition.roi_map == 2].astype(float)
    wanted = (i * (i - 1)).mean(1) / i.mean(1) ** 2
    assert np.allclose(np.diagonal(full[1]), wanted, atol=1e-12)


def test_neighbour_diagonal_is_the_mean_of_its_neighbours(frames, partition):
    full = two_time(frames, partition, diagonal="neighbour", dtype="float64")[0]
    beside = np.diagonal(full, 1)
    wanted = np.r_[beside[0], (beside[1:] + beside[:-1]) / 2, beside[-1]]
    assert np.allclose(np.diagonal(full), wanted, atol=1e-12)


def test_smoothed_divides_by_static_rings_and_by_the_beam(frames, partition):
    full = two_time(frames, partition, diagonal="raw", dtype="float64")[3]
    inside = partition.roi_map == 4
    i, ring = frames[:, inside].astype(float), partition.static_map[inside]
    mean = np.array([i[:, ring == r].mean() for r in range(4)[1:]])[ring - 1]
    d = i / mean / (i.sum(1) / mean.sum())[:, None]
    assert np.allclose(full, d @ d.T / inside.sum(), atol=1e-12)


def test_paper_divides_by_the_mean_of_the_whole_ring(frames, partition):
    full = two_time(frames, partition, diagonal="raw", normalization="paper", dtype="float64")[3]
    inside = partition.roi_map == 4
    i, ring = frames[:, inside].astype(float), partition.static_map[inside]
    mean = np.array([frames[:, (partition.static_map == r) & (partition.roi_map > 0)].mean() for r in (1, 2, 3)])
    d = i / mean[ring - 1]
    assert np.allclose(full, d @ d.T / inside.sum(), atol=1e-12)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("diagonal", DIAGONALS)
@pytest.mark.parametrize("sigma", [1.3, 2.0])
def test_gaussian_is_skimage_on_the_full_map(frames, partition, diagonal, normalization, sigma):
    options = {"diagonal": diagonal, "normalization": normalization, "dtype": "float64"}
    full = two_time(frames, partition, **options)
    reduced = reduce(frames, partition, size=17, reduction="gaussian", sigma=sigma, **options)

    def resized(c2):
        return resize(c2, (17, 17), order=1, anti_aliasing=True, anti_aliasing_sigma=sigma)

    if normalization == "paper":
        wanted = np.array([resized(c2) for c2 in full])
    else:
        wanted = by_light(full, frames, partition, resized)
    assert np.abs(reduced - wanted).max() < 1e-12


@pytest.mark.parametrize("kind", ["area", "decimate"])
@pytest.mark.parametrize("size", [7, 20, 60, 64])
def test_reduced_is_the_operator_on_the_full_map(frames, partition, kind, size):
    operator = reduction_operator(kind, len(frames), size).toarray()
    full = two_time(frames, partition, dtype="float64")
    reduced = reduce(frames, partition, size=size, reduction=kind, dtype="float64")
    wanted = by_light(full, frames, partition, lambda c2: operator @ c2 @ operator.T)
    assert np.abs(reduced - wanted).max() < 1e-12


def test_decimation_is_skimage_without_blur(frames, partition):
    full = two_time(frames, partition, dtype="float64")
    reduced = reduce(frames, partition, size=13, reduction="decimate", dtype="float64")
    wanted = by_light(full, frames, partition, lambda c2: resize(c2, (13, 13), order=1, anti_aliasing=False))
    assert np.abs(reduced - wanted).max() < 1e-12


@pytest.mark.parametrize("normalization", ["smoothed", "symmetric"])
def test_area_is_the_map_of_longer_frames_where_the_size_divides(frames, partition, normalization):
    options = {"diagonal": "raw", "normalization": normalization, "dtype": "float64"}
    longer = two_time(frames.reshape(20, 3, *partition.shape).sum(1), partition, **options)
    assert np.allclose(reduce(frames, partition, size=20, **options), longer, atol=1e-12)


def test_a_flickering_beam_changes_nothing():
    """The same speckle, in many photons, under a steady and a flickering beam; each pair of cells sees one speckle."""
    rng = np.random.default_rng(4)
    partition = Partition.from_roi_map(np.ones((40, 50), int))
    speckle = np.repeat(rng.gamma(4, 0.25, (12, 2000)), 5, axis=0)
    for flicker in (0.01, 0.1, 0.5):
        beam = 1000 * (1 + flicker * rng.uniform(-1.7, 1.7, 60))
        steady, flickering = (
            reduce(speckle * level, partition, size=12, diagonal="raw", dtype="float64")
            for level in (1000.0, beam[:, None])
        )
        assert np.abs(flickering - steady).max() < 1e-12


@pytest.mark.parametrize("photons", [0.57, 2.0, 10.0])
def test_sparse_frames_have_the_noise_of_their_photons(photons):
    """Without speckle the variance of an element is n_pixels over the photons of both rows, however few a frame has."""
    n_pixels, n_roi = 300, 60
    frames = np.random.default_rng(6).poisson(photons / n_pixels, (320, n_roi, n_pixels)).astype(np.uint8)
    partition = Partition.from_roi_map(np.repeat(np.arange(n_roi) + 1, n_pixels).reshape(n_roi, n_pixels))
    maps = reduce(frames, partition, size=8, dtype="float64")
    rows = frames.reshape(8, 40, n_roi, n_pixels).sum((1, 3)).T.astype(float)
    expected = n_pixels / (rows[:, :, None] * rows[:, None])
    upper = np.triu_indices(8, 1)
    excess = (np.square(maps - 1) / expected)[:, *upper]
    assert abs(excess.mean() - 1) < 4 * excess.std() / np.sqrt(excess.size)
    below = np.diagonal(maps, axis1=1, axis2=2) - 1
    assert abs((below * rows).mean() + 1) < 4 * (below * rows).std() / np.sqrt(below.size)  # N (N - 1) pairs, not N²


def test_float32_agrees_with_float64(frames, partition):
    difference = reduce(frames, partition, size=16) - reduce(frames, partition, size=16, dtype="float64")
    assert 0 < np.abs(difference).max() < 1e-5


@settings(max_examples=25, deadline=None)
@given(blocks=st.lists(st.integers(1, 70), min_size=1, max_size=6))
def test_block_sizes_do_not_matter(frames, partition, blocks):
    whole = reduce(frames, partition, blocks=(60,), size=16, dtype="float64")
    assert np.abs(reduce(frames, partition, blocks=blocks, size=16, dtype="float64") - whole).max() < 1e-12


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["area", "decimate", "gaussian"]),
    n_frames=st.integers(2, 400),
    size=st.integers(1, 300),
)
def test_rows_of_an_operator_sum_to_one(kind, n_frames, size):
    operator = reduction_operator(kind, n_frames, size, 2.0 if kind == "gaussian" else None)
    assert operator.shape == (size, n_frames)
    assert np.allclose(operator.sum(1), 1)
    assert operator.data.min() > -1e-15


def test_bad_frames_do_not_affect_other_frames(frames, partition):
    valid = np.ones(60, bool)
    valid[[0, 17, 18, 41]] = False
    spoilt = frames.copy()
    spoilt[~valid] = 500
    maps = reduce(spoilt, partition, size=12, valid=valid, dtype="float64")
    full = two_time(frames, partition, valid=valid, dtype="float64")
    cell = np.arange(60) // 5
    light = np.array([frames[:, partition.roi_map == k].sum(1) for k in range(1, 7)], float)
    for i in range(12):
        for j in range(12):
            of_cells = np.where(valid, light, 0)[:, cell == i, None] * np.where(valid, light, 0)[:, None, cell == j]
            wanted = np.nansum(full[:, cell == i][:, :, cell == j] * of_cells, axis=(1, 2)) / of_cells.sum((1, 2))
            assert np.allclose(maps[:, i, j], wanted, atol=1e-12)


def test_frames_without_a_photon_are_left_out_automatically(frames, partition):
    dark = frames.copy()
    dark[[5, 6]] = 0
    valid = np.ones(60, bool)
    valid[[5, 6]] = False
    found = reduce(dark, partition, size=12, dtype="float64")
    assert np.allclose(found, reduce(frames, partition, size=12, valid=valid, dtype="float64"), atol=1e-12)


def test_a_static_pattern_shows_its_contrast_on_the_diagonal_too():
    rng = np.random.default_rng(3)
    n, beta = 200_000, 0.25
    pattern = rng.gamma(1 / beta, beta, n)  # relative variance beta
    frames = rng.poisson(0.3 * pattern, (40, n)).astype(np.uint16)
    partition = Partition.from_roi_map(np.ones((500, 400), int))
    c2 = two_time(frames, partition, size=10)[0] - 1
    # standard error of one element: about 1 / (mean count per cell × sqrt(n))
    assert np.abs(c2 - beta).max() < 5 / (0.3 * 4 * np.sqrt(n)) + 5 * beta * np.sqrt(2 / n * 3)


@pytest.mark.parametrize(
    ("frames_in", "message"),
    [
        (np.full((1, 24, 20), np.nan), "NaN"),
        (np.full((1, 24, 20), -3), "negative"),
        (np.full((1, 24, 20), -1, "i2"), "frames hold -1: -1 and -2 mark gaps and bad pixels, mask them"),
        (np.repeat([-2.0, -1.0], 240).reshape(1, 24, 20), "frames hold -1 and -2: -1 and -2 mark gaps"),
        (np.full((1, 24, 20), 2**53 + 2), r"a count of 9.01e\+15, and none above 2\^53 is exact"),
        (np.zeros((1, 20, 24)), "do not fit"),
        (np.zeros((61, 24, 20), np.uint16), "were announced"),
    ],
)
def test_bad_frames_are_refused_with_a_reason(partition, frames_in, message):
    reducer = TwoTimeReducer(partition, 60)
    with pytest.raises(ValueError, match=message):
        reducer.push(frames_in)


def test_maps_before_the_last_frame_are_refused(frames, partition):
    reducer = TwoTimeReducer(partition, 60)
    reducer.push(frames[:20])
    with pytest.raises(ValueError, match="20 of 60 frames"):
        reducer.maps()


def test_a_run_without_photons_is_refused(partition):
    reducer = TwoTimeReducer(partition, 4, size=4)
    reducer.push(np.zeros((4, 24, 20), np.uint16))
    with pytest.raises(ValueError, match="no valid frame"):
        reducer.maps()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "cubic"}, "no reduction"),
        ({"reduction": "gaussian"}, "sigma"),
        ({"sigma": 2.0}, "sigma"),
        ({"diagonal": "none"}, "no diagonal"),
        ({"normalization": "none"}, "no normalization"),
        ({"dtype": "int8"}, "dtype"),
    ],
)
def test_unknown_options_are_named(partition, options, message):
    with pytest.raises(ValueError, match=message):
        TwoTimeReducer(partition, 60, **options)
