#!/usr/bin/env python3
"""Writes the expected spectrum of the Hessian test, by torch.func.hessian in f64.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.11.0 safetensors numpy
    /tmp/golden/bin/python scripts/golden/hessian.py

A perceptron 9 - 6 - 6 - 2 with tanh and the loss mean over observations of the sum over outputs of
(output - target)^2. probes/tests/golden/hessian.safetensors holds `observations` u8 [16, 1, 3, 3],
`targets` f32 [16, 2], `first/VARIABLE` and `eigenvalues` f64, ascending.
"""

import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = {
    "dense1/weight": (6, 9),
    "dense1/bias": (6,),
    "dense2/weight": (6, 6),
    "dense2/bias": (6,),
    "output/weight": (2, 6),
    "output/bias": (2,),
}


def main():
    random = np.random.default_rng(0)
    first = {
        name: torch.tensor(random.normal(size=shape, scale=0.5).astype(np.float32))
        for name, shape in SHAPES.items()
    }
    observations = torch.tensor(random.integers(0, 256, size=(16, 1, 3, 3), dtype=np.uint8))
    targets = torch.tensor(random.normal(size=(16, 2)).astype(np.float32))

    def loss(flat):
        parameters, at = {}, 0
        for name, shape in SHAPES.items():
            size = int(np.prod(shape))
            parameters[name] = flat[at : at + size].reshape(shape)
            at += size
        x = observations.double().flatten(1) / 255
        for layer in ["dense1", "dense2"]:
            x = torch.tanh(x @ parameters[f"{layer}/weight"].T + parameters[f"{layer}/bias"])
        outputs = x @ parameters["output/weight"].T + parameters["output/bias"]
        return (outputs - targets.double()).square().sum(dim=1).mean()

    flat = torch.cat([first[name].double().flatten() for name in SHAPES])
    hessian = torch.func.hessian(loss)(flat)
    expected = {
        "observations": observations,
        "targets": targets,
        "eigenvalues": torch.linalg.eigvalsh(hessian),
    }
    expected |= {f"first/{name}": tensor for name, tensor in first.items()}
    save_file(expected, ROOT / "probes/tests/golden/hessian.safetensors")


main()
