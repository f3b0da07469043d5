"""Times merging in memory, in turn with SAHI's; see bench_merge. SAHI's times are of its fastest backend that is installed, without the making of
its prediction objects: of the search for groups alone. cytodet's include the merged boxes."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
from sahi.postprocess.backends import set_postprocess_backend
from sahi.postprocess.combine import greedy_nmm, nmm, nms

OUT = pathlib.Path("out")


def boxes(count, spread):
    """As in SAHI's own benchmark, but no two scores are equal: its NMM and this project break such ties differently."""
    rng = np.random.default_rng(7)
    at, size = rng.uniform(0, spread, (count, 2)), rng.uniform(1, 40, (count, 2))
    scores = (rng.permutation(count) + 1).astype(np.float32) / np.float32(count + 1)
    return np.column_stack([at, at + size, scores, np.zeros(count)])


def overlap(a, b, metric):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:4], b[2:4])
    shared = float(np.prod((high - low).clip(0)))
    area = [float((v[2] - v[0]) * (v[3] - v[1])) for v in (a, b)]
    whole = min(area) if metric == "IOS" else sum(area) - shared
    return shared / whole if whole > 0 else 0.0


def merged_boxes(rows, groups, metric, limit):
    """What SAHI's postprocessing makes of the groups (combine._apply_merge), without its objects."""
    if isinstance(groups, list):
        return rows[groups][:, :5]
    out = []
    for keeper, members in groups.items():
        grown = rows[keeper].copy()
        for m in members:
            if overlap(grown, rows[m], metric) > limit:
                grown[:2], grown[2:4] = np.minimum(grown[:2], rows[m, :2]), np.maximum(grown[2:4], rows[m, 2:4])
        out.append(grown[:5])
    return np.array(out)


def ordered(found):
    return found[np.lexsort(found.T[::-1])]


def peer(function, rows, metric, limit, rounds):
    """Milliseconds of the faster backend, and its groups."""
    best = None
    for backend in ("numpy", "numba"):
        if function is nmm and backend == "numba":
            continue  # the same code for this many boxes
        set_postprocess_backend(backend)
        if backend == "numba":
            function(rows[:64], metric, limit)
            function(rows[:2500], metric, limit)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            groups = function(rows, metric, limit)
            times.append((time.perf_counter() - start) * 1e3)
            if times[-1] > 20000:
                break
        if best is None or statistics.median(times) < statistics.median(best[0]):
            best = times, groups, backend
    return best


def main():
    program, rounds = sys.argv[1], int(sys.argv[2])
    OUT.mkdir(exist_ok=True)
    rows_out, slowest = [], None
    print(f"{'boxes':<10} {'method':<11} {'metric':<8} {'merged':>7} {'cytodet ms':>11} {'SAHI ms':>10} {'backend':<7} {'ratio':>8}")
    for layout, count, spread in (("crowded", 33337, 80), ("scattered", 33336, 8000)):
        # Ranked, since SAHI's NMM takes the members of a group in the order of the input.
        rows = boxes(count, spread)
        rows = np.ascontiguousarray(rows[np.argsort(-rows[:, 4])])
        path = OUT / f"bench_merge_{layout}.txt"
        np.savetxt(path, rows, fmt=["%.17g"] * 4 + ["%.9g", "%d"])
        for metric, limit in (("IOS", 0.3), ("IOU", 0.5)):
            for function in (nms, greedy_nmm, nmm):
                if function is nmm and layout == "crowded" and os.environ.get("FULL") == "0":
                    continue
                name = function.__name__
                command = [program, str(path), name, metric.lower(), str(limit), str(rounds)]
                first = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                theirs, groups, backend = peer(function, rows, metric, limit, rounds)
                again = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                ours = [float(v) for text in (first, again) for v in text.split("\n", 1)[0].split()]
                found = np.array([[float(v) for v in line.split()[:5]] for line in again.splitlines()[1:]])
                wanted = merged_boxes(rows, groups, metric, limit)
                if found.shape != wanted.shape or np.abs(ordered(found) - ordered(wanted)).max() > 1e-6:
                    sys.exit(f"{layout} {name} {metric}: the merged boxes differ ({len(found)} against {len(wanted)})")
                o, p = statistics.median(ours), statistics.median(theirs)
                print(f"{layout:<10} {name:<11} {metric} {limit:<4} {len(found):>7} {o:>11.2f} {p:>10.1f} {backend:<7} {p / o:>7.1f}x", flush=True)
                rows_out.append({"boxes": layout, "count": count, "method": name, "metric": metric, "limit": limit, "merged": len(found), "cytodet_ms": o,
                                 "cytodet_range_ms": [min(ours), max(ours)], "sahi_ms": p, "sahi_range_ms": [min(theirs), max(theirs)], "backend": backend,
                                 "ratio": p / o})
                slowest = min(slowest or p / o, p / o)
    (OUT / "bench_merge.json").write_text(json.dumps({"rows": rows_out, "min_ratio": slowest}, indent=1) + "\n")
    print(f"all merged boxes equal; least ratio {slowest:.1f}x; out/bench_merge.json")


if __name__ == "__main__":
    main()
