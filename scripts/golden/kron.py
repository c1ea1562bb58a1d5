#!/usr/bin/env python3
"""Writes the expected values of the PSGD-Kron tests, as kron_torch computes them in f64.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.11.0 kron-torch==0.2.4 safetensors numpy
    /tmp/golden/bin/python scripts/golden/kron.py

What kron_torch draws (normal numbers, and when the preconditioners learn) is handed to it, and written
down for the other side: core/tests/golden/kron.safetensors holds `plan` i64 [STEPS, 2] (learn, balance)
and for each variable of each case `first`, `gradients`, `noise` and `after`, [STEPS, ..] but for the first.
`schedule` is the probability to learn after 0, 250, 251, 1000, 3000, 4000 and 100,000 updates.
"""

import os

os.environ["TORCHDYNAMO_DISABLE"] = "1"

import pathlib  # noqa: E402

import kron_torch.kron as reference  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = 12
SHAPES = {"matrix": (4, 3), "kernel": (3, 2, 2, 2), "vector": (5,), "row": (1, 4)}
SILENT = [4, 9]  # updates at which the preconditioners stay as they are
BALANCED = [2, 7]
AFTER = [0, 250, 251, 1000, 3000, 4000, 100_000]


def cases():
    yield "default", {}
    yield "one_diag", dict(memory_save_mode="one_diag", weight_decay=0.1, b1=0.5)
    yield "all_diag", dict(memory_save_mode="all_diag", precond_lr=0.3)
    yield "small_triangular", dict(max_size_triangular=3, precond_init_scale=2.0, trust_region_scale=0.5)


def solve_in_f64(x, a):
    return torch.linalg.solve_triangular(a, x[None, :], upper=True, left=False)[0]


class Dice:
    """Learns but at SILENT updates, balances at BALANCED ones."""

    def __init__(self):
        self.calls = 0

    def random(self):
        update, is_second = divmod(self.calls, 2)
        self.calls += 1
        return (0.0 if update in BALANCED else 0.5) if is_second else (1.0 if update in SILENT else 0.0)


def run(settings, random):
    """first, gradients, noise, after of each variable."""
    f32 = lambda *shape: torch.tensor(random.normal(size=shape).astype(np.float32)).double()  # noqa: E731
    first = {name: f32(*shape) for name, shape in SHAPES.items()}
    scales = {name: torch.exp(1.5 * f32(*shape)).float().double() for name, shape in SHAPES.items()}
    gradients = {name: (f32(STEPS, *shape) * scales[name]).float().double() for name, shape in SHAPES.items()}
    noise = {name: f32(STEPS, *shape) for name, shape in SHAPES.items()}
    params = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in first.items()}
    group = dict(params=list(params.values()), lr=0.01, precond_dtype=torch.float64)
    optimizer = reference.Kron([{**group, **settings}], preconditioner_update_probability=0.9)
    optimizer.rng = Dice()
    reference._solve_triangular_right = solve_in_f64
    after = {name: [] for name in SHAPES}
    for step in range(STEPS):
        order = iter([noise[name][step] for name in SHAPES])
        torch.randn_like = lambda like, dtype=None: next(order)
        for name, param in params.items():
            param.grad = gradients[name][step].clone()
        optimizer.step()
        for name, param in params.items():
            after[name].append(param.detach().clone())
    for name in SHAPES:
        yield name, dict(first=first[name], gradients=gradients[name], noise=noise[name], after=torch.stack(after[name]))


if __name__ == "__main__":
    plan = [[step not in SILENT, step in BALANCED and step not in SILENT] for step in range(STEPS)]
    schedule = reference.precond_update_prob_schedule()
    tensors = {"plan": torch.tensor(plan).long(), "schedule": torch.stack([schedule(n) for n in AFTER])}
    for index, (case, settings) in enumerate(cases()):
        for name, parts in run(settings, np.random.default_rng(index)):
            tensors.update({f"{case}/{name}/{key}": tensor.float() for key, tensor in parts.items()})
    save_file(tensors, ROOT / "core/tests/golden/kron.safetensors", {"kron_torch": "0.2.4"})
