"""The algorithm of ``xtec`` 0.1.1: damped expectation and maximization."""

import numpy as np


def damped(x, means, variances, epochs=551, alpha=0.7):
    """Labels after stepwise EM from a start, (n,)."""
    means, variances, weights = means.copy(), variances.copy(), np.full(len(means), 1 / len(means))
    for epoch in range(epochs):
        logs = np.stack(
            [-0.5 * np.log(v).sum() - 0.5 * ((x - m) ** 2 / v).sum(1) for m, v in zip(means, variances, strict=True)]
        )
        shares = weights[:, None] * np.exp(logs - logs.max(0))
        shares /= shares.sum(0)
        weights = np.maximum(shares.mean(1), 1e-10)
        size = len(x) * weights[:, None]
        new = shares @ x / size
        new_variances = np.stack([r @ (x - m) ** 2 for r, m in zip(shares, new, strict=True)]) / size
        eta = (epoch + 2) ** -alpha
        means, variances = (1 - eta) * means + eta * new, (1 - eta) * variances + eta * new_variances
    return shares.argmax(0)
