"""The work of scripts/kill-campaign."""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

PROBES = ["units:batch_size=64", "rank:batch_size=64", "plasticity:targets=1,steps=20,observations=128"]
WITH = {
    "atari": ["redo:every_updates=40,tau=0.3", "shrink_and_perturb:every_updates=60,shrink=0.9"],
    "mnist": ["layer_norm", "redo:every_updates=50,tau=0.3"],
}
SHARED = {
    "run.device": "cpu",
    "run.num_envs": 3,
    "run.env_threads": 2,
    "run.threads": 2,
    "agent.batch_size": 8,
    "agent.replay_capacity": 1500,
    "agent.learning_starts": 100,
    "agent.target_period_updates": 20,
    "eval.before_training": "false",
    "eval.num_envs": 2,
    "eval.video_steps": 40,
    "checkpoint.every_minutes": 0,
    "checkpoint.keep": 3,
    "log.jsonl": "true",
}
TASKS = {
    "atari": {
        "preset": "quickstart",
        "run.budget_frames": 6000,
        "env.game": "pong",
        "env.repeat_action_probability": 0.25,
        "env.max_num_frames_per_episode": 600,
        "network.width": 0.125,
        "eval.every_frames": 2000,
        "eval.episodes": 2,
        "log.every_frames": 400,
        "checkpoint.every_frames": 500,
    },
    "mnist": {
        "preset": "mnist_true_label",
        "run.budget_frames": 4500,
        "network.width": 32,
        "eval.every_frames": 900,
        "eval.steps": 100,
        "log.every_frames": 150,
        "checkpoint.every_frames": 150,
    },
}


