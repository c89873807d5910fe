"""How often 95 % intervals of a mean hold the truth: the table in docs/statistics.md.

Simulated experiments of n independent differences; t, percentile bootstrap, bootstrap-t, and the interval of the sign-flip test.
usage: interval_coverage.py > interval_coverage.txt      (numpy, scipy)
"""

import numpy as np
from scipy.stats import t as student

EXPERIMENTS, RESAMPLES = 2000, 1000
random = np.random.default_rng(1)

KINDS = {
    "normal": (lambda shape: random.standard_normal(shape), 0.0),
    "exponential": (lambda shape: random.exponential(1, shape), 1.0),
    "log-normal": (lambda shape: random.lognormal(0, 1, shape), np.exp(0.5)),
    "one in 20 ten times as wide": (
        lambda shape: np.where(random.random(shape) < 0.05, 10, 1) * random.standard_normal(shape),
        0.0,
    ),
}


def holds(x, truth):
    """Of one experiment: whether each interval holds the truth."""
    n = len(x)
    mean, error = x.mean(), x.std(ddof=1) / np.sqrt(n)
    resampled = x[random.integers(0, n, (RESAMPLES, n))]
    means, errors = resampled.mean(1), resampled.std(1, ddof=1) / np.sqrt(n)
    low, high = np.quantile(means, [0.025, 0.975])
    with np.errstate(divide="ignore", invalid="ignore"):
        pivots = (means - mean) / errors
    below, above = np.quantile(pivots[np.isfinite(pivots)], [0.025, 0.975])
    flipped = np.abs(((random.integers(0, 2, (RESAMPLES, n)) * 2 - 1) * (x - truth)).mean(1))
    return (
        abs(mean - truth) <= student.ppf(0.975, n - 1) * error,
        low <= truth <= high,
        mean - above * error <= truth <= mean - below * error,
        np.mean(flipped >= abs(mean - truth) - 1e-12) > 0.05,
    )


print(f"{'differences':28} {'n':>4}      t  percentile  bootstrap-t  sign flips")
for kind, (draw, truth) in KINDS.items():
    for n in (10, 20, 40, 100):
        shares = np.mean([holds(x, truth) for x in draw((EXPERIMENTS, n))], axis=0)
        print(f"{kind:28} {n:4} {shares[0]:6.3f} {shares[1]:11.3f} {shares[2]:12.3f} {shares[3]:11.3f}", flush=True)
