"""A SLURM cluster of two nodes on the loopback interface, with all of its files in one folder."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

NODES = ("node1", "node2")
PROGRAMS = (
    *("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo"),
    *("slurmdbd", "sacct", "mariadbd", "mariadb-install-db", "mariadb"),
)

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
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge.socket
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true
ReturnToService=2
MinJobAge=7200
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs={cpus} State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=node[1-2] Default=YES MaxTime=60 State=UP
"""

ACCOUNT = """\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
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
    ports = {name: free_port() for name in ("ctld_port", "port1", "port2", "dbd_port", "sql_port")}
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, cpus=cpus, **ports))
    account = folder / "slurmdbd.conf"
    account.write_text(ACCOUNT.format(folder=folder, **ports))
    account.chmod(0o600)  # slurmdbd insists
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
        ["slurmdbd", "-D"],
        ["slurmctld", "-D", "-f", str(configuration)],
        *(["slurmd", "-D", "-N", node, "-f", str(configuration)] for node in NODES),
    ]
    with ExitStack() as stack:
        database(folder, ports["sql_port"], environment, stack)
        for command in daemons:
            stack.enter_context(daemon(command, environment, folder))
            if command[0] == "slurmdbd":  # which makes its tables first; slurmctld does not wait for it
                wait_for_port(ports["dbd_port"])
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


def database(folder: Path, port: int, environment: dict[str, str], stack: ExitStack) -> None:
    """The database that slurmdbd writes its account to."""
    place = ["--no-defaults", f"--datadir={folder}/sql", "--user=root"]
    made = ["mariadb-install-db", *place, "--auth-root-authentication-method=normal"]
    subprocess.run(made, check=True, capture_output=True)
    socket_of = f"--socket={folder}/sql.socket"
    served = ["mariadbd", *place, socket_of, f"--port={port}", "--bind-address=127.0.0.1"]
    stack.enter_context(daemon(served, environment, folder))
    words = "create user slurm@localhost identified by 'slurm'; grant all on slurm.* to slurm@localhost"
    until = time.monotonic() + 60
    while subprocess.run(
        ["mariadb", "--no-defaults", socket_of, "-e", words], capture_output=True
    ).returncode:
        if time.monotonic() > until:
            raise RuntimeError(
                f"the database does not answer: {(folder / 'mariadbd.out').read_text()[-2000:]}"
            )
        time.sleep(0.5)


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


def wait_for_port(port: int) -> None:
    until = time.monotonic() + 120
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        if time.monotonic() > until:
            raise RuntimeError(f"nobody listens at port {port}")
        time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
