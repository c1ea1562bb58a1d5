"""pliant's side: the program, as a user runs it."""

import csv
import json
import pathlib
import tempfile

from bench_train.cases import CAPACITY, CASES, EPSILON, LEARNING_STARTS, PLAY, WARMED_UP
from program import pliant


def updates_per_s(arguments):
    command = [
        "bench", "learner", *CASES[arguments.case]["pliant"], "--no-plain", "--rounds", "2",
        "--updates", str(arguments.updates), "--set", f"run.threads={arguments.threads}",
        "--set", f"run.precision={arguments.precision}", "--device", arguments.device,
    ]
    return json.loads(pliant(*command))["updates_per_s"]


def play(arguments):
    """From metrics.csv: agent steps over seconds, from the first row in which it learns and is warm."""
    steps = LEARNING_STARTS + WARMED_UP + arguments.updates * 4
    settings = {
        "env.game": "breakout", "run.num_envs": arguments.envs, "run.threads": arguments.threads,
        "run.precision": arguments.precision, "run.budget_frames": 4 * steps, "agent.replay_capacity": CAPACITY,
        "agent.learning_starts": LEARNING_STARTS, "agent.batch_size": PLAY["batch"], "agent.optimizer.kind": "adam",
        "agent.epsilon": f"{{from={EPSILON},to={EPSILON}}}", "agent.target_period_updates": 2500,
        "eval.before_training": "false", "eval.after_training": "false", "eval.every_frames": 0,
        "checkpoint.every_frames": 0, "checkpoint.replay": "false", "log.every_frames": 400,
    }
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        command = ["train", "double_dqn_zoo", "--out", str(run), "--device", "cpu", *options]
        pliant(*command)
        with open(run / "metrics.csv", newline="") as file:
            rows = [(int(row["agent_steps"]), float(row["wall_s"])) for row in csv.DictReader(file)]
    began = next(row for row in rows if row[0] >= LEARNING_STARTS + WARMED_UP)
    return (rows[-1][0] - began[0]) / (rows[-1][1] - began[1])
