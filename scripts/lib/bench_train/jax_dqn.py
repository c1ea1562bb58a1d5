"""A plain Double DQN in JAX: the whole update is one compiled function."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bench_train.cases import ADAM, RMSPROP

# Of a convolution: outputs, side, stride. Of a dense layer: outputs.
LAYERS = {
    "nature": ([(32, 8, 4), (64, 4, 2), (64, 3, 1)], [512]),
    "cnn": ([(64, 5, 2), (64, 3, 2)], [256, 256]),
    "mlp": ([], [512, 512]),
}


def parameters(case, generator):
    convolutions, dense = LAYERS[case["net"]]
    channels, side, _ = case["shape"]
    weights = []

    def add(shape, fan_in):
        bound = fan_in**-0.5
        weights.append(jnp.asarray(generator.uniform(-bound, bound, shape), jnp.float32))
        weights.append(jnp.zeros(shape[-1], jnp.float32))

    for outputs, kernel, stride in convolutions:
        add((kernel, kernel, channels, outputs), kernel * kernel * channels)
        channels, side = outputs, (side - kernel) // stride + 1
    inputs = channels * side * side
    for outputs in [*dense, case["actions"]]:
        add((inputs, outputs), inputs)
        inputs = outputs
    return weights


def forward(case, precision, weights, observations):
    convolutions, _ = LAYERS[case["net"]]
    kind = jnp.bfloat16 if precision == "bf16" else jnp.float32
    x = (observations.astype(jnp.float32) / 255).astype(kind)
    pairs = [(w.astype(kind), b.astype(kind)) for w, b in zip(weights[::2], weights[1::2])]
    for (weight, bias), (_, _, stride) in zip(pairs, convolutions):
        order = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, weight, (stride, stride), "VALID", dimension_numbers=order)
        x = jax.nn.relu(x + bias)
    x = x.reshape(x.shape[0], -1)
    dense = pairs[len(convolutions):]
    for weight, bias in dense[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    return (x @ dense[-1][0] + dense[-1][1]).astype(jnp.float32)


def stepped(kind, weights, moments, count, gradients):
    if kind == "adam":
        first = [0.9 * m + 0.1 * g for m, g in zip(moments[0], gradients)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(moments[1], gradients)]
        scale, root = 1 - 0.9**count, jnp.sqrt(1 - 0.999**count)
        step = [m / scale / (jnp.sqrt(v) / root + ADAM["eps"]) for m, v in zip(first, second)]
        rate = ADAM["lr"]
    else:
        decay = RMSPROP["alpha"]
        first = [decay * m + (1 - decay) * g for m, g in zip(moments[0], gradients)]
        second = [decay * v + (1 - decay) * g * g for v, g in zip(moments[1], gradients)]
        step = [g / (jnp.sqrt(v - m * m) + RMSPROP["eps"]) for g, m, v in zip(gradients, first, second)]
        rate = RMSPROP["lr"]
    return [w - rate * s for w, s in zip(weights, step)], (first, second)


class Learner:
    """Both networks and the optimiser's moments."""

    def __init__(self, case, precision):
        self.online = parameters(case, np.random.default_rng(0))
        self.target = [jnp.array(weight) for weight in self.online]
        zeros = lambda: [jnp.zeros_like(weight) for weight in self.online]
        self.moments, self.count = (zeros(), zeros()), 0
        q_values = partial(forward, case, precision)

        def loss(online, target, before, actions, rewards, discounts, after):
            best = q_values(online, after).argmax(1)
            value = jnp.take_along_axis(q_values(target, after), best[:, None], 1)[:, 0]
            goal = jax.lax.stop_gradient(rewards + discounts * value)
            error = jnp.take_along_axis(q_values(online, before), actions[:, None], 1)[:, 0] - goal
            size = jnp.abs(error)
            return jnp.where(size < 1, 0.5 * error**2, size - 0.5).mean()

        @partial(jax.jit, donate_argnums=(0, 2))
        def update(online, target, moments, count, *batch):
            value, gradients = jax.value_and_grad(loss)(online, target, *batch)
            online, moments = stepped(case["optimizer"], online, moments, count, gradients)
            return online, moments, value

        self.compiled = update

    def update(self, *batch):
        self.count += 1
        self.online, self.moments, loss = self.compiled(self.online, self.target, self.moments, self.count, *batch)
        return float(loss)
