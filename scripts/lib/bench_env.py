"""Speed of Atari environments side by side (see ../bench-env).

Every implementation steps the same number of environments on the same number of threads with random
actions: frame skip 4, 84x84 grey, single frames, no sticky actions, up to 30 no-ops. They take turns, so
that whatever else the machine does meets all of them; a ratio is taken within a round. Gymnasium's
AsyncVectorEnv has a process for each environment instead of threads.

The emulator alone (act() four times and nothing else, at the same resets and no-ops) is measured twice:
"in step" all environments wait for the slowest one before the next action, as they must for an agent;
"free" no thread ever waits for another.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

GAMES = ["breakout", "pong", "seaquest", "ms_pacman"]
PEERS = ["envpool", "ale_vector", "gymnasium_async"]
NAMES = {"envpool": "envpool 1.2.5", "ale_vector": "AtariVectorEnv (ale-py 0.12.1)", "gymnasium_async": "AsyncVectorEnv (Gymnasium 1.4)"}


def camel(game):
    return "".join(word.capitalize() for word in game.split("_"))


def make_envpool(game, envs, threads):
    import envpool

    env = envpool.make(
        f"{camel(game)}-v5",
        env_type="gymnasium",
        num_envs=envs,
        num_threads=threads,
        frame_skip=4,
        stack_num=1,
        noop_max=30,
        repeat_action_probability=0.0,
    )
    return env, env.action_space.n


def make_ale_vector(game, envs, threads):
    from ale_py.vector_env import AtariVectorEnv

    env = AtariVectorEnv(
        game=game,
        num_envs=envs,
        num_threads=threads,
        frameskip=4,
        stack_num=1,
        noop_max=30,
        use_fire_reset=False,
        repeat_action_probability=0.0,
    )
    return env, env.single_action_space.n


def make_gymnasium_async(game, envs, _threads):
    from gymnasium.vector import AsyncVectorEnv

    env = AsyncVectorEnv([lambda: one_gymnasium(game) for _ in range(envs)])
    return env, env.single_action_space.n


def one_gymnasium(game):
    import ale_py
    import cv2
    from ale_py.env import AtariEnv
    from gymnasium.wrappers import AtariPreprocessing

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    cv2.setNumThreads(1)
    env = AtariEnv(game=game, frameskip=1, repeat_action_probability=0.0)
    return AtariPreprocessing(env, noop_max=30, frame_skip=4)


def play(peer, game, envs, threads, seconds):
    """Runs in a process of its own and prints agent steps per second."""
    import numpy as np

    env, actions = globals()[f"make_{peer}"](game, envs, threads)
    draws = np.random.default_rng(0)
    env.reset()
    step_for(env, draws, actions, envs, seconds / 10)
    print(step_for(env, draws, actions, envs, seconds))
    env.close()


def step_for(env, draws, actions, envs, seconds):
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        env.step(draws.integers(0, actions, envs))
        steps += envs
    return steps / (time.perf_counter() - started)


def measure_peer(peer, game, envs, threads, seconds):
    arguments = ["--play", peer, "--games", game, "--envs", str(envs), "--threads", str(threads), "--seconds", str(seconds)]
    ran = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return float(ran.stdout.split()[-1])


def measure_pliant(game, envs, threads, steps):
    """Agent steps per second, and its ratios to those of the emulator alone."""
    command = [os.environ["PLIANT_BIN"], "bench", "env", "--set", f"env.game={game}", "--set", "env.repeat_action_probability=0.0"]
    command += ["--envs", str(envs), "--threads", str(threads), "--steps", str(steps), "--rounds", "1"]
    ran = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return ran["agent_steps_per_s"], ran["emulation_share"], ran["free_emulation_share"]


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def compare(game, envs, arguments):
    """One row: our speed, and its ratio to everybody else's."""
    steps, ours, ratios = 8000, [], {peer: [] for peer in ["in step", "free", *arguments.peers]}
    for round_ in range(arguments.rounds):
        speed, in_step, free = measure_pliant(game, envs, arguments.threads, steps)
        if round_ == 0:
            steps = max(1000, int(speed * arguments.seconds))  # from now on as long as the others
        ours.append(speed)
        ratios["in step"].append(in_step)
        ratios["free"].append(free)
        for peer in arguments.peers:
            ratios[peer].append(speed / measure_peer(peer, game, envs, arguments.threads, arguments.seconds))
    cells = [game, str(envs), f"{statistics.median(ours):,.0f} ({min(ours):,.0f} to {max(ours):,.0f})"]
    print("| " + " | ".join([*cells, *(spread(values) for values in ratios.values())]) + " |", flush=True)


def processor():
    with open("/proc/cpuinfo") as text:
        names = [line.split(":", 1)[1].strip() for line in text if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} logical processors"


def main():
    parser = argparse.ArgumentParser(prog="bench-env", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", nargs="+", default=GAMES)
    parser.add_argument("--envs", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement (default: 5)")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--play", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        return play(arguments.play, arguments.games[0], arguments.envs[0], arguments.threads, arguments.seconds)
    print(f"{processor()}; {arguments.threads} threads; {arguments.rounds} rounds of {arguments.seconds:g} s; median (least to most)\n")
    head = ["game", "envs", "pliant, agent steps/s", "to bare act() x 4, in step", "to the same, free", *(f"to {NAMES[peer]}" for peer in arguments.peers)]
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head), flush=True)
    for game in arguments.games:
        for envs in arguments.envs:
            compare(game, envs, arguments)


if __name__ == "__main__":
    main()
