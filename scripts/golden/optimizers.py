#!/usr/bin/env python3
"""Writes the expected values of the optimiser and Double-Q tests, as optax and PyTorch compute them in f64.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.11.0 optax==0.2.8 jax numpy
    /tmp/golden/bin/python scripts/golden/optimizers.py

Gradients and first parameters are f32 numbers, so that both sides begin with the same bits.
"""

import json
import pathlib
import re

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
import torch  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = 20
KEPT = [1, 2, 5, 20]
DQN_EPS = 0.01 / 32**2


def problem():
    """First parameters [6] and gradients [STEPS, 6], of sizes from far below eps to far above it."""
    random = np.random.default_rng(0)
    scales = np.array([1e-4, 1e-3, 1e-2, 1.0, 30.0, 1.0])
    gradients = random.normal(size=(STEPS, 6)) * scales
    gradients[:, 3] += 2.0  # a mean far from zero: what centring is about
    gradients[5:9, 5] = 0.0
    return random.normal(size=6).astype(np.float32), gradients.astype(np.float32)


def with_optax(transform):
    def run(first, gradients):
        params = jnp.asarray(first, jnp.float64)
        state = transform.init(params)
        trajectory = []
        for gradient in gradients:
            updates, state = transform.update(jnp.asarray(gradient, jnp.float64), state, params)
            params = optax.apply_updates(params, updates)
            trajectory.append(params.tolist())
        return trajectory

    return run


def with_torch(make):
    def run(first, gradients):
        params = torch.tensor(first, dtype=torch.float64, requires_grad=True)
        optimizer = make([params])
        trajectory = []
        for gradient in gradients:
            params.grad = torch.tensor(gradient, dtype=torch.float64)
            optimizer.step()
            trajectory.append(params.detach().tolist())
        return trajectory

    return run


def cases():
    """(name, kind, settings of pliant, the peer)."""
    optim = torch.optim
    yield "optax.rmsprop, centred", "rmsprop", dict(
        learning_rate=0.01, decay=0.95, eps=DQN_EPS, eps_position="inside_root", centered=True, momentum=0.0
    ), with_optax(optax.rmsprop(0.01, decay=0.95, eps=DQN_EPS, centered=True))
    yield "optax.rmsprop, plain", "rmsprop", dict(
        learning_rate=0.01, decay=0.9, eps=DQN_EPS, eps_position="inside_root", centered=False, momentum=0.0
    ), with_optax(optax.rmsprop(0.01, decay=0.9, eps=DQN_EPS))
    yield "torch.optim.RMSprop, centred", "rmsprop", dict(
        learning_rate=0.01, decay=0.95, eps=DQN_EPS, eps_position="outside_root", centered=True, momentum=0.0
    ), with_torch(lambda p: optim.RMSprop(p, lr=0.01, alpha=0.95, eps=DQN_EPS, centered=True))
    yield "torch.optim.RMSprop, plain with momentum", "rmsprop", dict(
        learning_rate=0.01, decay=0.95, eps=DQN_EPS, eps_position="outside_root", centered=False, momentum=0.5
    ), with_torch(lambda p: optim.RMSprop(p, lr=0.01, alpha=0.95, eps=DQN_EPS, momentum=0.5))
    yield "optax.adam with eps_root", "adam", dict(
        learning_rate=0.01, beta1=0.9, beta2=0.9, eps=1e-9, eps_root=1e-3, weight_decay=0.0
    ), with_optax(optax.adam(0.01, b1=0.9, b2=0.9, eps=1e-9, eps_root=1e-3))
    yield "torch.optim.Adam", "adam", dict(
        learning_rate=0.01, beta1=0.9, beta2=0.999, eps=1e-3, eps_root=0.0, weight_decay=0.0
    ), with_torch(lambda p: optim.Adam(p, lr=0.01, betas=(0.9, 0.999), eps=1e-3))
    yield "torch.optim.AdamW", "adam", dict(
        learning_rate=0.01, beta1=0.9, beta2=0.999, eps=1e-3, eps_root=0.0, weight_decay=0.1
    ), with_torch(lambda p: optim.AdamW(p, lr=0.01, betas=(0.9, 0.999), eps=1e-3, weight_decay=0.1))
    yield "torch.optim.SGD", "sgd", dict(learning_rate=0.01, momentum=0.0), with_torch(
        lambda p: optim.SGD(p, lr=0.01)
    )
    yield "torch.optim.SGD with momentum", "sgd", dict(learning_rate=0.01, momentum=0.9), with_torch(
        lambda p: optim.SGD(p, lr=0.01, momentum=0.9)
    )


def optimizers():
    first, gradients = problem()
    done = []
    for name, kind, settings, run in cases():
        trajectory = run(first, gradients)
        after = {str(step): trajectory[step - 1] for step in KEPT}
        done.append(dict(name=name, kind=kind, settings=settings, after=after))
    return dict(
        versions=dict(torch=torch.__version__, optax=optax.__version__),
        first=first.tolist(),
        gradients=gradients.tolist(),
        cases=done,
    )


def double_q():
    """The target and the gradient of the mean Huber loss, in PyTorch's own terms."""
    random = np.random.default_rng(1)
    draw = lambda *shape: torch.tensor(random.normal(size=shape).astype(np.float32) * 2).double()  # noqa: E731
    q_tm1, q_t_value, q_t_selector = (draw(6, 4) for _ in range(3))
    a_tm1 = torch.tensor([0, 1, 2, 3, 0, 1])
    r_t = torch.tensor([1.0, -1.0, 0.0, 1.0, 0.5, 0.0], dtype=torch.float64)
    discount_t = torch.tensor([0.96875, 0.96875, 0.96875, 0.0, 0.0, 0.96875], dtype=torch.float64)
    q_tm1.requires_grad_()
    best = q_t_selector.max(dim=1).indices
    target = r_t + discount_t * q_t_value[torch.arange(6), best]
    loss = torch.nn.HuberLoss(delta=1.0)(q_tm1[torch.arange(6), a_tm1], target)
    loss.backward()
    tensors = dict(
        q_tm1=q_tm1, a_tm1=a_tm1, r_t=r_t, discount_t=discount_t, q_t_value=q_t_value,
        q_t_selector=q_t_selector, target=target, loss=loss, gradient=q_tm1.grad,
    )
    return {name: tensor.detach().tolist() for name, tensor in tensors.items()}


def write(path, content):
    """As JSON with each row of numbers on one line."""
    text = json.dumps(content, indent=1)
    text = re.sub(r"\[([^\[\]]*)\]", lambda row: "[" + " ".join(row[1].split()) + "]", text)
    (ROOT / path).write_text(text + "\n")


if __name__ == "__main__":
    write("core/tests/golden/optimizers.json", optimizers())
    write("agents/tests/golden/double_q.json", double_q())
