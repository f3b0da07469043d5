"""Small graphs for the passes, made and run by TensorFlow; and a check that TensorFlow gives the same outputs after every pass.

usage: $(scripts/oracle_env tensorflow) scripts/make_pass_golden.py            -> tests/data/graph/passes/*/{graph.pb,case.json}
       $(scripts/oracle_env tensorflow) scripts/make_pass_golden.py --verify build/release/cytodet
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import function

v1 = tf.compat.v1
ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/data/graph/passes"
rng = np.random.default_rng(3)


def weights(*shape):
    return tf.constant(rng.normal(0, 0.4, shape).astype("f4"))


def batch_norm(x, version="FusedBatchNormV3"):
    c = x.shape[-1]
    positive = lambda: tf.constant(rng.uniform(0.5, 2, c).astype("f4"))
    op = getattr(tf.raw_ops, version)
    return op(x=x, scale=positive(), offset=weights(c), mean=weights(c), variance=positive(), epsilon=1e-3, is_training=False).y


def swish(x):
    """As EfficientDet's training export leaves it."""
    y = x * tf.sigmoid(tf.constant(1.0) * x)
    return tf.raw_ops.IdentityN(input=[y, x])[0]


def detector_block():
    """Stem, inverted bottleneck with squeeze-excite, a weighted sum, and heads that share weights over two levels."""
    x = v1.placeholder(tf.float32, [1, 16, 16, 3], name="x")
    s = swish(batch_norm(tf.nn.conv2d(x, tf.identity(weights(3, 3, 3, 8)), 2, "SAME")))
    e = swish(batch_norm(tf.nn.conv2d(s, weights(1, 1, 8, 24), 1, "SAME"), "FusedBatchNorm"))
    d = swish(batch_norm(tf.nn.depthwise_conv2d(e, weights(3, 3, 24, 1), [1, 1, 1, 1], "SAME"), "FusedBatchNormV2"))
    m = tf.reduce_mean(d, [1, 2], keepdims=True)
    g = tf.sigmoid(tf.nn.bias_add(tf.nn.conv2d(swish(tf.nn.conv2d(m, weights(1, 1, 24, 6), 1, "SAME")), weights(1, 1, 6, 24), 1, "SAME"), weights(24)))
    p = tf.stop_gradient(batch_norm(tf.nn.conv2d(g * d, weights(1, 1, 24, 8), 1, "SAME"))) + s
    low = tf.nn.max_pool2d(p, 3, 2, "SAME")
    w = [tf.nn.relu(tf.constant(0.7)), tf.nn.relu(tf.constant(1.4))]
    total = tf.add_n(w)
    up = v1.image.resize_nearest_neighbor(low, [8, 8])
    fused = swish(tf.add_n([p * w[0] / (total + 1e-4), up * w[1] / (total + 1e-4)]))
    shared, bias = weights(1, 1, 8, 8), weights(8)
    for level, feature in enumerate((fused, low)):
        h = swish(batch_norm(tf.nn.bias_add(tf.nn.conv2d(feature, shared, 1, "SAME"), bias)))
        tf.identity(tf.debugging.check_numerics(h, "bad"), name=f"head_{level}")
    v1.placeholder(tf.float32, [None, 3], name="training/targets")
    return ["head_0", "head_1"]


def decomposed():
    x = v1.placeholder(tf.float32, [2, 5, 5, 3], name="x")
    y = tf.nn.conv2d(x, weights(3, 3, 3, 6), 1, "VALID")
    y = tf.nn.batch_normalization(y, weights(6), tf.constant(rng.uniform(0.5, 2, 6).astype("f4")), weights(6), weights(6), 1e-3)
    tf.identity(y * weights(6) + weights(6), name="out")
    return ["out"]


def sub_div_mul():
    x = v1.placeholder(tf.float32, [1, 6, 6, 2], name="x")
    y = tf.nn.conv2d(x, weights(3, 3, 2, 4), 1, "SAME")
    tf.nn.bias_add((y - weights(4)) / tf.constant([0.5, 2, 1.5, 0.25]) * weights(4), weights(4), name="out")
    return ["out"]


def concat_and_space():
    x = v1.placeholder(tf.float32, [4, 4, 4, 2], name="x")
    a, b = tf.nn.conv2d(x, weights(3, 3, 2, 3), 1, "SAME"), tf.nn.conv2d(x, weights(1, 1, 2, 2), 1, "SAME")
    tf.identity(batch_norm(tf.concat([a, b], 3)), name="joined")
    tf.identity(batch_norm(tf.batch_to_space(tf.nn.conv2d(x, weights(3, 3, 2, 3), 1, "SAME"), [2, 2], [[0, 0], [0, 1]])), name="space")
    return ["joined", "space"]


def pads():
    x = v1.placeholder(tf.float32, [1, 7, 6, 3], name="x")
    tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]), weights(3, 3, 3, 4), 1, "VALID", name="zeros")
    tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=2.0), weights(3, 3, 3, 4), 2, "VALID", name="twos")
    tf.nn.depthwise_conv2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), weights(3, 3, 3, 2), [1, 1, 1, 1], "VALID", name="depth")
    return ["zeros", "twos", "depth"]


