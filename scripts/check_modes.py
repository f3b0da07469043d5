"""Writes a network in every mode as a graph, runs it in stock TensorFlow and in the program, and compares the answers: check_modes.py
PROGRAM. Run with the python of `scripts/oracle_env tensorflow`. Exit code 1 when they differ."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onnx_cases import as_json  # noqa: E402

GRAPH, FEEDS = "tests/data/graph/lenet_frozen.pb", pathlib.Path("tests/data/quant/lenet")
LEAST_DB = {"weights": 60, "float16": 60, "dynamic": 25, "int8": 25, "full-int8": 25, "4 bits": 25, "nuq 16": 25, "nuq 32": 25,
            "fake-quant": 50}
OPTIONS = {"4 bits": ["--weight-bits", "4"], "nuq 16": ["--nuq", "16"], "nuq 32": ["--nuq", "32"], "fake-quant": ["--fake-quant"]}


def in_tensorflow(path, feed, fetch):
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(path.read_bytes())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        return session.run(fetch + ":0", {"input:0": feed})


def main():
    program, bad = sys.argv[1], 0
    fetch = next(n.name for n in reversed(load().node) if n.op == "BiasAdd" or n.op == "MatMul")
    feed = json.loads((FEEDS / "b.json").read_text())["inputs"]["input:0"]
    x = np.array(feed["data"], np.float32).reshape(feed["shape"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for mode, least in LEAST_DB.items():
            out, given = folder / f"{mode}.pb", OPTIONS.get(mode, ["--mode", mode])
            if "int8" in mode or mode in OPTIONS:
                given = [*given, "--images", str(FEEDS)]
            done = subprocess.run([program, "quantize", GRAPH, "-o", str(out), "--outputs", fetch, *given],
                                  capture_output=True, text=True)
            if done.returncode:
                print(f"FAIL {mode}: {done.stderr.strip()}")
                bad += 1
                continue
            value = x
            line = next((s for s in done.stdout.splitlines() if s.startswith("input input: uint8")), None)
            if line:
                zero, scale = int(line.split("value - ")[1].split(")")[0]), float(line.split("* ")[1])
                value = np.clip(np.round(x / scale) + zero, 0, 255).astype(np.uint8)
            (folder / "feeds.json").write_text(json.dumps({"inputs": {"input": as_json(value)}}))
            subprocess.run([program, "infer", str(out), "--feeds", str(folder / "feeds.json"), "-o", str(folder / "out.json"), "--outputs", fetch], check=True)
            mine = json.loads((folder / "out.json").read_text())["outputs"][fetch]
            mine = np.array(mine["data"], np.float64).reshape(mine["shape"])
            theirs = in_tensorflow(out, value, fetch).astype(np.float64)
            noise = max(1e-30, float(((mine - theirs) ** 2).sum()))
            db = 10 * np.log10(max(1e-30, float((theirs**2).sum())) / noise)
            good = db >= least
            bad += not good
            print(f"{'pass' if good else 'FAIL'} {mode}: {out.stat().st_size} bytes, TensorFlow and cytodet {db:.0f} dB apart")
    return 1 if bad else 0


def load():
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(pathlib.Path(GRAPH).read_bytes())
    return graph


if __name__ == "__main__":
    sys.exit(main())
