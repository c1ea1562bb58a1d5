"""The work of scripts/test-slurm."""

import argparse
import csv
import json
import os
import signal
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = """
[study]
name = "strikes"
title = "Eight runs that are struck at"
[base]
preset = "mnist_true_label"
[base.run]
device = "cpu"
budget_frames = {frames}
[base.agent]
learning_starts = 200
target_period_updates = 50
[base.checkpoint]
every_frames = 500
[base.log]
every_frames = 500
[base.eval]
steps = 200
every_frames = 5000
[[axes]]
name = "width"
setting = "network.width"
values = [16, 32]
[[axes]]
name = "norm"
conditions = [{{ name = "none" }}, {{ name = "layer_norm", with = ["layer_norm"] }}]
[scales.test]
about = "a minute or two"
seeds = "0..1"
slurm = {{ partition = "low", memory = 500 }}
"""

# Nodes on this machine; `low` is preempted by `high`. A node that is silent for 10 seconds is down, and a task goes
# back into the queue for a few seconds instead of two minutes (cred_expire).
CONFIGURATION = """
ClusterName=pliant
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n.spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
KillWait=15
SchedulerParameters=bf_interval=2,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=node[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port={node1},{node2} CPUs=1 RealMemory=1000
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL PriorityTier=2 PreemptMode=OFF
"""


def say(text):
    print(text, flush=True)


def give_up(why):
    sys.exit(f"test-slurm: {why}")


def wait_until(what, holds, seconds=90):
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            give_up(f"{seconds} seconds without: {what}")
        time.sleep(0.1)


