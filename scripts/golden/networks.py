#!/usr/bin/env python3
"""Writes the expected values of the network tests, as plain PyTorch modules compute them in f64.

    python3 -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.11.0 safetensors numpy
    /tmp/golden/bin/python scripts/golden/networks.py

The modules are torch.nn's own wherever it has them (LayerNorm, GroupNorm, RMSNorm, BatchNorm2d,
TransformerEncoderLayer, an exact SVD for the spectral norm) and know nothing of pliant but the names of its
variables. First parameters are f32 numbers, so that both sides begin with the same bits; what is expected
is rounded to f32 once, when it is written.

agents/tests/golden/networks.safetensors holds for each case `observations`, `target`, `first/VARIABLE`
and, for a pass in training and, of resnet18, one in evaluation: `PASS/outputs`,
`PASS/gradient/PARAMETER` of mean((outputs - target)^2), and `PASS/after/VARIABLE` one step of Adam later.
`PASS/error/outputs` and `PASS/error/gradient/PARAMETER` are how far the same modules are off at most when
they compute in f32 with the channels of observations last in memory, as pliant does: how well f32 can do.
"""

import copy
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACTIONS = 6
BATCH = 4
EPS = 1e-5


# --- parts ---------------------------------------------------------------------------------------


class Crelu(nn.Module):
    def forward(self, x):
        return torch.cat([torch.relu(x), torch.relu(-x)], dim=1)


class Fourier(nn.Module):
    def forward(self, x):
        return torch.cat([torch.sin(x), torch.cos(x)], dim=1)


class ChannelRms(nn.Module):
    """RMSNorm over channels, rows and columns, with one scale per channel."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x):
        normalised = nn.functional.rms_norm(x, x.shape[1:], eps=EPS)
        return normalised * self.weight[(...,) + (None,) * (x.dim() - 2)]


class Spectral(nn.Module):
    """A linear map whose weight is scaled to this spectral norm, by the largest singular value itself."""

    def __init__(self, layer, norm):
        super().__init__()
        self.layer, self.norm = layer, norm

    def forward(self, x):
        weight = self.layer.weight
        sigma = torch.linalg.svdvals(weight.reshape(weight.shape[0], -1))[0]
        weight = self.norm * weight / sigma
        if isinstance(self.layer, nn.Linear):
            return nn.functional.linear(x, weight, self.layer.bias)
        return nn.functional.conv2d(x, weight, self.layer.bias, self.layer.stride, self.layer.padding)


ACTIVATIONS = dict(
    relu=nn.ReLU, gelu=nn.GELU, tanh=nn.Tanh, leaky_relu=lambda: nn.LeakyReLU(0.01), crelu=Crelu, fourier=Fourier
)


def norm_of(kind, layer, channels):
    if kind == "layer":
        return nn.LayerNorm(channels, eps=EPS) if isinstance(layer, nn.Linear) else nn.GroupNorm(1, channels, eps=EPS)
    return nn.RMSNorm(channels, eps=EPS) if isinstance(layer, nn.Linear) else ChannelRms(channels)


class Net:
    """A module, and its parts under pliant's names."""

    def __init__(self):
        self.parts = {}  # name -> a list of modules, or a parameter
        self.module = None

    def add(self, name, *modules):
        self.parts[name] = modules
        return modules[0] if len(modules) == 1 else nn.Sequential(*modules)

    def variables(self):
        found = {}
        for name, modules in self.parts.items():
            if isinstance(modules, nn.Parameter):
                found[name] = modules
                continue
            for part in modules:
                if isinstance(part, Spectral):
                    part = part.layer
                is_map = isinstance(part, (nn.Linear, nn.Conv2d, Output))
                names = ("weight", "bias") if is_map else ("norm_scale", "norm_offset")
                for key, tensor in zip(names, (part.weight, getattr(part, "bias", None))):
                    if tensor is not None:
                        found[f"{name}/{key}"] = tensor
                if isinstance(part, nn.BatchNorm2d):
                    found[f"{name}/running_mean"] = part.running_mean
                    found[f"{name}/running_variance"] = part.running_var
        return found


