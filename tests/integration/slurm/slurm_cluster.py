"""A SLURM cluster of two nodes on the loopback interface, with all of its files in one folder."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

NODES = ("node1", "node2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo")

CONFIGURATION = """\
ClusterName=rwseg
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
ReturnToService=2
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs={cpus} State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=node[1-2] Default=YES MaxTime=60 State=UP
"""


def missing() -> list[str]:
    """What a cluster needs and this machine lacks, in words."""
    lacking = [f"the program {name}" for name in PROGRAMS if shutil.which(name) is None]
    return lacking if os.geteuid() == 0 else [*lacking, "the rights of root"]


@contextmanager
def running(folder: Path, cpus: int) -> Iterator[dict[str, str]]:
    """A cluster whose nodes, of `cpus` each, take jobs; the environment that SLURM's commands find it by."""
    for name in ("state", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    configuration = folder / "slurm.conf"
    ports = {name: free_port() for name in ("ctld_port", "port1", "port2")}
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, cpus=cpus, **ports))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    munge = [
        f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("socket", "pid-file", "log-file")
    ]
    daemons = [
        [
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--seed-file={folder}/munge.seed",
            *munge,
        ],
        ["slurmctld", "-D", "-f", str(configuration)],
        *(["slurmd", "-D", "-N", node, "-f", str(configuration)] for node in NODES),
    ]
    with ExitStack() as stack:
        for command in daemons:
            stack.enter_context(daemon(command, environment, folder))
        wait_for_node(environment, folder)
        yield environment


@contextmanager
def daemon(command: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    told = folder / f"{command[0]}.out"
    with told.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            time.sleep(1)
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {told.read_text()}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_node(environment: dict[str, str], folder: Path) -> None:
    until = time.monotonic() + 60
    while True:
        told = subprocess.run(
            ["sinfo", "-h", "-N", "-o", "%T"], env=environment, capture_output=True, text=True
        )
        if told.stdout.split() == ["idle"] * len(NODES):
            return
        if time.monotonic() > until:
            logs = "\n".join(path.read_text()[-3000:] for path in folder.glob("slurm*.log"))
            raise RuntimeError(f"the nodes take no jobs: {told.stdout}{told.stderr}\n{logs}")
        time.sleep(1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
