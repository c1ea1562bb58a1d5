"""Speed of pliant's Double DQN and of others, side by side.

Each round gives every implementation its turn in a process of its own; ratios are taken within a round.
`updates` measures updates alone: a batch drawn from a replay of bytes, three forward passes, one backward pass,
an optimiser step; beside a plain Double DQN in PyTorch, with its tensors in the usual order and (of convolutions)
with channels last, with fused Adam or RMSProp over lists (foreach), and beside one in JAX, compiled whole. On
a GPU (--device cuda:0), with the replay there, beside PyTorch as it comes and as a CUDA graph; TF32 is off but where
the precision is tf32.
`play` measures playing Breakout and learning, an update of 32 for every four agent steps, Adam: beside the same
PyTorch learner on ale-py's environments in C++, which step while it learns, and Stable-Baselines3's DQN.
The others' packages take 5 GB in the cache folder, once.
"""

import argparse
import os
import statistics
import subprocess
import sys

from bench_train import ours
from bench_train.cases import CASES


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def other_side(worker, arguments):
    command = [sys.executable, "-m", "bench_train", "worker", worker, "--threads", str(arguments.threads),
               "--precision", arguments.precision, "--updates", str(arguments.updates), "--device", arguments.device]
    command += ["--envs", str(arguments.envs)] if worker.startswith("play") else ["--case", arguments.case]
    # Threads that wait for each other sleep as soon as pliant's, see docs/benchmarks.md.
    ran = subprocess.run(command, capture_output=True, text=True, env={"GOMP_SPINCOUNT": "1000", **os.environ})
    if ran.returncode != 0:
        print(f"{worker} failed and is left out:\n{ran.stderr}", file=sys.stderr)
        return None
    return float(ran.stdout.split()[-1])


def measured(our_side, workers, arguments):
    """Speeds of our side, and for each worker ours over theirs, by round; "failed" for one that does not run here."""
    sides = {"pliant": lambda: our_side(arguments)}
    for worker in workers:
        sides[worker] = lambda worker=worker: other_side(worker, arguments)
    speeds = {side: [] for side in sides}
    for index in range(arguments.rounds):
        order = list(sides) if index % 2 == 0 else list(reversed(sides))
        for side in order:
            if None not in speeds[side]:
                speeds[side].append(sides[side]())

    def ratio(worker):
        pairs = list(zip(speeds["pliant"], speeds[worker]))
        return "failed" if None in speeds[worker] else spread([ours / theirs for ours, theirs in pairs])

    ratios = [ratio(worker) for worker in workers]
    return statistics.median(speeds["pliant"]), ratios


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def header(names):
    print_row(names)
    print_row(["---"] * len(names))


def each(arguments):
    for precision in arguments.precision:
        for threads in arguments.threads:
            yield argparse.Namespace(**{**vars(arguments), "precision": precision, "threads": threads})


def updates(arguments):
    second = "torch, channels last" if arguments.device == "cpu" else "torch, CUDA graph"
    peers = ["torch", second, "jax"]
    header(["network", "threads", "precision", "pliant, ms per update", *(f"to {peer}" for peer in peers)])
    for one in each(arguments):
        for case in arguments.cases:
            is_dense = CASES[case]["net"] == "mlp"
            one.case = case
            one.updates = arguments.updates * (1 if CASES[case]["net"] == "nature" else 4)
            has_no_channels = is_dense and second.endswith("last")
            workers = [peer for peer in peers if not (has_no_channels and peer == second)]
            speed, ratios = measured(ours.updates_per_s, workers, one)
            if has_no_channels:
                ratios.insert(1, "")
            print_row([case, str(one.threads), one.precision, f"{1000 / speed:.2f}", *ratios])


def play(arguments):
    peers = ["torch", "torch, channels last", "stable-baselines3"]
    header(["environments", "threads", "precision", "pliant, agent steps per s", *(f"to {peer}" for peer in peers)])
    for one in each(arguments):
        speed, ratios = measured(ours.play, [f"play: {peer}" for peer in peers], one)
        print_row([str(one.envs), str(one.threads), one.precision, f"{speed:.0f}", *ratios])


def work(arguments):
    from bench_train.workers import WORKERS

    print(WORKERS[arguments.worker](arguments))


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}, expected at least 1")
    return number


def parsed():
    parser = argparse.ArgumentParser(prog="bench-train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="updates|play")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--threads", type=positive, nargs="+", default=[1, 2], help="threads that compute, one or several")
    shared.add_argument("--precision", nargs="+", choices=["f32", "tf32", "bf16"], default=["f32"], help="f32, bf16; on a GPU also tf32")
    shared.add_argument("--rounds", type=positive, default=4, help="even: who goes first alternates")
    one = commands.add_parser("updates", parents=[shared], help="updates alone")
    one.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE",
                     help="which of: " + "; ".join(CASES))
    one.add_argument("--device", default="cpu", help="cpu, or cuda:0")
    one.add_argument("--updates", type=positive, default=100, help="updates per turn, four times as many of small networks")
    one.set_defaults(run=updates)
    two = commands.add_parser("play", parents=[shared], help="playing and learning")
    two.add_argument("--envs", type=int, default=4, choices=[1, 2, 4, 8, 16, 32], help="environments that are stepped together")
    two.add_argument("--updates", type=positive, default=500, help="updates per turn, after a warm-up")
    two.set_defaults(run=play, device="cpu")
    hidden = commands.add_parser("worker")
    hidden.add_argument("worker")
    hidden.add_argument("--threads", type=int)
    hidden.add_argument("--precision")
    hidden.add_argument("--updates", type=int)
    hidden.add_argument("--device")
    hidden.add_argument("--envs", type=int)
    hidden.add_argument("--case")
    hidden.set_defaults(run=work)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parsed()
    arguments.run(arguments)
