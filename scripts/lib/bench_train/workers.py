"""The other side, each in a process of its own: prints one number."""

import os
import sys
import time

import numpy as np

from bench_train.cases import CAPACITY, CASES, EPSILON, LEARNING_STARTS, PLAY, WARMED_UP


def use_threads(count):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def updates_per_s(update, count):
    for _ in range(10):
        update()
    started = time.perf_counter()
    for _ in range(count):
        update()
    return count / (time.perf_counter() - started)


def torch_updates(arguments, is_channels_last=False, is_recorded=False):
    import torch
    from bench_train.torch_dqn import Learner

    torch.set_num_threads(arguments.threads)
    case, device = CASES[arguments.case], arguments.device
    learner = Learner(case, arguments.precision, is_channels_last, device)
    channels, height, width = case["shape"]
    frames = torch.randint(0, 256, (2000, height, width), dtype=torch.uint8, device=device)
    stack = torch.arange(channels, device=device)
    actions = torch.randint(0, case["actions"], (2000,), device=device)
    rewards, discounts = torch.randn(2000, device=device), torch.full((2000,), 0.99, device=device)

    def batch():
        index = torch.randint(0, 1990, (case["batch"],)).to(device)
        before, after = frames[index[:, None] + stack], frames[index[:, None] + stack + 1]
        return before, actions[index], rewards[index], discounts[index], after

    update = learner.recorded(*batch()) if is_recorded else learner.update
    return updates_per_s(lambda: update(*batch()), arguments.updates)


def jax_updates(arguments):
    on_gpu = arguments.device != "cpu"
    if on_gpu:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "tensorfloat32" if arguments.precision == "tf32" else "highest"
    else:
        use_threads(arguments.threads)
    import jax
    from bench_train.jax_dqn import Learner

    if on_gpu and jax.default_backend() != "gpu":
        sys.exit("JAX finds no GPU")
    case = CASES[arguments.case]
    learner, generator = Learner(case, arguments.precision), np.random.default_rng(0)
    channels, height, width = case["shape"]
    frames = generator.integers(0, 256, (2000, height, width), dtype=np.uint8)
    stack = np.arange(channels)
    actions = generator.integers(0, case["actions"], 2000)
    rewards, discounts = generator.normal(size=2000).astype(np.float32), np.full(2000, 0.99, np.float32)
    last = lambda observations: observations.transpose(0, 2, 3, 1)

    def gathered(frames, actions, rewards, discounts, index):
        before, after = frames[index[:, None] + stack], frames[index[:, None] + stack + 1]
        return last(before), actions[index], rewards[index], discounts[index], last(after)

    replay = (frames, actions, rewards, discounts)
    if on_gpu:
        replay, gathered = jax.device_put(replay), jax.jit(gathered)
    return updates_per_s(lambda: learner.update(*gathered(*replay, generator.integers(0, 1990, case["batch"]))),
                         arguments.updates)


def torch_play(arguments, is_channels_last):
    """ale-py's vector of environments in C++ threads steps while the learner updates."""
    import torch
    from ale_py.vector_env import AtariVectorEnv
    from bench_train.torch_dqn import Learner

    torch.set_num_threads(arguments.threads)
    count = arguments.envs
    envs = AtariVectorEnv("breakout", num_envs=count, num_threads=min(count, arguments.threads), use_fire_reset=False)
    learner, generator = Learner(PLAY, arguments.precision, is_channels_last), np.random.default_rng(0)
    steps = CAPACITY // count
    observations = torch.empty((steps, count, 4, 84, 84), dtype=torch.uint8)
    actions = torch.zeros((steps, count), dtype=torch.int64)
    rewards, discounts = torch.zeros((steps, count)), torch.zeros((steps, count))
    now, _ = envs.reset(seed=0)
    began, done = None, 0
    last = LEARNING_STARTS + WARMED_UP + arguments.updates * 4
    while done < last:
        at = done // count % steps
        observations[at] = torch.from_numpy(now)
        greedy = learner.act(observations[at])
        explored = torch.from_numpy(generator.integers(0, PLAY["actions"], count))
        chosen = torch.where(torch.from_numpy(generator.random(count) < EPSILON), explored, greedy)
        envs.send(chosen.numpy())
        if done >= LEARNING_STARTS:
            for _ in range((done + count) // 4 - done // 4):
                # The step under way has no next observation yet; of a full ring one more is about to go.
                row = torch.from_numpy((at - 1 - generator.integers(1, min(done // count, steps) - 1, PLAY["batch"])) % steps)
                env = torch.from_numpy(generator.integers(0, count, PLAY["batch"]))
                learner.update(observations[row, env], actions[row, env], rewards[row, env], discounts[row, env],
                               observations[(row + 1) % steps, env])
        now, reward, terminated, _, _ = envs.recv()
        actions[at], rewards[at] = chosen, torch.from_numpy(np.asarray(reward, np.float32))
        discounts[at] = torch.from_numpy(0.99 * (1 - np.asarray(terminated, np.float32)))
        done += count
        if began is None and done >= LEARNING_STARTS + WARMED_UP:
            began = (done, time.perf_counter())
    return (done - began[0]) / (time.perf_counter() - began[1])


def sb3_play(arguments):
    """Stable-Baselines3's DQN, which is no Double DQN: one forward pass less in each update."""
    import ale_py
    import gymnasium
    import torch
    from bench_train.cases import ADAM
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_atari_env
    from stable_baselines3.common.vec_env import VecFrameStack

    gymnasium.register_envs(ale_py)
    torch.set_num_threads(arguments.threads)
    count = arguments.envs
    envs = VecFrameStack(make_atari_env("BreakoutNoFrameskip-v4", n_envs=count, seed=0), 4)
    model = DQN(
        "CnnPolicy", envs, learning_rate=ADAM["lr"], buffer_size=CAPACITY, learning_starts=LEARNING_STARTS,
        batch_size=PLAY["batch"], train_freq=max(1, 4 // count), gradient_steps=max(1, count // 4),
        exploration_initial_eps=EPSILON, exploration_final_eps=EPSILON, target_update_interval=10_000,
        policy_kwargs={"optimizer_kwargs": {"eps": ADAM["eps"], "fused": True}}, device="cpu",
    )

    class Clock(BaseCallback):
        began = None

        def _on_step(self):
            if self.began is None and self.num_timesteps >= LEARNING_STARTS + WARMED_UP:
                self.began = (self.num_timesteps, time.perf_counter())
            return True

    clock = Clock()
    model.learn(LEARNING_STARTS + WARMED_UP + arguments.updates * 4, callback=clock)
    return (model.num_timesteps - clock.began[0]) / (time.perf_counter() - clock.began[1])


WORKERS = {
    "torch": torch_updates,
    "torch, channels last": lambda arguments: torch_updates(arguments, is_channels_last=True),
    "torch, CUDA graph": lambda arguments: torch_updates(arguments, is_recorded=True),
    "jax": jax_updates,
    "play: torch": lambda arguments: torch_play(arguments, False),
    "play: torch, channels last": lambda arguments: torch_play(arguments, True),
    "play: stable-baselines3": sb3_play,
}