class Cluster:
    """munged, slurmctld and two slurmd."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}

    def start(self):
        host = socket.gethostname().split(".")[0]
        ports = dict(zip(("port", "node1", "node2"), free_ports(3)))
        configuration = self.folder / "slurm.conf"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, host=host, **ports))
        os.environ["SLURM_CONF"] = str(configuration)
        # What a login's environment may ask of sbatch is not what is tested here.
        for name in [name for name in os.environ if name.startswith(("SBATCH_", "SQUEUE_"))]:
            del os.environ[name]
        (self.folder / "state").mkdir()
        key, files = self.folder / "munge.key", {"socket": "munge.socket"}
        subprocess.run(["mungekey", "--create", f"--keyfile={key}"], check=True)
        files |= {"pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munged.seed"}
        options = [f"--{option}={self.folder / name}" for option, name in files.items()]
        self.run("munged", "munged", "--foreground", "--force", f"--key-file={key}", *options)
        wait_until("munged", (self.folder / "munge.socket").exists)
        self.run("slurmctld", "slurmctld", "-D", "-i")
        for node in ("node1", "node2"):
            self.start_node(node)
        wait_until("two nodes", lambda: self.idle_nodes() == 2)

    def start_node(self, node):
        self.run(node, "slurmd", "-D", "-N", node)

    def run(self, name, *command):
        with open(self.folder / f"{name}.out", "a") as out:
            self.processes[name] = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)

    def idle_nodes(self):
        return tell("sinfo", "--noheader", "--Node", "--partition=low", "--format=%T").split().count("idle")

    def node_state(self, node):
        return tell("sinfo", "--noheader", "--partition=low", f"--nodes={node}", "--format=%T").strip()

    def kill(self, name):
        self.processes.pop(name).kill()

    def stop(self):
        """Jobs first: their processes are children of nobody here."""
        subprocess.run(["scancel", "--user=root"], check=False)
        until = time.monotonic() + 30
        while tell("squeue", "--noheader").strip() and time.monotonic() < until:
            time.sleep(0.2)
        for name in list(self.processes)[::-1]:
            process = self.processes.pop(name)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def tell(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


class Study:
    def __init__(self, folder, name):
        self.file = folder / "strikes.toml"
        self.folder = folder / name
        self.log = folder / "log.txt"

    def run(self, *options):
        """Runs `pliant study run`, and returns what it printed."""
        command = [os.environ["PLIANT_BIN"], "study", "run", self.file, "--out", self.folder, *options]
        ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        with open(self.log, "a") as log:
            log.write(ran.stdout + ran.stderr)
        if ran.returncode != 0:
            give_up(f"{' '.join(map(str, options))}: exit code {ran.returncode}: {ran.stderr}")
        return ran.stdout + ran.stderr

    def runs(self):
        """Their names, those of the first seed first."""
        configs = self.folder / "configs"
        names = [str(path.relative_to(configs).with_suffix("")) for path in configs.rglob("*.toml")]
        return sorted(names, key=lambda name: (name.rsplit("/")[-1], name))

    def status(self, name):
        try:
            return json.loads((self.folder / "runs" / name / "status.json").read_text())
        except FileNotFoundError:
            return {"state": "waiting", "clock": {"frames": 0}}

    def is_finished(self, name):
        return self.status(name)["state"] == "finished"

    def frames(self, name):
        return self.status(name)["clock"]["frames"]

    def tasks(self):
        """Slurm's tasks by the names of their runs: (task, state, node)."""
        found = {}
        for line in tell("squeue", "--noheader", "--array", "--format=%F|%K|%T|%N", "--partition=low").splitlines():
            job, index, state, node = line.split("|")
            for submission in (self.folder / "slurm").iterdir():
                if (submission / "job").exists() and (submission / "job").read_text().strip() == job:
                    name = (submission / "runs").read_text().split()[int(index)]
                    found[name] = (f"{job}_{index}", state, node)
        return found

    def process(self, name):
        """The process that makes a run, if there is one."""
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended
            if b"one" in words and {str(self.folder).encode(), name.encode()} <= set(words):
                return int(entry.parent.name)
        return None

    def one_under_way(self, struck):
        """A run that has a checkpoint and is to go on for a while, its task and node; waits for one. One that nothing
        has struck at before, if there is."""
        found = []

        def is_there():
            for name, (task, state, node) in self.tasks().items():
                has_begun = any((self.folder / "runs" / name / "checkpoints").glob("[0-9]*"))
                # What was put back is called running for a moment more than it is.
                is_made = state == "RUNNING" and self.process(name) is not None
                if is_made and has_begun and self.frames(name) < 0.7 * FRAMES:
                    found.append((name, task, node))
            found.sort(key=lambda one: one[0] in struck)
            return found

        wait_until("a run under way", is_there)
        return found[0]


FRAMES = 24_000


def kill_daemon(cluster, study, struck):
    """The daemon of a node dies and the job's process lives on, until Slurm starts it anew and the node comes back."""
    name, task, node = study.one_under_way(struck)
    cluster.kill(node)
    say(f"killed the daemon of {node}, under which {name} goes on (task {task})")
    wait_until(f"{node} is down", lambda: "down" in cluster.node_state(node))
    cluster.start_node(node)
    say(f"  Slurm found {node} down, and has it back")
    return name


def kill_node(cluster, study, struck):
    """A node dies with everything on it: its daemon, the job's, and the run."""
    name, task, node = study.one_under_way(struck)
    run = study.process(name)
    parent = int(Path(f"/proc/{run}/stat").read_text().rsplit(")")[-1].split()[1])
    cluster.kill(node)
    for process in (parent, run):
        os.kill(process, signal.SIGKILL)
    say(f"killed {node} with all that ran there: {name} (task {task})")
    wait_until(f"{node} is down", lambda: "down" in cluster.node_state(node))
    cluster.start_node(node)
    say(f"  Slurm found {node} down, and has it back")
    return name


def kill_job(_cluster, study, struck):
    """Its process. Slurm's own ways of killing ask it to stop first."""
    name, task, _ = study.one_under_way(struck)
    os.kill(study.process(name), signal.SIGKILL)
    say(f"killed the job of {name} (task {task})")
    wait_until("it is gone", lambda: name not in study.tasks())
    return name


