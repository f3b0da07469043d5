"""Times whole processes in turn; see bench_eval."""
import json
import pathlib
import statistics
import subprocess
import sys
import time

PEER = """
import sys, json
from faster_coco_eval import COCO, COCOeval_faster
gt = COCO(sys.argv[1] + "/truth.json"); dt = gt.loadRes(sys.argv[1] + "/detections.json")
e = COCOeval_faster(gt, dt, "bbox"); e.evaluate(); e.accumulate(); e.summarize()
json.dump([float(v) for v in e.stats[:12]], open(sys.argv[1] + "/peer.json", "w"))
"""


def main():
    cytodet, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ours, peer = [], []
    for _ in range(rounds):
        t = time.perf_counter()
        subprocess.run([cytodet, "evaluate", "--truth", f"{folder}/truth.json", "--detections", f"{folder}/detections.json", "-o", f"{folder}/ours.json"],
                       check=True, stdout=subprocess.DEVNULL)
        ours.append(time.perf_counter() - t)
        t = time.perf_counter()
        subprocess.run([sys.executable, "-c", PEER, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peer.append(time.perf_counter() - t)
    a = list(json.loads(pathlib.Path(folder, "ours.json").read_text())["stats"].values())
    b = json.loads(pathlib.Path(folder, "peer.json").read_text())
    worst = max(abs(x - y) for x, y in zip(a, b))
    if len(a) != 12 or worst > 1e-9:
        sys.exit(f"the figures differ by {worst}")
    o, p = statistics.median(ours), statistics.median(peer)
    print(f"cytodet {o:.3f} s ({min(ours):.3f} to {max(ours):.3f}), faster-coco-eval {p:.3f} s ({min(peer):.3f} to {max(peer):.3f}): {p / o:.1f}x, figures equal within {worst:.1e}")


if __name__ == "__main__":
    main()