def switches():
    x = v1.placeholder(tf.float32, [2, 3], name="x")
    for name, predicate in (("by_constant", tf.constant(True)), ("by_default", v1.placeholder_with_default(False, []))):
        s = tf.raw_ops.Switch(data=x, pred=predicate)
        with tf.control_dependencies([tf.identity(s.output_true)]):
            yes = tf.nn.relu(s.output_true)
        merged = tf.raw_ops.Merge(inputs=[tf.negative(s.output_false), yes * 2.0])
        tf.identity(merged.output, name=name)
    return ["by_constant", "by_default"]


def matmuls():
    x = v1.placeholder(tf.float32, [3, 5], name="x")
    y = tf.nn.bias_add(tf.matmul(x, weights(4, 5), transpose_b=True) * weights(4), weights(4)) * 0.5 + weights(4)
    tf.nn.softmax(y, name="out")
    return ["out"]


def library():
    @function.Defun(tf.float32, tf.float32, func_name="scaled_swish")
    def scaled_swish(a, b):
        parts = tf.split(a * tf.sigmoid(a), 2, axis=1)
        return parts[1] * b, tf.nn.top_k(parts[0], 2).indices

    @function.Defun(tf.float32, func_name="outer")
    def outer(a):
        return scaled_swish(a + 1.0, tf.constant(3.0))

    x = v1.placeholder(tf.float32, [2, 8], name="x")
    first, second = outer(x)
    tf.identity(first, name="values")
    tf.identity(second, name="indices")
    return ["values", "indices"]


BUILDERS = [detector_block, decomposed, sub_div_mul, concat_and_space, pads, switches, matmuls, library]


def run(graph_def, feeds, names):
    with tf.Graph().as_default() as g:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=g) as session:
            return session.run([n + ":0" for n in names], {k: v for k, v in feeds.items()})


def read(path):
    g = v1.GraphDef()
    g.ParseFromString(pathlib.Path(path).read_bytes())
    return g


def tensor(a):
    return {"dtype": str(a.dtype), "shape": list(a.shape), "data": a.ravel().tolist()}


def make():
    shutil.rmtree(OUT, ignore_errors=True)
    for build in BUILDERS:
        with tf.Graph().as_default() as g:
            names = build()
            graph_def = g.as_graph_def()
        x = next(n for n in graph_def.node if n.name == "x")
        feed = rng.normal(0, 1, [d.size for d in x.attr["shape"].shape.dim]).astype("f4")
        outputs = run(graph_def, {"x:0": feed}, names)
        folder = OUT / build.__name__
        folder.mkdir(parents=True)
        (folder / "graph.pb").write_bytes(graph_def.SerializeToString(deterministic=True))
        (folder / "case.json").write_text(json.dumps({"inputs": {"x:0": tensor(feed)}, "outputs": {n + ":0": tensor(o) for n, o in zip(names, outputs)}}))
        print(build.__name__, len(graph_def.node), "nodes", names)


def verify_graph(program, path, feeds, names, wanted, tolerance):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, "optimize", path, "-o", f"{folder}/out.pb", "--inputs", ",".join(k.split(":")[0] for k in feeds), "--outputs", ",".join(names),
                        "--dump-dir", f"{folder}/dump"], check=True, stderr=subprocess.DEVNULL)
        for dumped in sorted(pathlib.Path(folder, "dump").iterdir()) + [pathlib.Path(folder, "out.pb")]:
            worst = 0
            for name, got, want in zip(names, run(read(dumped), feeds, names), wanted):
                scale = max(1.0, float(np.abs(want).max()))
                worst = max(worst, float(np.abs(got.astype("f8") - want.astype("f8")).max()) / scale)
            if not worst <= tolerance:
                sys.exit(f"{path} after {dumped.name}: outputs differ by {worst}")
            print(f"  {dumped.name}: within {worst:.1e}")


def verify(program):
    for folder in sorted(OUT.iterdir()):
        case = json.loads((folder / "case.json").read_text())
        array = lambda t: np.asarray(t["data"], t["dtype"]).reshape(t["shape"])
        names = [n.split(":")[0] for n in case["outputs"]]
        print(folder.name)
        verify_graph(program, folder / "graph.pb", {k: array(v) for k, v in case["inputs"].items()}, names, [array(v) for v in case["outputs"].values()], 1e-5)
    print("efficientdet_d0_blood")
    names = [f"{kind}_{level}" for kind in ("class_logits", "box_deltas") for level in range(3, 8)]
    feeds = {"image:0": rng.normal(0, 1, (1, 512, 512, 3)).astype("f4")}
    path = ROOT / "models/efficientdet/efficientdet_d0_blood.pb"
    verify_graph(program, path, feeds, names, run(read(path), feeds, names), 1e-4)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--verify":
        verify(str(pathlib.Path(sys.argv[2]).resolve()))
    else:
        make()
