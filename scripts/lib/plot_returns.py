"""Training returns of runs against frames, one line per run; see scripts/plot-returns."""

import csv
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def series(run: pathlib.Path, tag: str) -> tuple[list[int], list[float]]:
    """Frames and values of one tag of a run's metrics.csv."""
    with open(run / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["tag"] == tag]
    return [int(row["frames"]) for row in rows], [float(row["value"]) for row in rows]


def smooth(values: list[float], window: int = 5) -> list[float]:
    """Mean of each value and up to `window - 1` before it."""
    parts = [values[max(0, i - window + 1) : i + 1] for i in range(len(values))]
    return [sum(part) / len(part) for part in parts]


def main(out: str, runs: list[str]) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for run in map(pathlib.Path, runs):
        frames, returns = series(run, "episode/return")
        (line,) = axes.plot(frames, smooth(returns), label=f"{run.name}: training, mean of 5 periods")
        axes.plot(*series(run, "eval/return"), "o", color=line.get_color())
    axes.plot([], [], "o", color="grey", label="evaluation, before and after training")
    axes.set(xlabel="frames", ylabel="return (unclipped)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
