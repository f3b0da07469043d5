"""Records calls of raw ops in a graph, runs them in TensorFlow, writes graph.pb and case.json."""
import json
import math
import shutil
import zlib

import numpy as np
import tensorflow as tf

bfloat16 = tf.bfloat16.as_numpy_dtype
ALL = {}


def case(*names):
    """Registers f(g) as the maker of the cases of each op in names (g.name tells which)."""
    def register(f):
        for name in names:
            ALL.setdefault(name, []).append(f)
        return f
    return register


class Recorder:
    def __init__(self, name):
        self.name = name
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.graph = tf.Graph()
        self.feeds, self.fetches, self.failed = {}, [], []

    def rand(self, *shape, dtype=np.float32, lo=-3.0, hi=3.0):
        if dtype in (bool, np.bool_):
            return self.rng.integers(0, 2, shape).astype(bool)
        if np.issubdtype(np.dtype(dtype), np.integer):
            lo = max(lo, np.iinfo(dtype).min)
            return np.asarray(self.rng.integers(int(lo), int(hi), shape)).astype(dtype)
        return np.asarray(self.rng.uniform(lo, hi, shape)).astype(dtype)

    def feed(self, array, shape="own"):
        """A placeholder that is fed with array; shape: None for an unknown rank, or a list with None where unknown."""
        array = np.asarray(array)
        with self.graph.as_default():
            p = tf.compat.v1.placeholder(tf.as_dtype(array.dtype), array.shape if shape == "own" else shape, name=f"in{len(self.feeds)}")
        self.feeds[p] = array
        return p

    def build(self, op, **arguments):
        """The op's outputs; numpy arrays become fed placeholders, everything else constants or attributes."""
        with self.graph.as_default():
            arguments = {k: self.feed(v) if isinstance(v, (np.ndarray, np.generic)) else
                         [self.feed(x) if isinstance(x, (np.ndarray, np.generic)) else x for x in v] if isinstance(v, list) else v
                         for k, v in arguments.items()}
            return getattr(tf.raw_ops, op)(**arguments)

    def fetch(self, *tensors):
        for t in tensors:
            self.fetches.extend(x for x in t if x is not None) if isinstance(t, (list, tuple)) else self.fetches.append(t)

    def __call__(self, op=None, **arguments):
        """build() and fetch(); a call that this TensorFlow has no CPU kernel for is left out."""
        before = dict(self.feeds)
        try:
            outputs = self.build(op or self.name, **arguments)
        except Exception as e:  # noqa: BLE001
            self.feeds = before
            self.failed.append(f"{op or self.name}: {str(e).splitlines()[0][:160]}")
            return None
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        with tf.compat.v1.Session(graph=self.graph) as session:
            try:
                session.run(outputs, self.feeds)
            except Exception as e:  # noqa: BLE001
                self.failed.append(f"{op or self.name}: {str(e).splitlines()[0][:160]}")
                return None
        self.fetch(outputs)
        return outputs

    def write(self, folder):
        with tf.compat.v1.Session(graph=self.graph) as session:
            values = session.run(self.fetches, self.feeds) if self.fetches else []
        definition = self.graph.as_graph_def()
        if self.fetches:
            definition = tf.compat.v1.graph_util.extract_sub_graph(definition, sorted({t.op.name for t in self.fetches}))
        kept = {n.name for n in definition.node}
        definition.library.Clear()
        folder.mkdir(parents=True)
        (folder / "graph.pb").write_bytes(definition.SerializeToString(deterministic=True))
        case_json = {"inputs": {p.op.name + ":0": tensor(a) for p, a in self.feeds.items() if p.op.name in kept},
                     "outputs": {t.name: tensor(v) for t, v in zip(self.fetches, values)}}
        (folder / "case.json").write_text(json.dumps(case_json, separators=(",", ":")) + "\n")


def number(v):
    if isinstance(v, bytes):
        return v.decode("latin1")
    if isinstance(v, (bool, np.bool_)):
        return bool(v)
    if isinstance(v, (int, np.integer)):
        return int(v)
    f = float(v)
    if math.isnan(f):
        return "nan"
    if math.isinf(f):
        return "inf" if f > 0 else "-inf"
    return f if isinstance(v, np.float64) else float(str(np.float32(v)))


def tensor(a):
    a = np.asarray(a)
    dtype = tf.as_dtype(a.dtype)
    quantized = {"qint8": np.int8, "quint8": np.uint8, "qint32": np.int32, "qint16": np.int16, "quint16": np.uint16}
    if dtype.name in quantized:
        a = a.view(quantized[dtype.name])
    return {"dtype": dtype.name, "shape": list(a.shape), "data": [number(v) for v in a.ravel()]}


def write_all(root, only):
    bad = 0
    for name, makers in sorted(ALL.items()):
        if only and name not in only:
            continue
        g = Recorder(name)
        for make in makers:
            make(g)
        for line in g.failed:
            print("left out:", line)
        if not g.fetches:
            print("NO CASE:", name)
            bad += 1
            continue
        shutil.rmtree(root / name, ignore_errors=True)
        try:
            g.write(root / name)
        except Exception as e:  # noqa: BLE001
            print("FAILED:", name, str(e).splitlines()[0][:200])
            bad += 1
    return 1 if bad else 0
