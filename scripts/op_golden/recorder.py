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
        self.calls_functions = False
        self.feeds, self.fetches, self.failed, self.given, self.nodes = {}, [], [], {}, []

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
        trial = Recorder(self.name)
        try:
            outputs = trial.build(op or self.name, **arguments)
            with tf.compat.v1.Session(graph=trial.graph) as session:
                session.run(outputs, trial.feeds)
        except Exception as e:  # noqa: BLE001
            self.failed.append(f"{op or self.name}: {first_line(e)}")
            return None
        outputs = self.build(op or self.name, **arguments)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        self.fetch(outputs)
        return outputs

    def known(self, output, value):
        """Fetches an output that this TensorFlow cannot compute: value is given."""
        self.fetches.append(output)
        self.given[output.ref()] = value

    def node(self, op, inputs, attributes, value):
        """A node of an op that this TensorFlow no longer builds; value is its first output."""
        node = tf.compat.v1.NodeDef(name=f"{op}_{len(self.nodes)}", op=op, input=[self.feed(a).op.name for a in inputs])
        node.attr["T"].type = tf.as_dtype(inputs[0].dtype).as_datatype_enum
        for key, v in attributes.items():
            setattr(node.attr[key], {bool: "b", float: "f", int: "i"}[type(v)], v)
        self.nodes.append((node, value))

    def run(self, definition, tensors):
        """In a graph of its own: a session wants a kernel for every node that its graph holds, run or not."""
        if not tensors:
            return []
        needed = tf.compat.v1.graph_util.extract_sub_graph(definition, sorted({t.op.name for t in tensors}))
        names = {n.name for n in needed.node}
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.graph_util.import_graph_def(needed, name="")
            return session.run([t.name for t in tensors], {p.name: a for p, a in self.feeds.items() if p.op.name in names})

    def write(self, folder):
        definition = self.graph.as_graph_def()
        run = [t for t in self.fetches if t.ref() not in self.given]
        values = {**self.given, **dict(zip([t.ref() for t in run], self.run(definition, run)))}
        if self.fetches:
            definition = tf.compat.v1.graph_util.extract_sub_graph(definition, sorted({t.op.name for t in self.fetches}))
        elif self.nodes:
            definition.CopyFrom(tf.compat.v1.GraphDef(node=[n for n in definition.node if n.op == "Placeholder"]))
        definition.node.extend(n for n, _ in self.nodes)
        kept = {n.name for n in definition.node}
        if not self.calls_functions:
            definition.library.Clear()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "graph.pb").write_bytes(definition.SerializeToString(deterministic=True))
        case_json = {"inputs": {p.op.name + ":0": tensor(a) for p, a in self.feeds.items() if p.op.name in kept},
                     "outputs": {t.name: tensor(v, t.dtype) for t, v in ((t, values[t.ref()]) for t in self.fetches)}}
        case_json["outputs"].update({n.name + ":0": tensor(v) for n, v in self.nodes})
        (folder / "case.json").write_text(json.dumps(case_json, separators=(",", ":")) + "\n")


def first_line(e):
    lines = [line for line in str(e).splitlines() if line and not line.startswith(("Graph execution", "Detected at", "  ", "node"))]
    return lines[0][:140] if lines else repr(e)


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


def tensor(a, dtype=None):
    """dtype: where the array's own cannot tell, as with fetched codes."""
    a = np.asarray(a)
    dtype = dtype or tf.as_dtype(a.dtype)
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
        if g.failed:
            print(f"left out {len(g.failed)} of {name}, first: {g.failed[0]}")
        if not g.fetches and not g.nodes:
            print("NO CASE:", name)
            bad += 1
            continue
        try:
            g.write(root / name)
        except Exception as e:  # noqa: BLE001
            print("FAILED:", name, first_line(e))
            bad += 1
    return 1 if bad else 0