def settings(task):
    own = dict(TASKS[task])
    args = [own.pop("preset")]
    for key, value in {**SHARED, **own}.items():
        args += ["--set", f"{key}={value}"]
    every = "every_updates=100"
    for kind in WITH[task]:
        args += ["--with", kind]
    for kind in PROBES:
        args += ["--probe", f"{kind},{every}"]
    return args


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec -= atol(getenv("SECONDS_BACK"));
    return failed;
}
"""


# Signals at which a run saves and ends in order.
STOPS = ["TERM", "INT", "USR1"]


class Campaign:
    def __init__(self, options, folder):
        self.program = os.environ["PLIANT_BIN"]
        self.how = options.how
        self.random = random.Random(options.seed)
        self.folder = folder
        self.disk = self.mount() if options.how == "full-disk" else None
        self.clock = self.build_clock() if options.clock_back else None
        self.strikes = 0

    def mount(self):
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", disk], check=True)
        return disk

    def unmount(self):
        if self.disk:
            subprocess.run(["umount", self.disk], check=True)

    def build_clock(self):
        library = self.folder / "clock.so"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-", "-ldl"]
        subprocess.run(command, input=CLOCK.encode(), check=True)
        return library

    def start(self, args):
        environment = dict(os.environ)
        if self.clock:
            environment |= {"LD_PRELOAD": str(self.clock), "SECONDS_BACK": str(86_400 * self.strikes)}
        with open(self.folder / "log.txt", "a") as log:
            command = [self.program, *map(str, args)]
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def run_through(self, task):
        run = self.folder / f"{task}-whole"
        begun = time.monotonic()
        code = self.start(["train", *settings(task), "--out", run]).wait()
        if code != 0:
            self.give_up(f"the run that nobody stops ended with {code}")
        return run, time.monotonic() - begun

    def run_killed(self, task, number, kills, seconds):
        """Trains with so many kills and returns the run and how many of them struck a checkpoint being written."""
        run = (self.disk or self.folder) / f"{task}-{number}"
        args = ["train", *settings(task), "--out", run]
        done = in_checkpoint = 0
        while True:
            process = self.start(args)
            if done < kills:
                has_struck, in_one = self.strike(process, run, seconds)
                done += has_struck
                in_checkpoint += in_one
            code = process.wait()
            self.strikes = done
            if self.finished(run):
                return run, done, in_checkpoint
            expected = (1, 2) if self.disk else (0, -getattr(signal, f"SIG{self.how}"))
            if code not in expected:
                self.give_up(f"{run}: ended with {code}")
            self.check_between(run)
            begun = (run / "config.toml").exists()
            args = ["resume", run] if begun else ["train", *settings(task), "--out", run]

    def strike(self, process, run, seconds):
        """Waits for a random time or for a checkpoint being written, then strikes. Whether it came before the run
        ended by itself, and whether it hit a checkpoint."""
        aside = run / "checkpoints"
        until = time.monotonic() + self.random.uniform(0, 0.6 * seconds)
        if self.random.random() < 0.5:
            # The n-th checkpoint of this session, and a moment into it.
            n, moment = self.random.randint(1, 4), self.random.uniform(0, 0.015)
            seen = set()
            limit = time.monotonic() + seconds
            while process.poll() is None and len(seen) < n and time.monotonic() < limit:
                seen.update(path.name for path in aside.glob(".*.new"))
                time.sleep(0.0005)
            until = time.monotonic() + moment
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        if process.poll() is not None:
            return False, False
        if self.disk:
            return self.fill_disk(process, run)
        process.send_signal(getattr(signal, f"SIG{self.how}"))
        code = process.wait()
        return self.how != "KILL" or code < 0, any(aside.glob(".*.new"))

    def fill_disk(self, process, run):
        """Leaves some kilobytes of space until the run ends. Whether that ended it, and at a checkpoint."""
        free = shutil.disk_usage(self.disk).free
        filler = self.disk / "filler"
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free - self.random.randint(0, 200_000), 1))
        code = process.wait()
        filler.unlink()
        if any(run.glob("checkpoints/.*.new")):
            self.give_up(f"{run}: half a checkpoint takes space of a full disk")
        try:
            error = json.loads((run / "status.json").read_text())["error"] or ""
        except FileNotFoundError:
            error = ""
        return code != 0, "cannot write checkpoint" in error

    def finished(self, run):
        try:
            return json.loads((run / "status.json").read_text())["state"] == "finished"
        except FileNotFoundError:
            return False

    def check_between(self, run):
        """What a dashboard sees while the run lies there."""
        for path in sorted(run.glob("checkpoints/[0-9]*")):
            if not (path / "manifest.json").exists():
                self.give_up(f"{path} is not whole")
        if run.exists():  # a strike may come before anything is there
            check_series(self, run)

    def give_up(self, why):
        print(f"kill-campaign: {why}; everything is in {self.folder}", file=sys.stderr)
        sys.exit(1)


def check_series(campaign, run):
    """Every series that TensorBoard reads goes forward in time, without a point that stands there twice."""
    log = EventAccumulator(str(run), size_guidance={"tensors": 0})
    log.Reload()
    found = {}
    for tag in log.Tags()["tensors"]:
        steps = [event.step for event in log.Tensors(tag)]
        if any(a >= b for a, b in zip(steps, steps[1:])):
            campaign.give_up(f"{run}: TensorBoard reads {tag} at {steps}")
        if not tag.startswith(("speed/", "_hparams_")):
            found[tag] = [(event.step, event.tensor_proto.SerializeToString()) for event in log.Tensors(tag)]
    return found


def raw_points(run):
    """Points in the files themselves, before TensorBoard drops any."""
    count = 0
    for path in run.glob("events.out.tfevents.*"):
        for event in EventFileLoader(str(path)).Load():
            tags = [value.tag for value in event.summary.value]
            count += sum(not tag.startswith(("speed/", "_hparams_")) for tag in tags)
    return count


def without_time(path):
    rows = list(csv.reader(path.open()))
    column = rows[0].index("wall_s")
    return [row[:column] + row[column + 1 :] for row in rows]


def json_without_time(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "wall_s"} for row in rows]


def state(path):
    found = json.loads((path / "state.json").read_text())
    del found["wall_s"]
    found["values"]["outputs"]["events"] = None
    return found


def compare(campaign, whole, run):
    """Everything that does not depend on the clock on the wall."""

    def same(what, a, b):
        if a != b:
            campaign.give_up(f"{run}: {what} differs from {whole}")

    same("metrics.csv", without_time(whole / "metrics.csv"), without_time(run / "metrics.csv"))
    same("metrics.jsonl", json_without_time(whole / "metrics.jsonl"), json_without_time(run / "metrics.jsonl"))
    kept = [sorted(int(p.name) for p in r.glob("checkpoints/*")) for r in (whole, run)]
    if campaign.how in STOPS:  # each leaves a checkpoint of its own, which may be among those that are kept
        same("the newest checkpoint", *(names[-1] for names in kept))
        kept = [sorted(set(kept[0]) & set(kept[1]))] * 2
    same("checkpoints", *kept)
    for pattern in ("figures/**/*", "media/*"):
        names = [sorted(str(p.relative_to(r)) for p in r.glob(pattern)) for r in (whole, run)]
        same(pattern, *names)
    checkpoints = [path for name in kept[0] for path in (whole / "checkpoints" / str(name)).iterdir()]
    for path in [*checkpoints, *whole.glob("figures/**/*"), *whole.glob("media/*")]:
        other = run / path.relative_to(whole)
        if path.name == "state.json":
            same(path.name, state(path.parent), state(other.parent))
        elif path.is_file() and path.name != "manifest.json" and path.suffix != ".svg":
            same(path.relative_to(whole), path.read_bytes(), other.read_bytes())
    a, b = check_series(campaign, whole), check_series(campaign, run)
    same("the set of TensorBoard's tags", sorted(a), sorted(b))
    for tag in a:
        same(f"TensorBoard's {tag}", a[tag], b[tag])
    same("the number of points in event files", raw_points(whole), raw_points(run))


def main():
    parser = argparse.ArgumentParser(prog="scripts/kill-campaign")
    parser.add_argument("strikes", nargs="?", type=int, default=100)
    parser.add_argument("--how", choices=["KILL", "TERM", "INT", "USR1", "full-disk"], default="KILL")
    parser.add_argument("--clock-back", action="store_true")
    parser.add_argument("--task", choices=sorted(TASKS), action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    tasks = options.task or sorted(TASKS)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="kill-campaign-"))
    folder.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(options, folder)
    how = options.how + (", clock back" if options.clock_back else "")
    print("| task | how | strikes | while a checkpoint was written | runs | equal to the whole run |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for index, task in enumerate(tasks):
        share = options.strikes // len(tasks) + (index < options.strikes % len(tasks))
        whole, seconds = campaign.run_through(task)
        kills = in_checkpoint = runs = 0
        while kills < share:
            wanted = min(share - kills, campaign.random.randint(3, 12))
            run, done, struck = campaign.run_killed(task, runs, wanted, seconds)
            compare(campaign, whole, run)
            shutil.rmtree(run)
            kills, in_checkpoint, runs = kills + done, in_checkpoint + struck, runs + 1
        print(f"| {task} | {how} | {kills} | {in_checkpoint} | {runs} | {runs} |", flush=True)
    campaign.unmount()
    if not options.keep:
        shutil.rmtree(folder)


main()
