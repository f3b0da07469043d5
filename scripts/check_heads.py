"""Runs frozen detector graphs in stock TensorFlow and in cytodet on the same noise and compares every head.

Fails when a head differs by more than --most in any value, or in its shape.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

v1 = tf.compat.v1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="+", type=pathlib.Path)
    parser.add_argument("--input", default="image")
    parser.add_argument("--heads", default="class_logits_,box_deltas_", help="what the names of the outputs begin with")
    parser.add_argument("--side", type=int, default=512, help="of a graph that does not tell its input's")
    parser.add_argument("--most", type=float, default=2e-3)
    parser.add_argument("--cytodet", default="build/release/cytodet")
    return parser.parse_args()


def compare(path, o):
    definition = v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    prefixes = tuple(o.heads.split(","))
    heads = [n.name for n in definition.node if n.name.startswith(prefixes) and n.name.rsplit("_", 1)[1].isdigit()]
    if not heads:
        raise SystemExit(f"check_heads: error: {path}: has no outputs named {o.heads}; give --heads")
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    shape = graph.get_tensor_by_name(o.input + ":0").shape
    sides = [d or o.side for d in (shape.as_list()[1:3] if shape.rank == 4 else (None, None))]
    x = np.random.RandomState(1).randn(1, *sides, 3).astype(np.float32)
    with v1.Session(graph=graph) as session:
        wanted = session.run([h + ":0" for h in heads], {o.input + ":0": x})
    with tempfile.TemporaryDirectory() as folder:
        feeds, answer = pathlib.Path(folder) / "feeds.json", pathlib.Path(folder) / "answer.json"
        feed = {"dtype": "float32", "shape": list(x.shape), "data": x.ravel().tolist()}
        feeds.write_text(json.dumps({"inputs": {o.input + ":0": feed}}))
        subprocess.run([o.cytodet, "infer", path, "--feeds", feeds, "--outputs", ",".join(heads), "-o", answer], check=True)
        got = {k.split(":")[0]: v for k, v in json.loads(answer.read_text())["outputs"].items()}
    worst = 0.0
    for name, w in zip(heads, wanted):
        if list(w.shape) != got[name]["shape"]:
            raise SystemExit(f"check_heads: error: {path}: {name}: is {got[name]['shape']}, in TensorFlow {list(w.shape)}")
        difference = np.abs(np.array(got[name]["data"], np.float64).reshape(w.shape) - w).max()
        print(f"{path.name} {name:20} {str(list(w.shape)):20} off by at most {difference:.1e}")
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
    return worst


def main():
    o = arguments()
    worst = max(compare(path, o) for path in o.graphs)
    print(f"worst {worst:.1e} (at most {o.most:.0e})")
    return int(worst > o.most)


if __name__ == "__main__":
    sys.exit(main())
