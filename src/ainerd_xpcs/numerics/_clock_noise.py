"""The map of a sample with a clock, and the noise of maps of Gaussian speckle."""

import numba as nb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
N_SHAPE = 3  # parameters beside the rates: logarithms of contrast and exponent, logit of the static share


@nb.njit(nogil=True, cache=True)
def clock_map(theta: Floats, steps: Floats, width: float) -> Floats:
    """Return C2 - 1 and its slopes by the advance between the cells, log exponent and logit share, (4, n, n).

    C2 - 1 = contrast ((1 - x) exp(-|s1 - s2|^exponent) + x)². A cell is a mean over its width, of which two points
    take the place. The slope by the logarithm of the contrast is the map.

    Parameters
    ----------
    theta : ndarray, shape (n - 1 + 3,)
        Logarithms of the rates between the cells, of contrast and exponent, logit of the static share.
    steps : ndarray, shape (n - 1,)
        Times between the cells.
    width : float
        Duration of a cell.
    """
    m = len(steps)
    n = m + 1
    contrast, exponent, share = np.exp(theta[m]), np.exp(theta[m + 1]), 1 / (1 + np.exp(-theta[m + 2]))
    s, own = np.zeros(n), np.empty(n)
    for k in range(m):
        s[k + 1] = s[k] + np.exp(theta[k]) * steps[k]
    for i in range(n):
        slow = theta[min(i, m - 1)] if i == 0 else theta[i - 1] if i == m else min(theta[i - 1], theta[i])
        own[i] = np.exp(slow) * width
    out = np.zeros((4, n, n))
    for i in range(n):
        for j in range(i, n):
            apart = s[j] - s[i] if j > i else own[i] / 3
            half = min(np.sqrt((own[i] ** 2 + own[j] ** 2) / 12), 0.6 * apart)
            for side in (-1.0, 1.0):
                at = max(apart + side * half, 1e-9)
                log_at = np.log(at)
                z = np.exp(min(exponent * log_at, 50.0))
                g = np.exp(-z)
                f = (1 - share) * g + share
                by_z = -contrast * f * (1 - share) * g
                out[0, i, j] += 0.5 * contrast * f * f
                out[1, i, j] += by_z * exponent * z / at
                out[2, i, j] += by_z * z * exponent * log_at
                out[3, i, j] += contrast * f * (1 - g) * share * (1 - share)
            for k in range(4):
                out[k, j, i] = out[k, i, j]
    return out


@nb.njit(nogil=True, cache=True)
def step_products(weight: Floats, slope: Floats, advance: Floats) -> Floats:
    """Return W D_k for the log rate of each step k, (n - 1, n, n), from cumulative sums.

    D_k is ``advance[k] * slope`` where a pair of cells has the step between them, and 0 elsewhere.
    """
    n = len(weight)
    below, above = np.zeros((n, n)), np.zeros((n, n))
    out = np.empty((n - 1, n, n))
    for i in range(n):
        for j in range(n):
            for k in range(n):
                above[i, k] += weight[i, j] * slope[j, k]
    for k in range(n - 1):
        for i in range(n):
            for a in range(n):
                change = weight[i, k] * slope[k, a]
                below[i, a] += change
                above[i, a] -= change
            for a in range(k + 1):
                out[k, i, a] = advance[k] * above[i, a]
            for a in range(k + 1, n):
                out[k, i, a] = advance[k] * below[i, a]
    return out


@nb.njit(nogil=True, cache=True)
def _halves(products: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the symmetric and antisymmetric halves of products W D, one row each, and the diagonals of W D W."""
    m, n = products.shape[0], products.shape[1]
    even, odd = np.empty((m, n * (n + 1) // 2)), np.empty((m, n * (n + 1) // 2))
    diagonal = np.zeros((m, n))
    root = np.sqrt(0.5)
    for k in range(m):
        at = 0
        for i in range(n):
            even[k, at], odd[k, at] = products[k, i, i], 0.0
            at += 1
            total = 0.0
            for j in range(n):
                total += products[k, i, j] * weight[j, i]
            diagonal[k, i] = total
            for j in range(i + 1, n):
                even[k, at] = root * (products[k, i, j] + products[k, j, i])
                odd[k, at] = root * (products[k, i, j] - products[k, j, i])
                at += 1
    return even, odd, diagonal


def information(products: Floats, weight: Floats, squared: Floats, n_pixels: float) -> tuple[Floats, Floats]:
    """Return n_pixels / 2 tr(W D W D') with a free diagonal of the map, and the diagonals of W D W.

    Maps of Gaussian speckle are Wishart: cov(C_ij, C_kl) = (S_ik S_jl + S_il S_jk) / n_pixels, with W = 1 / S.

    Parameters
    ----------
    products : ndarray, shape (m, n, n)
        W D of each parameter, with D the slope of the map.
    weight, squared : ndarray, shape (n, n)
        W, and the inverse of its squared elements.
    n_pixels : float
    """
    even, odd, diagonal = _halves(products, weight)
    whole = even @ even.T - odd @ odd.T - diagonal @ squared @ diagonal.T
    return n_pixels / 2 * whole, diagonal


def free_diagonal(weight: Floats, squared: Floats, residual: Floats) -> tuple[Floats, Floats, Floats]:
    """Return W R W with the diagonal of R such that its own vanishes; R with zeros there; and that diagonal.

    `residual` is (n, n), or (b, n, n) of the bins.
    """
    n = len(weight)
    i = np.arange(n)
    bare = residual.copy()
    bare[..., i, i] = 0
    product = weight @ bare @ weight
    own = -product[..., i, i] @ squared
    return product + (weight * own[..., None, :]) @ weight, bare, own
