"""A Slurm of one node on this machine, with munge, ports and folders of its own; for scripts and tests.

A job that is queued again waits for the lifetime of its credential, two minutes by default: here seconds (cred_expire).
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

CONFIG = """ClusterName=check
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={port}
SlurmdPort={other}
SlurmUser=root
SlurmdUser=root
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
MpiDefault=none
SchedulerParameters=batch_sched_delay=1,sched_interval=1
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Why there can be none here; empty where there can."""
    if os.geteuid() != 0:
        return "its daemons need root"
    lacking = [p for p in ("slurmctld", "slurmd", "munged", "sbatch") if not find(p)]
    return f"{', '.join(lacking)} not found; apt install slurmctld slurmd slurm-client munge" if lacking else ""


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Slurm:
    """with Slurm(folder) as slurm: subprocess.run(["sbatch", ...], env=slurm.env)"""

    def __init__(self, folder, cpus=2):
        self.folder = pathlib.Path(folder)
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        config = self.folder / "slurm.conf"
        text = CONFIG.format(host=socket.gethostname().split(".")[0], folder=self.folder, port=free_port(), other=free_port(), cpus=cpus)
        config.write_text(text)
        self.env = {**os.environ, "SLURM_CONF": str(config)}

    def __enter__(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.run(find("munged"), "--force", f"--socket={self.folder}/munge.socket", f"--key-file={key}", f"--pid-file={self.folder}/munged.pid",
                 f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/seed")
        self.run(find("slurmctld"))
        self.run(find("slurmd"))
        for _ in range(60):
            if "idle" in subprocess.run(["sinfo", "-h", "-o", "%T"], env=self.env, stdout=subprocess.PIPE, text=True).stdout:
                return self
            time.sleep(0.5)
        raise SystemExit("slurm: error: the node does not come up: " + (self.folder / "slurmd.log").read_text()[-500:])

    def __exit__(self, *unused):
        for name in ("slurmd.pid", "slurmctld.pid", "munged.pid"):
            try:
                os.kill(int((self.folder / name).read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                pass
        time.sleep(1)

    def run(self, *command):
        subprocess.run(command, env=self.env, check=True, stdout=subprocess.DEVNULL)

    def wait(self, seconds=600):
        """Until no job is left."""
        end = time.time() + seconds
        while subprocess.run(["squeue", "-h"], env=self.env, stdout=subprocess.PIPE, text=True).stdout.strip():
            if time.time() > end:
                raise SystemExit("slurm: error: jobs do not end")
            time.sleep(0.2)
