"""The program as the benchmarks of networks call it, and the CPU time of a peer that runs in this process."""
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np


def command(program, *arguments):
    """What it prints. Raises RuntimeError with the last line of its errors where it fails."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout


def feeds_json(inputs):
    """What --feeds reads, of arrays by the names of their inputs."""
    tensors = {name: {"dtype": x.dtype.name, "shape": list(x.shape), "data": x.ravel().tolist()} for name, x in inputs.items()}
    return json.dumps({"inputs": tensors})


def answers(program, file, inputs, outputs=()):
    """The outputs that are named, or all, as arrays of float64."""
    with tempfile.TemporaryDirectory() as folder:
        feeds, out = pathlib.Path(folder) / "feeds.json", pathlib.Path(folder) / "out.json"
        feeds.write_text(feeds_json(inputs))
        command(program, "infer", file, "--feeds", feeds, "-o", out, *(["--outputs", ",".join(outputs)] if outputs else []))
        found = json.loads(out.read_text())["outputs"]
        tensors = [found.get(name) or found[name + ":0"] for name in outputs] if outputs else found.values()
        return [np.array([float(v) for v in t["data"]]).reshape(t["shape"]) for t in tensors]


def bench(program, file, *arguments, threads=1):
    """The report of `bench`: one image at a time, threads not pinned."""
    return json.loads(command(program, "bench", "--model", file, "--streams", 1, "--threads", threads, "--no-pin", "--json", *arguments))


def cpu_ms(run, seconds):
    """Milliseconds of CPU time per run of this process: the mean of at least one run, after one that is not counted."""
    run()
    start, begin, n = time.process_time(), time.perf_counter(), 0
    while n == 0 or time.perf_counter() - begin < seconds:
        run()
        n += 1
    return 1000 * (time.process_time() - start) / n
