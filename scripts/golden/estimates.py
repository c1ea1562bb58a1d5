#!/usr/bin/env python3
"""Writes the expected values of the statistics' tests, as rliable and scipy compute them.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install rliable==1.2.0 arch==7.2.0 scipy==1.17.1 numpy==2.4.6 "pandas<3"
    /tmp/golden/bin/python scripts/golden/estimates.py     # ten minutes of one core

statistics/tests/golden/estimates.json holds scores ([runs][tasks]) with what rliable makes of them, and pairs
of lists with what scipy makes of those. A bootstrap interval is there as mean and standard deviation of each end
over SEEDS seeds: `[[low, std], [high, std]]`, beside the number of replicates. rliable 1.2.0 draws from NumPy's
global generator and passes its `random_state` by, so that one is seeded here.
"""

import itertools
import json
import pathlib

import numpy as np
import scipy.stats
from rliable import library, metrics

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = 20
REPLICATES = 5000
TAUS = [0.0, 0.25, 0.5, 1.0, 2.0, 8.0]


def ends(intervals):
    """[SEEDS, 2] -> mean and standard deviation of low and of high."""
    intervals = np.array(intervals)
    assert intervals.shape == (SEEDS, 2)
    return [[float(end.mean()), float(end.std(ddof=1))] for end in intervals.T]


def bootstrapped(scores, function):
    """One pair of ends for each number that the function returns."""
    found = []
    for seed in range(SEEDS):
        np.random.seed(seed)
        _, interval = library.get_interval_estimates({"x": scores}, function, reps=REPLICATES)
        found.append(interval["x"])
    return [ends(of_one) for of_one in np.moveaxis(np.array(found), 2, 0)]


# --- scores --------------------------------------------------------------------------------------


def aggregates(scores):
    return np.array(
        [
            metrics.aggregate_mean(scores),
            metrics.aggregate_median(scores),
            metrics.aggregate_iqm(scores),
            metrics.aggregate_optimality_gap(scores),
            metrics.aggregate_optimality_gap(scores, gamma=0.3),
        ]
    )


def run_profile(scores):
    return library.score_distributions(scores, TAUS)


def average_profile(scores):
    return library.average_score_distributions(scores, TAUS)


def of_scores(scores):
    profiles, _ = library.create_performance_profile({"x": scores}, TAUS, reps=2)
    averages, _ = library.create_performance_profile({"x": scores}, TAUS, use_score_distribution=False, reps=2)
    return {
        "scores": scores.tolist(),
        "aggregates": aggregates(scores).tolist(),
        "aggregate_intervals": bootstrapped(scores, aggregates),
        "run_profile": profiles["x"].tolist(),
        "run_profile_intervals": bootstrapped(scores, run_profile),
        "average_profile": averages["x"].tolist(),
        "average_profile_intervals": bootstrapped(scores, average_profile),
    }


def improvement(x, y):
    """As rliable's, without a call of scipy for each task; held against it."""
    wins = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    return np.array([wins.mean()])


def iqm_difference(x, y):
    return np.array([metrics.aggregate_iqm(y) - metrics.aggregate_iqm(x)])


def of_pair(x, y):
    probability = metrics.probability_of_improvement(x, y)
    assert abs(improvement(x, y)[0] - probability) < 1e-12
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "improvement": float(probability),
        "improvement_interval": bootstrapped((x, y), improvement)[0],
        "iqm_difference": float(iqm_difference(x, y)[0]),
        "iqm_difference_interval": bootstrapped((x, y), iqm_difference)[0],
    }


def draw_scores(random, runs, tasks):
    """Of tasks of very different scales, some below 0."""
    scale = np.exp(1.5 * random.normal(size=tasks)) * 0.8
    return scale * (1 + 0.4 * random.normal(size=(runs, tasks))) - 0.05


# --- lists ---------------------------------------------------------------------------------------


