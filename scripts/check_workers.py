"""Workers that are killed; see check_workers."""
import glob
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import slurm_here

ROOT = pathlib.Path(__file__).resolve().parent.parent
SLIDES, PARTS = 12, 4
sys.path.insert(0, str(ROOT / "python"))


def descendants(pid):
    """Processes below this one, those nearest first."""
    children = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat) as file:
                own, rest = file.read().split(" ", 1)
            children.setdefault(int(rest.rsplit(")", 1)[1].split()[1]), []).append(int(own))
        except (OSError, ValueError):
            pass
    found, open_ = [], [pid]
    while open_:
        below = children.get(open_.pop(0), [])
        found += below
        open_ += below
    return found


def text_of(pid, name):
    """What the kernel tells of a process, its parts apart by spaces: "cmdline", "environ"; empty where it has ended."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def everyone():
    return [int(p.split("/")[2]) for p in glob.glob("/proc/[0-9]*/stat")]


def results(folder):
    """Every file of a run but run.json, and that without what names folders and times."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}
    run = json.loads((folder / "run.json").read_text())
    run.pop("timing")
    run["settings"].pop("output")
    run["settings"]["detect"].pop("streams")
    for image in run["inputs"]:
        image.pop("seconds")
    run["files"] = sorted(map(json.dumps, run["files"]))
    return files, run


def same(whole, joined):
    a, b = results(whole), results(joined)
    return [name for name in sorted({*a[0], *b[0]}) if a[0].get(name) != b[0].get(name)] + ([] if a[1] == b[1] else ["run.json"])


class Killer(threading.Thread):
    """Kills one of the processes that `targets` gives, at a random moment within `span` seconds."""

    def __init__(self, targets, span):
        super().__init__(daemon=True)
        self.targets, self.span, self.hit = targets, span, 0

    def run(self):
        time.sleep(random.uniform(0, self.span))
        for _ in range(200):
            found = self.targets()
            if found:
                try:
                    os.kill(random.choice(found), signal.SIGKILL)
                    self.hit = 1
                    return
                except ProcessLookupError:
                    pass
            time.sleep(0.01)


def under_slurm(kills, program, model, slides, whole, work, span):
    hit = 0
    with slurm_here.Slurm(work / "slurm") as slurm:
        env = {**slurm.env, "MODEL": model, "SLIDES": str(slides), "CYTODET": program, "OPTIONS": "--streams 1"}

        def targets():
            """The program of a task, or its script: processes whose environment names this run's folder."""
            return [p for p in everyone() if all(word in text_of(p, "environ") for word in (f"OUT={work}/", "SLURM_JOB_ID="))]

        for i in range(kills):
            out = work / "slurm-out"
            shutil.rmtree(out, ignore_errors=True)
            killer = Killer(targets, span)
            killer.start()
            for submission in range(4):  # a script that was killed is no more queued by Slurm than a program that fails
                subprocess.run([ROOT / "examples/clusters/slurm/submit", str(PARTS), "--ntasks=1"], env={**env, "OUT": str(out)}, check=True,
                               cwd=work, stdout=subprocess.DEVNULL)
                slurm.wait()
                killer.join()
                if (out / "run/detections.json").exists():
                    break
            hit += killer.hit
            difference = same(whole, out / "run") if (out / "run/run.json").exists() else ["the joined run, which is not there,"]
            if difference:
                sys.exit(f"check_workers: slurm, kill {i + 1}: {', '.join(difference)} differ")
    return hit


def under_dask(kills, program, model, slides, whole, work, span):
    from dask.distributed import Client, LocalCluster

    from cytodet import distributed
    os.environ["CYTODET"] = program
    hit, attempts = 0, 0
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        def targets():
            """A worker that is up, or the program that it runs. (Dask's nanny gives one up that dies while it starts.)"""
            workers = [n.pid for n in list(cluster.workers.values()) if n.status.name == "running" and n.pid]
            return workers + [p for w in workers for p in descendants(w) if " detect " in text_of(p, "cmdline")]

        for i in range(kills):
            out = work / "dask-out"
            shutil.rmtree(out, ignore_errors=True)
            killer = Killer(targets, span)
            killer.start()
            done = distributed.run(client, slides, out, model=model, options=["--streams", "1"], retries=5)
            killer.join()
            hit += killer.hit
            attempts += done.attempts
            difference = same(whole, out)
            if difference:
                sys.exit(f"check_workers: dask, kill {i + 1}: {', '.join(difference)} differ")
            if out.with_name(out.name + ".parts").exists():
                sys.exit(f"check_workers: dask, kill {i + 1}: parts are left")
    print(f"dask: {attempts} tasks for {kills} runs of {SLIDES} slides")
    return hit


def main():
    kills, which, program = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    model = str(ROOT / "models/efficientdet/efficientdet_d0_blood.json")
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        slides = work / "slides"
        slides.mkdir()
        for file in sorted((ROOT / "tests/data/bccd").glob("*.jpg"))[:SLIDES]:
            shutil.copy(file, slides)
        start = time.time()
        subprocess.run([program, "detect", "--model", model, slides, "-o", work / "whole", "--quiet", "--streams", "1"], check=True,
                       stdout=subprocess.DEVNULL)
        span = 2 * (time.time() - start)
        for name, run in (("slurm", under_slurm), ("dask", under_dask)):
            if which not in (name, "both"):
                continue
            why = slurm_here.missing() if name == "slurm" else ""
            if why:
                print(f"slurm: left out: {why}")
                continue
            begun = time.time()
            hit = run(kills, program, model, slides, work / "whole", work, span)
            print(f"{name}: {kills} runs of {SLIDES} slides, {hit} workers killed, every joined run equal to the undisturbed one; {time.time() - begun:.0f} s")


if __name__ == "__main__":
    main()
