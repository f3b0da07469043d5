#!/usr/bin/env python3
"""Remakes tests/data/graph/legacy/*/case.json: answers of whole INT8 graphs of older tools. Those of signed filters are numpy's:
TensorFlow's oneDNN kernels cut sums off on CPUs without VNNI. The others are TensorFlow 2.15's.

    $(scripts/oracle_env tensorflow) scripts/make_legacy_golden.py

The graph of unsigned filters has the answers of TensorFlow's own kernels: with oneDNN's, TensorFlow is some steps away from itself.
"""
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
import json  # noqa: E402
import zlib  # noqa: E402

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from op_golden.recorder import tensor  # noqa: E402


def outputs_of(definition):
    read = {i.lstrip("^").split(":")[0] for n in definition.node for i in n.input}
    return [n.name + ":0" for n in definition.node if n.name not in read and n.op not in ("Const", "Placeholder")]


def max_pool(x):
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return x[:, :h, :w].reshape(1, h // 2, 2, w // 2, 2, -1).max((2, 4))


def chain(definition, x):
    """Three convolutions c1, c2, c3, each with bias, Relu and codes of a frozen range; c3 may add c1; outputs of c3 and its pool."""
    consts = {n.name: tf.make_ndarray(n.attr["value"].tensor) for n in definition.node if n.op == "Const"}
    summed = any(n.name == "c3" and len(n.input) == 12 for n in definition.node)
    limit, codes = float(consts["xmax"]), {}
    q = np.clip(np.rint(x.astype(np.float64) * 255 / limit), 0, 255)
    for layer in ("c1", "c2", "c3"):
        w = consts[layer + "w"].view(np.int8).astype(np.float64)
        pad = w.shape[0] // 2
        padded = np.pad(q, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[:2], axis=(1, 2))
        number = np.einsum("nyxcab,abcm->nyxm", windows, w) * (limit / 255) * (consts[layer + "wmax"].astype(np.float64) / 127) + consts[layer + "b"]
        if summed and layer == "c3":
            number = number + codes["c1"] * (float(consts["c1fmax"]) / 255)
        limit = float(consts[layer + "fmax"])
        q = codes[layer] = np.clip(np.rint(np.maximum(number, 0) * 255 / limit), 0, 255)
    return {"out:0": (q * (limit / 255)).astype(np.float32), "out2:0": (max_pool(q) * (limit / 255)).astype(np.float32)}


for folder in sorted((here.parent / "tests/data/graph/legacy").iterdir()):
    definition = tf.compat.v1.GraphDef.FromString((folder / "graph.pb").read_bytes())
    rng = np.random.default_rng(zlib.crc32(folder.name.encode()))
    x = rng.uniform(-0.5, 3.5, (1, 12, 10, 3)).astype(np.float32)
    names = outputs_of(definition)
    if any(n.name == "c3" for n in definition.node):
        formula = chain(definition, x)
        answers = [formula[n] for n in names]
    else:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.graph_util.import_graph_def(definition, name="")
            answers = session.run(names, {"x:0": x})
    case = {"inputs": {"x:0": tensor(x)}, "outputs": {n: tensor(a) for n, a in zip(names, answers)}}
    (folder / "case.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")
