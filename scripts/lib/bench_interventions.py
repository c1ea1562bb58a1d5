"""Runs `pliant bench learner` with every intervention and prints a Markdown table of ratios.

The first row, `none`, is a control: no interventions against no interventions. What another row shows
within its range is chance.

An intervention that acts only now and then is made to act after every update, and what it would cost
at its own period is worked out from that.
"""

import argparse
import json
import sys

from program import pliant

# DQN Zoo's, which is also the preset's: what acts on target updates acts this seldom.
TARGET_PERIOD_UPDATES = 7500

# What a kind needs to act in every update, beside its period.
SETTINGS = {
    # Every unit of no activity at all; with more, the network is emptied and nothing is measured.
    "redo": "tau=0.0",
}

# Once in a run: there is no period to speak of.
ONCE = {"plasticity_injection"}

# Where a process puts the two learners in memory shows only between processes.
CONTROL_PROCESSES = 3


def as_json(*arguments):
    return json.loads(pliant(*arguments))


def period_of(kind):
    """Updates between two times that a kind acts by default; 1 if it takes part in every update."""
    defaults = {setting["name"]: setting["default"] for setting in kind["parameters"]}
    if defaults.get("on_target_update"):
        return TARGET_PERIOD_UPDATES
    return defaults.get("every_updates") or 1


def bench(arguments, *options):
    return as_json(
        "bench", "learner", arguments.preset, "--device", arguments.device, *options,
        "--set", "network.kind=nature", "--set", f"run.threads={arguments.threads}",
        "--rounds", str(arguments.rounds), "--updates", str(arguments.updates),
    )


def measure(kind, arguments):
    name, period = kind["name"], period_of(kind)
    settings = [SETTINGS[name]] if name in SETTINGS else []
    settings += ["every_updates=1"] if period > 1 else []
    settings += ["at_updates=[1]"] if name in ONCE else []
    given = f"{name}:{','.join(settings)}" if settings else name
    return period, bench(arguments, "--with", given)


def control(arguments):
    """The row of nothing beside nothing: the middle process's median, least and most of all rounds."""
    ratios = [bench(arguments, "--control")["time_ratio"] for _ in range(CONTROL_PROCESSES)]
    medians, least, most = zip(*ratios)
    middle = sorted(medians)[len(medians) // 2]
    return f"| `none` | {middle:.2f} ({min(least):.2f} to {max(most):.2f}) | | |"


def row(kind, period, speed):
    median, least, most = speed["time_ratio"]
    acting = f"{median:.2f} ({least:.2f} to {most:.2f})"
    by_default = 1 + (median - 1) / period
    when = "all" if period == 1 else f"every {period}"
    if kind["name"] in ONCE:
        when = "from then on"
    return f"| `{kind['name']}` | {acting} | {when} | {by_default:.2f} |"


def main():
    parser = argparse.ArgumentParser(prog="bench-interventions", description=__doc__)
    parser.add_argument("kinds", nargs="*", help="interventions to measure [default: all]")
    parser.add_argument("--preset", default="atari_cpu")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute")
    parser.add_argument("--rounds", type=int, default=8, help="even: the sides take turns at going first")
    parser.add_argument("--updates", type=int, default=20, help="updates per round")
    arguments = parser.parse_args()
    kinds = as_json("list", "interventions", "--json")["interventions"]
    known = [kind["name"] for kind in kinds]
    unknown = [name for name in arguments.kinds if name not in known]
    if unknown:
        parser.error(f"unknown interventions {', '.join(unknown)}: expected some of {', '.join(known)}")
    print("| intervention | an update in which it acts, to one without | acts in updates | by default |")
    print("| --- | --- | --- | --- |")
    print(control(arguments), flush=True)
    plain = []
    for kind in kinds:
        if arguments.kinds and kind["name"] not in arguments.kinds:
            continue
        period, speed = measure(kind, arguments)
        plain.append(speed["plain_updates_per_s"])
        print(row(kind, period, speed), flush=True)
    middle = sorted(plain)[len(plain) // 2]
    print(f"{middle:.1f} updates per second without ({arguments.threads} threads)", file=sys.stderr)


if __name__ == "__main__":
    main()
