"""Compares `pliant trace` with Gymnasium's Atari wrappers, value by value (see ../compare-gymnasium)."""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import ale_py
import numpy as np
from ale_py.env import AtariEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

# 57 games of the Atari benchmark; the first GAMES are compared without --all57. Carnival, outside the
# benchmark, has a screen of its own height.
BENCHMARK = """breakout pong seaquest space_invaders montezuma_revenge freeway ms_pacman qbert boxing
tennis skiing chopper_command double_dunk asterix alien amidar assault asteroids atlantis bank_heist
battle_zone beam_rider berzerk bowling centipede crazy_climber defender demon_attack enduro
fishing_derby frostbite gopher gravitar hero ice_hockey jamesbond kangaroo krull kung_fu_master
name_this_game phoenix pitfall private_eye riverraid road_runner robotank solaris star_gunner surround
time_pilot tutankham up_n_down venture video_pinball wizard_of_wor yars_revenge zaxxon""".split()
GAMES = 14
ARRAYS = ["observations", "rewards", "terminated", "truncated", "lives"]


@dataclasses.dataclass
class Case:
    """One game under one configuration, by Gymnasium's names."""

    game: str
    repeat_action_probability: float = 0.0
    full_action_space: bool = False
    terminal_on_life_loss: bool = False
    frame_skip: int = 4
    screen_size: int = 84
    frame_stack: int = 4
    stack_padding: str = "repeat"
    max_num_frames_per_episode: int = 108_000
    mode: int | None = None
    difficulty: int | None = None

    def name(self):
        changed = (
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)[1:]
            if getattr(self, field.name) != field.default
        )
        return " ".join([self.game, *changed])


def cases(games):
    """Every game with and without sticky actions, and the other settings on a few games."""
    for game in games:
        yield Case(game)
        yield Case(game, repeat_action_probability=0.25, stack_padding="zeros")
    for game in ["breakout", "seaquest", "qbert", "ms_pacman"]:
        yield Case(game, terminal_on_life_loss=True)
        yield Case(game, terminal_on_life_loss=True, repeat_action_probability=0.1)
    for game in ["pong", "breakout", "skiing"]:
        yield Case(game, full_action_space=True, repeat_action_probability=0.25)
    for limit in [501, 502, 503]:  # the limit falls on each frame within the skip
        yield Case("space_invaders", max_num_frames_per_episode=limit)
    for skip in [1, 2, 3, 7]:
        yield Case("breakout", frame_skip=skip, terminal_on_life_loss=True)
    yield Case("breakout", mode=4, difficulty=1)
    yield Case("space_invaders", mode=3, repeat_action_probability=0.25)
    yield Case("pong", screen_size=64, frame_stack=2)
    yield Case("carnival", screen_size=96)
    yield Case("carnival", repeat_action_probability=0.25, stack_padding="zeros")


def make_gymnasium(case):
    env = AtariEnv(
        game=case.game,
        mode=case.mode,
        difficulty=case.difficulty,
        frameskip=1,
        repeat_action_probability=case.repeat_action_probability,
        full_action_space=case.full_action_space,
        max_num_frames_per_episode=case.max_num_frames_per_episode,
    )
    env = AtariPreprocessing(
        env,
        noop_max=0,
        frame_skip=case.frame_skip,
        screen_size=case.screen_size,
        terminal_on_life_loss=case.terminal_on_life_loss,
    )
    padding = {"repeat": "reset", "zeros": "zero"}[case.stack_padding]
    return FrameStackObservation(env, case.frame_stack, padding_type=padding)


def seeded_reset(env, seed):
    """AtariEnv hashes its seed before the ALE gets it; this hands it over as it is."""
    atari = env.unwrapped
    atari.ale.setInt("random_seed", seed)
    atari.load_game()
    return env.reset()[0]


def trace_gymnasium(env, seed, actions):
    rows = {name: [] for name in ARRAYS}
    rows["observations"].append(seeded_reset(env, seed))
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            observation = env.reset()[0]
        for name, value in zip(ARRAYS, [observation, reward, terminated, truncated, info["lives"]], strict=True):
            rows[name].append(value)
    kinds = [np.uint8, np.float32, bool, bool, np.int32]
    return {name: np.array(rows[name], dtype=kind) for name, kind in zip(ARRAYS, kinds, strict=True)}


def settings(case):
    """The case as `--set env.key=value`, with the rest of DQN Zoo's defaults switched off."""
    values = {"noop_max": 0, "zero_discount_on_life_loss": False} | dataclasses.asdict(case)
    for key, value in values.items():
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else value
            yield from ["--set", f"env.{key}={text}"]


def trace_pliant(case, seed, actions, folder):
    listing = folder / "actions.txt"
    listing.write_text("".join(f"{action}\n" for action in actions))
    out = folder / "trace"
    command = [os.environ["PLIANT_BIN"], "trace", "--env", "atari", *settings(case), "--seed", str(seed)]
    subprocess.run([*command, "--actions", str(listing), "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return {name: np.load(out / f"{name}.npy") for name in ARRAYS}


def differing(ours, theirs):
    """How many values differ; all of them where shape or type do."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        print(f"  {ours.dtype}{list(ours.shape)} against {theirs.dtype}{list(theirs.shape)}")
        return theirs.size
    return int((ours != theirs).sum())


def compare(case, seed, steps):
    """Prints a line; answers how many values differ and how many there are."""
    env = make_gymnasium(case)
    actions = np.random.default_rng(seed).integers(0, env.action_space.n, steps)
    theirs = trace_gymnasium(env, seed, actions)
    with tempfile.TemporaryDirectory() as folder:
        ours = trace_pliant(case, seed, actions, Path(folder))
    counts = {name: differing(ours[name], theirs[name]) for name in ARRAYS}
    episodes = int((theirs["terminated"] | theirs["truncated"]).sum())
    paid = float(np.abs(theirs["rewards"]).sum())
    verdict = "same" if not any(counts.values()) else " ".join(f"{name} {count}" for name, count in counts.items() if count)
    print(f"{case.name():75} {episodes:3} episodes {paid:8.0f} points  {verdict}", flush=True)
    return sum(counts.values()), sum(array.size for array in theirs.values())


def main():
    parser = argparse.ArgumentParser(prog="compare-gymnasium", description=__doc__)
    parser.add_argument("games", nargs="*", help=f"games to compare (default: {GAMES} of the benchmark)")
    parser.add_argument("--all57", action="store_true", help="all games of the benchmark")
    parser.add_argument("--steps", type=int, default=2000, help="random actions per case (default: 2000)")
    parser.add_argument("--seed", type=int, default=1234, help="seed of the emulator and of the actions")
    arguments = parser.parse_args()
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    games = arguments.games or (BENCHMARK if arguments.all57 else BENCHMARK[:GAMES])
    chosen = [Case(game, p) for game in games for p in (0.0, 0.25)] if arguments.games else list(cases(games))
    results = [compare(case, arguments.seed + index, arguments.steps) for index, case in enumerate(chosen)]
    differ, total = (sum(column) for column in zip(*results, strict=True))
    print(f"{differ} of {total} values differ in {len(results)} cases of {arguments.steps} steps")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
