#!/usr/bin/env python3
"""Writes the expected values of the categorical heads' tests: distributions by explicit loops over Python's
f64, losses and gradients by PyTorch.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.11.0 safetensors numpy
    /tmp/golden/bin/python scripts/golden/heads.py

core/tests/golden/heads.safetensors holds for each encoding and support `CASE/support` (min, max, bins);
`CASE/values` and `CASE/encoded` of scalar targets, many beyond the support; and of a batch of transitions
what the heads are given (`outputs_tm1`, `a_tm1`, `r_t`, `discount_t`, `outputs_t`, `a_t`) and what they
make of it: `q_tm1`, `value`, `distribution`, `loss` and `gradient`, of the mean loss.
"""

import math
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACTIONS = 3
BATCH = 8
VALUES = 100
SIGMA = 0.75  # of HL-Gauss, in bins


def c51(support, probabilities, reward, discount):
    """Algorithm 1 of Bellemare et al. (2017), in its notation."""
    v_min, v_max, bins = support
    delta_z = (v_max - v_min) / (bins - 1)
    m = [0.0] * bins
    for j in range(bins):
        z_j = v_min + j * delta_z
        t_z = min(max(reward + discount * z_j, v_min), v_max)
        b_j = (t_z - v_min) / delta_z
        lower, upper = math.floor(b_j), math.ceil(b_j)
        if lower == upper:  # the algorithm as printed loses this mass
            m[lower] += probabilities[j]
        else:
            m[lower] += probabilities[j] * (upper - b_j)
            m[upper] += probabilities[j] * (b_j - lower)
    return m


def two_hot(support, value):
    """All mass on the neighbours, such that the mean is the value."""
    v_min, v_max, bins = support
    delta_z = (v_max - v_min) / (bins - 1)
    value = min(max(value, v_min), v_max)
    mass = [0.0] * bins
    lower = min(int((value - v_min) / delta_z), bins - 2)
    share = (value - (v_min + lower * delta_z)) / delta_z
    mass[lower], mass[lower + 1] = 1 - share, share
    return mass


def hl_gauss(support, value):
    """Section 3.1 of Farebrother et al. (2024): a normal distribution cut off at the support's ends."""
    v_min, v_max, bins = support
    width = (v_max - v_min) / bins
    value = min(max(value, v_min), v_max)

    def cdf(x):
        return 0.5 * (1 + math.erf((x - value) / (math.sqrt(2) * SIGMA * width)))

    total = cdf(v_max) - cdf(v_min)
    edges = [v_min + i * (v_max - v_min) / bins for i in range(bins + 1)]
    return [(cdf(high) - cdf(low)) / total for low, high in zip(edges, edges[1:])]


def places(encoding, support):
    """The value of each bin."""
    v_min, v_max, bins = support
    if encoding == "hl_gauss":
        width = (v_max - v_min) / bins
        return [v_min + (i + 0.5) * width for i in range(bins)]
    return [v_min + i * (v_max - v_min) / (bins - 1) for i in range(bins)]


def mean(encoding, support, probabilities):
    return sum(p * z for p, z in zip(probabilities, places(encoding, support)))


def softmax(logits):
    shares = [math.exp(logit - max(logits)) for logit in logits]
    return [share / sum(shares) for share in shares]


def scalars(encoding, support, random):
    """Targets within and beyond the support, on its ends, on an atom and on an edge."""
    v_min, v_max, bins = support
    middle, width = (v_min + v_max) / 2, v_max - v_min
    special = [v_min, v_max, places("two_hot", support)[1], v_min + width / bins, v_min - 100, v_max + 100]
    drawn = middle + width * random.uniform(-0.75, 0.75, size=VALUES - len(special))
    values = np.concatenate([special, drawn]).astype(np.float32)
    encode = two_hot if encoding != "hl_gauss" else hl_gauss
    return values, [encode(support, float(value)) for value in values]


def target(encoding, support, reward, discount, outputs, action):
    """Value and distribution of one transition's target."""
    bins = support[2]
    probabilities = softmax([float(x) for x in outputs[action * bins : (action + 1) * bins]])
    if encoding == "distributional":
        distribution = c51(support, probabilities, reward, discount)
        return mean(encoding, support, distribution), distribution
    value = reward + discount * mean(encoding, support, probabilities)
    return value, (two_hot if encoding == "two_hot" else hl_gauss)(support, value)


def case(encoding, support, random):
    bins = support[2]
    values, encoded = scalars(encoding, support, random)
    outputs_tm1, outputs_t = random.normal(size=(2, BATCH, ACTIONS * bins)).astype(np.float32) * 2
    a_tm1, a_t = random.integers(0, ACTIONS, size=(2, BATCH))
    r_t = random.uniform(-3, 3, size=BATCH).astype(np.float32)
    discount_t = np.array([0.99, 0.97, 0.0, 1.0] * (BATCH // 4), dtype=np.float32)
    r_t[3], discount_t[3] = 0.0, 1.0  # every atom falls on itself
    targets = [
        target(encoding, support, float(r_t[i]), float(discount_t[i]), outputs_t[i], int(a_t[i])) for i in range(BATCH)
    ]
    distribution = torch.tensor([p for _, p in targets], dtype=torch.float64)
    outputs = torch.tensor(outputs_tm1, dtype=torch.float64, requires_grad=True)
    chosen = outputs.reshape(BATCH, ACTIONS, bins)[torch.arange(BATCH), torch.tensor(a_tm1)]
    loss = torch.nn.functional.cross_entropy(chosen, distribution, reduction="none")
    loss.mean().backward()
    q_tm1 = [
        [mean(encoding, support, softmax([float(x) for x in row])) for row in one.reshape(ACTIONS, bins)]
        for one in outputs_tm1
    ]
    return dict(
        support=support, values=values, encoded=encoded, outputs_tm1=outputs_tm1, a_tm1=a_tm1, r_t=r_t,
        discount_t=discount_t, outputs_t=outputs_t, a_t=a_t, q_tm1=q_tm1, value=[v for v, _ in targets],
        distribution=distribution, loss=loss.detach(), gradient=outputs.grad,
    )  # fmt: skip


if __name__ == "__main__":
    random = np.random.default_rng(0)
    tensors = {}
    for encoding in ("two_hot", "hl_gauss", "distributional"):
        for name, support in {"wide": (-10.0, 10.0, 51), "narrow": (-1.0, 2.0, 5)}.items():
            for key, value in case(encoding, support, random).items():
                kind = torch.int64 if key.startswith("a_") else torch.float32
                tensors[f"{encoding}_{name}/{key}"] = torch.as_tensor(value).to(kind).contiguous()
    save_file(tensors, ROOT / "core/tests/golden/heads.safetensors", {"torch": torch.__version__})
