"""A SLURM cluster of one node on the loopback interface, with all of its files in one folder."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo")

CONFIGURATION = """\
ClusterName=rwseg
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
"""


def missing() -> list[str]:
    """What a cluster needs and this machine lacks, in words."""
    lacking = [f"the program {name}" for name in PROGRAMS if shutil.which(name) is None]
    return lacking if os.geteuid() == 0 else [*lacking, "the rights of root"]


@contextmanager
def running(folder: Path, cpus: int) -> Iterator[dict[str, str]]:
    """A cluster whose node takes jobs; the environment that SLURM's commands find it by."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    configuration = folder / "slurm.conf"
    ports = {"ctld_port": free_port(), "slurmd_port": free_port()}
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
        ["slurmd", "-D", "-f", str(configuration)],
    ]
    with ExitStack() as stack:
        for command in daemons:
            stack.enter_context(daemon(command, environment, folder))
        wait_for_node(environment, folder)
        yield environment


@contextmanager
def daemon(command: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            time.sleep(1)
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {(folder / f'{command[0]}.out').read_text()}")
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
        told = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
        if told.stdout.strip() == "idle":
            return
        if time.monotonic() > until:
            logs = "\n".join(path.read_text()[-3000:] for path in folder.glob("slurm*.log"))
            raise RuntimeError(f"the node takes no jobs: {told.stdout}{told.stderr}\n{logs}")
        time.sleep(1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