def requeue(_cluster, study, struck):
    name, task, _ = study.one_under_way(struck)
    subprocess.run(["scontrol", "requeue", task], check=True)
    say(f"requeued {name} (task {task})")
    return name


def notice(_cluster, study, struck):
    """What Slurm sends before the time is up."""
    name, task, _ = study.one_under_way(struck)
    subprocess.run(["scancel", "--signal=USR1", "--batch", task], check=True)
    log = study.folder / "runs" / f"{name}.log"
    wait_until("it goes back", lambda: f"{task} goes back into the queue" in log.read_text())
    say(f"told {name} that its time is up (task {task}): it put itself back into the queue")
    return name


def preempt(_cluster, study, struck):
    name, task, node = study.one_under_way(struck)
    job = ["sbatch", "--partition=high", f"--nodelist={node}", "--output=/dev/null", "--wrap=sleep 2"]
    subprocess.run(job, check=True, stdout=subprocess.DEVNULL)
    wait_until("it is preempted", lambda: study.tasks().get(name, ("", "", ""))[1] != "RUNNING")
    say(f"preempted {name} (task {task}) by a job of higher priority")
    return name


STRIKES = [kill_daemon, kill_job, requeue, notice, preempt, kill_node]


def without_time(path):
    rows = list(csv.reader(path.open()))
    column = rows[0].index("wall_s")
    return [row[:column] + row[column + 1 :] for row in rows]


def compare(local, other):
    names = local.runs()
    if len(names) != 8 or names != other.runs():
        give_up(f"the studies have different runs: {names} and {other.runs()}")
    for name in names:
        a, b = local.folder / "runs" / name, other.folder / "runs" / name
        if without_time(a / "metrics.csv") != without_time(b / "metrics.csv"):
            give_up(f"{name}: metrics.csv differs; compare {a} with {b}")
        checkpoints = [sorted(path.name for path in (run / "checkpoints").glob("[0-9]*")) for run in (a, b)]
        if checkpoints[0] != checkpoints[1] or not checkpoints[0]:
            give_up(f"{name}: there are other checkpoints: {checkpoints}")
        for number in checkpoints[0]:
            files = [run / "checkpoints" / number / "tensors.safetensors" for run in (a, b)]
            if files[0].read_bytes() != files[1].read_bytes():
                give_up(f"{name}: the tensors of checkpoint {number} differ")
    return len(names)


def play(cluster, folder):
    (folder / "strikes.toml").write_text(STUDY.format(frames=FRAMES))
    local, study = Study(folder, "local"), Study(folder, "by slurm")
    local.run("--jobs", "2")
    say("the local engine has run the study")
    cluster.start()
    study.run("--engine", "slurm")
    again = study.run("--engine", "slurm")
    if "nothing is to be submitted" not in again:
        give_up(f"what is queued was submitted again: {again}")
    say("submitted 8 runs; nothing is submitted a second time")
    struck = set()
    for strike in STRIKES:
        struck.add(strike(cluster, study, struck))
    study.run("--engine", "slurm", "--wait")
    submitted = sum(1 for _ in (study.folder / "slurm").glob("*/job"))
    unfinished = [name for name in study.runs() if not study.is_finished(name)]
    if unfinished:
        give_up(f"not finished: {unfinished}")
    say(f"all runs are finished, in {submitted} submissions")
    count = compare(local, study)
    say(f"metrics and all tensors of {count} runs are equal to the local engine's")


def main():
    parser = argparse.ArgumentParser(prog="scripts/test-slurm")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="test-slurm-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        give_up(f"{folder} is not empty")
    cluster_folder = folder / "cluster"
    cluster_folder.mkdir()
    cluster = Cluster(cluster_folder)
    try:
        play(cluster, folder)
    except SystemExit as why:
        sys.exit(f"{why}; everything is in {folder}")
    finally:
        cluster.stop()
    if not options.keep:
        shutil.rmtree(folder)


main()