def scipy_ends(data, statistic):
    found = []
    for seed in range(SEEDS):
        result = scipy.stats.bootstrap(
            data, statistic, n_resamples=REPLICATES, paired=True, method="percentile", vectorized=False,
            rng=np.random.default_rng(seed), batch=1000,
        )  # fmt: skip
        found.append(list(result.confidence_interval))
    return ends(found)


def spearman(x, y):
    return scipy.stats.spearmanr(x, y).statistic


def kendall(x, y):
    return scipy.stats.kendalltau(x, y, variant="b").statistic


def permutation_p(statistic, x, y):
    """Of all orders of y, the share whose correlation is as far from 0."""
    observed = abs(statistic(x, y))
    orders = itertools.permutations(range(len(y)))
    return float(np.mean([abs(statistic(x, y[list(order)])) >= observed - 1e-9 for order in orders]))


def of_correlation(x, y):
    both = {"spearman": spearman, "kendall": kendall}
    found = {"x": x.tolist(), "y": y.tolist()}
    for name, statistic in both.items():
        found[name] = float(statistic(x, y))
        if len(x) <= 6:
            found[f"{name}_p"] = permutation_p(statistic, x, y)
        else:
            # Whose p-value is an approximation; a test by permutation is near it, for this many points.
            function = scipy.stats.spearmanr if name == "spearman" else scipy.stats.kendalltau
            found[f"{name}_p_asymptotic"] = float(function(x, y).pvalue)
            found[f"{name}_interval"] = scipy_ends((x, y), statistic)
    if len(x) <= 6 and len(set(x)) == len(set(y)) == len(x):
        assert abs(found["kendall_p"] - scipy.stats.kendalltau(x, y, method="exact").pvalue) < 1e-12
    return found


def of_differences(differences):
    """A paired comparison: the mean difference, and all 2^n signs of a sign-flip test."""
    test = scipy.stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    mean = lambda values, axis=-1: np.mean(values, axis=axis)  # noqa: E731
    return {
        "differences": differences.tolist(),
        "mean": float(differences.mean()),
        "standard_deviation": float(differences.std(ddof=1)),
        "standard_error": float(scipy.stats.sem(differences)),
        "p": float(test.pvalue),
        "interval": scipy_ends((differences,), mean),
    }


def main():
    random = np.random.default_rng(0)
    few = draw_scores(random, 3, 4)
    even = draw_scores(random, 10, 6)
    tied = np.round(draw_scores(random, 4, 5), 1)
    atari = draw_scores(random, 5, 57)
    noise = random.normal(size=40)
    linear = 0.5 * noise + random.normal(size=40)
    golden = {
        "versions": {"rliable": "1.2.0", "scipy": scipy.__version__, "numpy": np.__version__},
        "seeds": SEEDS,
        "replicates": REPLICATES,
        "taus": TAUS,
        "scores": {name: of_scores(s) for name, s in dict(few=few, even=even, tied=tied, atari=atari).items()},
        "pairs": {
            "same_runs": of_pair(even, even * 1.1 + 0.1 * random.normal(size=even.shape)),
            "other_runs": of_pair(tied, np.round(draw_scores(random, 7, 5), 1)),
        },
        "correlations": {
            "small": of_correlation(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), np.array([2.0, 1.0, 4.0, 3.0, 6.5, 5.0])),
            "small_tied": of_correlation(np.array([1.0, 1.0, 2.0, 3.0, 3.0]), np.array([1.0, 2.0, 2.0, 2.0, 5.0])),
            "plain": of_correlation(noise, linear),
            "tied": of_correlation(np.round(noise), np.round(-linear)),
        },
        "differences": {
            "three": of_differences(np.array([0.5, 0.1, 0.4])),
            "eight": of_differences(random.normal(size=8) + 0.6),
            "fourteen": of_differences(random.normal(size=14) + 0.4),
        },
    }
    path = ROOT / "statistics/tests/golden/estimates.json"
    path.write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
