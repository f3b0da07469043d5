"""Times and checks cytodet export on many boxes; see bench_export. Fails above 5 s or 200 MiB per million boxes."""
import gzip
import json
import pathlib
import random
import resource
import subprocess
import sys
import time


def boxes(count):
    rng = random.Random(7)
    for _ in range(count):
        x, y, w, h = (round(rng.uniform(0, 99000), 3), round(rng.uniform(0, 99000), 3), round(rng.uniform(5, 90), 3), round(rng.uniform(5, 90), 3))
        yield x, y, w, h, rng.randint(1, 3), rng.randint(0, 10**6) / 10**6


def make(path, count):
    with open(path, "w") as out:
        for i, (x, y, w, h, c, s) in enumerate(boxes(count)):
            out.write(("," if i else "[") + f'\n{{"image_id":1,"category_id":{c},"bbox":[{x},{y},{w},{h}],"score":{s}}}')
        out.write("\n]\n")


def check(path, count):
    """One feature per line."""
    if path.endswith(".csv"):
        with open(path) as f:
            assert sum(1 for _ in f) == count + 1
        return
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as lines:
        assert next(lines).strip() == '{"type":"FeatureCollection","features":['
        ids = set()
        for n, (x, y, w, h, c, s) in enumerate(boxes(count)):
            f = json.loads(next(lines).strip().rstrip(","))
            ring = f["geometry"]["coordinates"][0]
            want = [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)]
            assert len(ring) == 5 and all(abs(a - b) <= 0.00501 for p, q in zip(ring, want) for a, b in zip(p, q)), (n, ring, want)
            p = f["properties"]
            assert p["classification"]["name"] == ["RBC", "WBC", "Platelets"][c - 1] and abs(p["measurements"]["score"] - s) < 1e-7
            ids.add(f["id"])
        assert next(lines).strip() == "]}" and len(ids) == count, len(ids)


def main():
    program, count = sys.argv[1], int(sys.argv[2])
    if program in ("make", "check"):  # in a process of their own: a child counts its parent's memory as its own until it starts
        return {"make": make, "check": check}[program](sys.argv[3], count)
    folder = pathlib.Path("out/bench_export")
    folder.mkdir(parents=True, exist_ok=True)
    source, copy = folder / "results.json", folder / "copy"
    subprocess.run([sys.executable, __file__, "make", str(count), source], check=True)
    failed = False
    for name in ("cells.geojson", "cells.geojson.gz", "cells.csv"):
        out = folder / name
        seconds, cpu = [], []
        for _ in range(3):
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([program, "export", source, "-o", out, "--classes", "RBC,WBC,Platelets"], check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(time.perf_counter() - start)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        start = time.perf_counter()
        subprocess.run(["dd", f"if={out}", f"of={copy}", "bs=1M", "conv=fsync", "status=none"], check=True)
        disk = time.perf_counter() - start
        # The largest of the children so far: the checks, which are larger, wait.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        median = sorted(seconds)[1]
        print(f"{name}: {count} boxes, {out.stat().st_size / 1e6:.0f} MB, {median:.2f} s ({min(seconds):.2f} to {max(seconds):.2f}; {sorted(cpu)[1]:.2f} s of "
              f"processor; copying the file to disk takes {disk:.2f} s), peak memory {peak:.0f} MiB")
        failed |= peak > 200 or median > 5 * count / 1e6
    for name in ("cells.geojson", "cells.geojson.gz", "cells.csv"):
        subprocess.run([sys.executable, __file__, "check", str(count), str(folder / name)], check=True)
        (folder / name).unlink()
    source.unlink()
    copy.unlink()
    print("every box checked")
    sys.exit("over 5 s per million boxes, or over 200 MiB" if failed else 0)


if __name__ == "__main__":
    main()
