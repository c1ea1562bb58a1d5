"""Updates per second of pliant's Double DQN and of a plain one in PyTorch, side by side.

Each round gives every implementation its turn in a process of its own; ratios are taken within a round.
The peer is measured with its tensors in the usual order (`torch`) and with channels last (`torch, channels
last`, of convolutions), both with the quickest optimiser that PyTorch has: fused Adam, or RMSProp over lists
(foreach). An update is the same work everywhere: a batch drawn from a replay of bytes, three forward passes,
one backward pass, an optimiser step.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time

CASES = {
    "nature, batch 32, RMSProp": {
        "net": "nature", "batch": 32, "shape": (4, 84, 84), "actions": 4, "optimizer": "rmsprop",
        "pliant": ["double_dqn_zoo", "--set", "agent.learning_starts=500", "--set", "agent.replay_capacity=2000"],
    },
    "mlp, batch 128, Adam": {"net": "mlp", "batch": 128},
    "mlp, batch 512, Adam": {"net": "mlp", "batch": 512},
    "cnn, batch 128, Adam": {"net": "cnn", "batch": 128},
    "cnn, batch 512, Adam": {"net": "cnn", "batch": 512},
}
MNIST = {"shape": (1, 28, 28), "actions": 10, "optimizer": "adam"}


def case(name):
    found = CASES[name]
    if "shape" in found:
        return found
    settings = [f"network.kind={found['net']}", f"agent.batch_size={found['batch']}", "agent.optimizer.kind=adam"]
    options = [part for setting in settings for part in ("--set", setting)]
    return {**MNIST, **found, "pliant": ["mnist_true_label", *options]}


def pliant(name, threads, precision, updates):
    command = [
        os.environ["PLIANT_BIN"], "bench", "learner", *case(name)["pliant"], "--no-plain", "--rounds", "2",
        "--updates", str(updates), "--set", f"run.threads={threads}", "--set", f"run.precision={precision}",
        "--device", "cpu",
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["updates_per_s"]


def torch_process(name, threads, precision, updates, is_channels_last):
    command = [sys.executable, __file__, "--worker", name, "--threads", str(threads), "--precision", precision,
               "--updates", str(updates)]
    command += ["--channels-last"] if is_channels_last else []
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def network(found):
    from torch import nn

    relu, out = nn.ReLU, found["actions"]
    if found["net"] == "nature":
        layers = [nn.Conv2d(4, 32, 8, 4), relu(), nn.Conv2d(32, 64, 4, 2), relu(), nn.Conv2d(64, 64, 3, 1), relu(),
                  nn.Flatten(), nn.Linear(3136, 512), relu(), nn.Linear(512, out)]
    elif found["net"] == "cnn":
        layers = [nn.Conv2d(1, 64, 5, 2), relu(), nn.Conv2d(64, 64, 3, 2), relu(), nn.Flatten(),
                  nn.Linear(1600, 256), relu(), nn.Linear(256, 256), relu(), nn.Linear(256, out)]
    else:
        layers = [nn.Flatten(), nn.Linear(784, 512), relu(), nn.Linear(512, 512), relu(), nn.Linear(512, out)]
    return nn.Sequential(*layers)


def worker(arguments):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(arguments.threads)
    found = case(arguments.worker)
    channels, height, width = found["shape"]
    online = network(found)
    memory = torch.channels_last if arguments.channels_last else torch.contiguous_format
    online = online.to(memory_format=memory)
    target = copy.deepcopy(online)
    if found["optimizer"] == "adam":
        optimizer = torch.optim.Adam(online.parameters(), lr=1e-4, eps=1.5e-4, fused=True)
    else:
        optimizer = torch.optim.RMSprop(
            online.parameters(), lr=2.5e-4, alpha=0.95, eps=1e-5, centered=True, foreach=True)
    frames = torch.randint(0, 256, (2000, height, width), dtype=torch.uint8)
    stack = torch.arange(channels)
    actions, rewards = torch.randint(0, found["actions"], (2000,)), torch.randn(2000)
    discounts = torch.full((2000,), 0.99)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bf16")

    def observations(index):
        return (frames[index[:, None] + stack].float() / 255).contiguous(memory_format=memory)

    def update():
        index = torch.randint(0, 1990, (found["batch"],))
        before, after = observations(index), observations(index + 1)
        with autocast:
            with torch.no_grad():
                best = online(after).argmax(1, keepdim=True)
                value = target(after).gather(1, best).squeeze(1).float()
                goal = rewards[index] + discounts[index] * value
        with autocast:
            q = online(before)
        q = q.float().gather(1, actions[index].unsqueeze(1)).squeeze(1)
        loss = F.smooth_l1_loss(q, goal)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(10):
        update()
    started = time.perf_counter()
    for _ in range(arguments.updates):
        update()
    print(arguments.updates / (time.perf_counter() - started))


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def row(name, threads, precision, arguments):
    updates = arguments.updates if case(name)["net"] == "nature" else 4 * arguments.updates
    sides = {
        "pliant": lambda: pliant(name, threads, precision, updates),
        "torch": lambda: torch_process(name, threads, precision, updates, False),
    }
    if case(name)["net"] != "mlp":
        sides["torch, channels last"] = lambda: torch_process(name, threads, precision, updates, True)
    speeds = {side: [] for side in sides}
    for index in range(arguments.rounds):
        order = list(sides) if index % 2 == 0 else list(reversed(sides))
        for side in order:
            speeds[side].append(sides[side]())
    ours = speeds["pliant"]
    cells = [name, str(threads), precision, f"{1000 / statistics.median(ours):.2f}"]
    for side in ("torch", "torch, channels last"):
        theirs = speeds.get(side)
        cells.append(spread([a / b for a, b in zip(ours, theirs)]) if theirs else "")
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(prog="bench-train", description=__doc__)
    parser.add_argument("--cases", nargs="*", default=list(CASES), help="which of: " + "; ".join(CASES))
    parser.add_argument("--threads", nargs="*", default=["1", "2"], help="threads that compute, one or several")
    parser.add_argument("--precision", nargs="*", default=["f32"], help="f32, bf16")
    parser.add_argument("--rounds", type=int, default=4, help="even: who goes first alternates")
    parser.add_argument("--updates", type=int, default=100, help="updates per turn, four times as many of small networks")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--channels-last", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        arguments.threads, arguments.precision = int(arguments.threads[0]), arguments.precision[0]
        return worker(arguments)
    unknown = [name for name in arguments.cases if name not in CASES]
    if unknown:
        parser.error(f"unknown cases {unknown}: expected some of {list(CASES)}")
    print("| network | threads | precision | pliant, ms per update | to torch | to torch, channels last |")
    print("| --- | --- | --- | --- | --- | --- |")
    for precision in arguments.precision:
        for threads in arguments.threads:
            for name in arguments.cases:
                print(row(name, int(threads), precision, arguments), flush=True)


if __name__ == "__main__":
    main()
