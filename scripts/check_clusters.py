"""The examples for clusters on one machine; see check_clusters."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import slurm_here
from check_workers import ROOT, same

MODEL = str(ROOT / "models/efficientdet/efficientdet_d0_blood.json")
EXAMPLES = ROOT / "examples/clusters"


def quiet(*command, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    if done.returncode:
        sys.exit(f"check_clusters: error: {command[0]} ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def by_variables(program, slides, out, variables):
    """Workers that a launcher starts with variables of its own, all at once."""
    workers = [subprocess.Popen([program, "detect", "--model", MODEL, slides, "-o", out, "--shard", shard, "--streams", "1", "--quiet"],
                                env={**os.environ, **own}, stdout=subprocess.DEVNULL) for shard, own in variables]
    if any(w.wait() for w in workers):
        sys.exit("check_clusters: error: a worker failed")
    quiet(program, "collect", *sorted(out.glob("shard-*")), "-o", out / "run")
    return out / "run"


def launchers(program, slides, work):
    n = 3
    yield "Open MPI", by_variables(program, slides, work / "mpi",
                                   [("auto", {"OMPI_COMM_WORLD_RANK": str(i), "OMPI_COMM_WORLD_SIZE": str(n)}) for i in range(n)])
    yield "Grid Engine", by_variables(program, slides, work / "sge", [("auto", {
        "SGE_TASK_ID": str(i + 1), "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": str(n), "SGE_TASK_STEPSIZE": "1"}) for i in range(n)])
    yield "Kubernetes", by_variables(program, slides, work / "pods", [(f"auto/{n}", {"JOB_COMPLETION_INDEX": str(i)}) for i in range(n)])


def slurm(program, slides, work):
    with slurm_here.Slurm(work / "daemons") as here:
        env = {**here.env, "MODEL": MODEL, "SLIDES": str(slides), "OUT": str(work / "slurm"), "CYTODET": program, "OPTIONS": "--streams 1"}
        quiet(EXAMPLES / "slurm/submit", "3", env=env, cwd=work)
        here.wait()
        # Ranks of a step, as srun starts them.
        ranks = work / "ranks"
        quiet("srun", "--ntasks=2", program, "detect", "--model", MODEL, slides, "-o", ranks, "--shard", "auto", "--streams", "1", "--quiet",
              env=here.env)
        quiet(program, "collect", *sorted(ranks.glob("shard-*")), "-o", ranks / "run")
    return work / "slurm/run", ranks / "run"


def snakemake(program, slides, work):
    quiet("snakemake", "-s", EXAMPLES / "snakemake/Snakefile", "--cores", "2", "--retries", "1", "--config", f"model={MODEL}", f"slides={slides}",
          f"out={work / 'snakemake'}", "parts=3", env={**os.environ, "CYTODET": program}, cwd=work)
    return work / "snakemake/run"


def dask(program, slides, work):
    quiet(sys.executable, EXAMPLES / "dask/detect.py", "2", MODEL, work / "dask", slides,
          env={**os.environ, "CYTODET": program, "PYTHONPATH": str(ROOT / "python")}, cwd=work)
    return work / "dask"


def has_dask():
    try:
        import distributed  # noqa: F401
        return True
    except ImportError:
        return False


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        slides = work / "slides"
        slides.mkdir()
        for file in sorted((ROOT / "tests/data/bccd").glob("*.jpg"))[:6]:
            shutil.copy(file, slides)
        quiet(program, "detect", "--model", MODEL, slides, "-o", work / "whole", "--streams", "1", "--quiet")

        def compare(name, run):
            difference = same(work / "whole", run)
            if difference:
                sys.exit(f"check_clusters: error: {name}: {', '.join(difference)} differ")
            print(f"check_clusters: {name}: equal to the run of one process")
        for name, run in launchers(program, slides, work):
            compare(name + " (by its variables)", run)
        if why := slurm_here.missing():
            print(f"check_clusters: Slurm: left out: {why}")
        else:
            array, ranks = slurm(program, slides, work)
            compare("Slurm array", array)
            compare("srun", ranks)
        if shutil.which("snakemake"):
            compare("Snakemake", snakemake(program, slides, work))
        else:
            print("check_clusters: Snakemake: left out: not installed")
        if has_dask():
            compare("Dask", dask(program, slides, work))
        else:
            print("check_clusters: Dask: left out: not installed")


if __name__ == "__main__":
    main()