class Output(nn.Module):
    """The output layer, with a bias for each action or one for all."""

    def __init__(self, inputs, shared_bias=False):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(ACTIONS, inputs))
        self.bias = nn.Parameter(torch.zeros(1 if shared_bias else ACTIONS))

    def forward(self, x):
        return x @ self.weight.T + self.bias


# --- networks ------------------------------------------------------------------------------------


def plain(shape, convolutions, dense, activation="relu", norm=None, position="before", spectral=None, shared_bias=False):
    """Convolutions (name, units, kernel, stride), dense layers (name, units) and the output."""
    net = Net()
    copies = 2 if activation in ("crelu", "fourier") else 1
    channels, *side = shape
    stages = []

    def layer(name, linear, units):
        mapped = linear if spectral is None else Spectral(linear, spectral)
        act = ACTIVATIONS[activation]()
        if norm is None:
            net.parts[name] = [mapped]
            stages.extend([mapped, act])
        else:
            normalised = norm_of(norm, linear, units)
            net.parts[name] = [mapped, normalised]
            order = [normalised, act] if position == "before" else [act, normalised]
            stages.extend([mapped, *order])

    for name, units, kernel, stride in convolutions:
        layer(name, nn.Conv2d(channels, units, kernel, stride), units)
        channels = units * copies
        side = [(size - kernel) // stride + 1 for size in side]
    stages.append(nn.Flatten())
    inputs = channels * side[0] * side[1]
    for name, units in dense:
        layer(name, nn.Linear(inputs, units), units)
        inputs = units * copies
    stages.append(net.add("output", Output(inputs, shared_bias)))
    net.module = nn.Sequential(*stages)
    return net


def mlp(shape, width=16, **settings):
    return plain(shape, [], [("dense1", width), ("dense2", width)], **settings)


def cnn(shape, **settings):
    return plain(shape, [("conv1", 4, 5, 2), ("conv2", 4, 3, 2)], [("dense1", 16), ("dense2", 16)], **settings)


def nature(shape):
    convolutions = [("conv1", 4, 8, 4), ("conv2", 8, 4, 2), ("conv3", 8, 3, 1)]
    return plain(shape, convolutions, [("dense", 64)], shared_bias=True)


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def impala(shape, norm=None):
    net = Net()
    channels, *side = shape
    stages = []

    def convolution(name, inputs, units):
        conv = nn.Conv2d(inputs, units, 3, 1, 1)
        return net.add(name, conv) if norm is None else net.add(name, conv, norm_of(norm, conv, units))

    for section, units in enumerate([2, 4, 4], 1):
        name = f"section{section}"
        stages.extend([convolution(f"{name}/conv", channels, units), nn.MaxPool2d(3, 2, 1)])
        for block in ("block1", "block2"):
            first = convolution(f"{name}/{block}/conv1", units, units)
            second = convolution(f"{name}/{block}/conv2", units, units)
            stages.append(Residual(nn.Sequential(nn.ReLU(), first, nn.ReLU(), second)))
        channels = units
        side = [(size + 1) // 2 for size in side]
    dense = nn.Linear(channels * side[0] * side[1], 32)
    dense = net.add("dense", dense) if norm is None else net.add("dense", dense, norm_of(norm, dense, 32))
    stages.extend([nn.ReLU(), nn.Flatten(), dense, nn.ReLU(), net.add("output", Output(32))])
    net.module = nn.Sequential(*stages)
    return net


class BasicBlock(nn.Module):
    """As torchvision's."""

    def __init__(self, first, second, downsample):
        super().__init__()
        self.first, self.second, self.downsample = first, second, downsample

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.second(torch.relu(self.first(x))) + identity)


class Strided1x1(nn.Conv2d):
    """Takes rows and columns itself: oneDNN's way overwrites memory with few channels last (its issue 6035)."""

    def forward(self, x):
        step = self.stride[0]
        return nn.functional.conv2d(x[:, :, ::step, ::step], self.weight, self.bias)


def resnet18(shape, stem="small", norm="batch"):
    net = Net()

    def convolution(name, inputs, units, kernel, stride):
        kind = Strided1x1 if kernel == 1 else nn.Conv2d
        conv = kind(inputs, units, kernel, stride, kernel // 2, bias=False)
        return net.add(name, conv, nn.BatchNorm2d(units) if norm == "batch" else norm_of(norm, conv, units))

    channels = 2
    if stem == "small":
        stages = [convolution("stem", shape[0], channels, 3, 1), nn.ReLU()]
    else:
        stages = [convolution("stem", shape[0], channels, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for stage, units in enumerate([2, 4, 8, 16], 1):
        for block in (1, 2):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}/block{block}"
            first = convolution(f"{name}/conv1", channels, units, 3, stride)
            is_same = stride == 1 and channels == units
            shortcut = None if is_same else convolution(f"{name}/shortcut", channels, units, 1, stride)
            second = convolution(f"{name}/conv2", units, units, 3, 1)
            stages.append(BasicBlock(first, second, shortcut))
            channels = units
    stages.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.add("output", Output(channels))])
    net.module = nn.Sequential(*stages)
    return net


class VitModule(nn.Module):
    def __init__(self, shape, patch, width, heads, feed_forward, depth):
        super().__init__()
        channels, rows, columns = shape
        tokens = (rows // patch) * (columns // patch) + 1
        self.patch = nn.Conv2d(channels, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, tokens, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, feed_forward, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.output = Output(width)

    def forward(self, x):
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), patches], dim=1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.output(self.norm(tokens)[:, 0])


def vit(shape):
    net = Net()
    net.module = module = VitModule(shape, patch=3, width=16, heads=4, feed_forward=24, depth=2)
    net.add("patch", module.patch)
    net.parts["class_token"], net.parts["positions"] = module.class_token, module.positions
    for number, block in enumerate(module.blocks, 1):
        name = f"block{number}"
        net.add(f"{name}/attention", block.norm1)
        net.parts[f"{name}/attention_in/weight"] = block.self_attn.in_proj_weight
        net.parts[f"{name}/attention_in/bias"] = block.self_attn.in_proj_bias
        net.add(f"{name}/attention_out", block.self_attn.out_proj)
        net.add(f"{name}/feed_forward", block.norm2)
        net.add(f"{name}/feed_forward_in", block.linear1)
        net.add(f"{name}/feed_forward_out", block.linear2)
    net.add("norm", module.norm)
    net.add("output", module.output)
    return net


# --- what is expected ----------------------------------------------------------------------------


def cases():
    """(name, shape of an observation, network)."""
    small, image, odd = (1, 7, 5), (3, 16, 14), (3, 15, 13)
    for activation in ACTIVATIONS:
        yield f"mlp_{activation}", small, lambda shape, a=activation: mlp(shape, activation=a)
    for norm in ("layer", "rms"):
        for position in ("before", "after"):
            settings = dict(norm=norm, position=position)
            yield f"mlp_{norm}_norm_{position}", small, lambda shape, s=settings: mlp(shape, **s)
            yield f"cnn_{norm}_norm_{position}", image, lambda shape, s=settings: cnn(shape, **s)
    yield "mlp_spectral", small, lambda shape: mlp(shape, spectral=2.0)
    yield "cnn", image, cnn
    yield "cnn_crelu", image, lambda shape: cnn(shape, activation="crelu")
    yield "cnn_spectral", image, lambda shape: cnn(shape, spectral=2.0)
    yield "nature", (4, 44, 40), nature
    yield "impala", odd, impala
    yield "impala_layer_norm", odd, lambda shape: impala(shape, norm="layer")
    yield "resnet18", odd, resnet18
    yield "resnet18_large_stem", (3, 40, 36), lambda shape: resnet18(shape, stem="large")
    yield "resnet18_layer_norm", odd, lambda shape: resnet18(shape, norm="layer")
    yield "vit", (3, 10, 9), vit


def draw(random, name, shape):
    """A variable's first value: f32."""
    normal = random.normal(size=shape)
    if name.endswith("running_variance"):
        value = random.uniform(0.5, 1.5, size=shape)
    elif name.endswith("norm_scale"):
        value = 1 + 0.2 * normal
    elif name.endswith("/weight"):
        value = normal * np.sqrt(1.5 / np.prod(shape[1:]))
    elif name in ("class_token", "positions"):
        value = 0.5 * normal
    else:
        value = 0.1 * normal
    return torch.tensor(value.astype(np.float32))


def fill(net, random):
    with torch.no_grad():
        for name, tensor in net.variables().items():
            tensor.copy_(draw(random, name, tuple(tensor.shape)))


def one_update(net, observations, target, is_training):
    """Outputs, gradients, and all variables after a step of Adam; changes `net`."""
    net.module.train(is_training)
    variables = net.variables()
    parameters = {name: tensor for name, tensor in variables.items() if isinstance(tensor, nn.Parameter)}
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    outputs = net.module(observations.to(target.dtype) / 255)
    torch.mean(torch.square(outputs - target)).backward()
    done = {"outputs": outputs.detach()}
    done.update({f"gradient/{name}": parameter.grad.clone() for name, parameter in parameters.items()})
    optimizer.step()
    done.update({f"after/{name}": tensor.detach().clone() for name, tensor in variables.items()})
    return done


def singular_vectors(net):
    """The left singular vector that belongs to the spectral norm of each weight scaled by it."""
    for name, modules in net.parts.items():
        for part in modules:
            if isinstance(part, Spectral):
                weight = part.layer.weight.detach()
                yield f"{name}/spectral_u", torch.linalg.svd(weight.reshape(len(weight), -1))[0][:, 0]


def channels_last(images):
    """Of one channel too, which `Tensor.contiguous` leaves as it is."""
    return torch.empty_like(images, memory_format=torch.channels_last).copy_(images)


def expected(index, shape, build, passes):
    random = np.random.default_rng(index)
    net = build(shape)
    net.module.double()
    fill(net, random)
    observations = torch.tensor(random.integers(0, 256, size=(BATCH, *shape)).astype(np.uint8))
    target = torch.tensor(random.normal(size=(BATCH, ACTIONS)).astype(np.float32)).double()
    done = {"observations": observations, "target": target}
    done.update({f"first/{name}": tensor.detach().clone() for name, tensor in net.variables().items()})
    done.update({f"first/{name}": tensor for name, tensor in singular_vectors(net)})
    for name in passes:
        is_training = name == "training"
        exact = one_update(copy.deepcopy(net), observations, target, is_training)
        done.update({f"{name}/{key}": tensor for key, tensor in exact.items()})
        single = copy.deepcopy(net)
        single.module.float()
        rounded = one_update(single, channels_last(observations), target.float(), is_training)
        errors = {key: (rounded[key] - exact[key]).abs().max() for key in exact if not key.startswith("after/")}
        done.update({f"{name}/error/{key}": error for key, error in errors.items()})
    return done


if __name__ == "__main__":
    tensors = {}
    for index, (name, shape, build) in enumerate(cases()):
        passes = ("training", "evaluation") if name == "resnet18" else ("training",)
        for key, tensor in expected(index, shape, build, passes).items():
            is_bytes = tensor.dtype == torch.uint8
            tensors[f"{name}/{key}"] = (tensor if is_bytes else tensor.float()).contiguous()
    save_file(tensors, ROOT / "agents/tests/golden/networks.safetensors", {"torch": torch.__version__})
