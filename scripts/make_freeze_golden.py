"""Small SavedModels and checkpoints, TensorFlow's own freezing of them, and its answers.

usage: $(scripts/oracle_env tensorflow) scripts/make_freeze_golden.py [NAME...]   -> tests/data/graph/saved/NAME/
       $(scripts/oracle_env tensorflow) scripts/make_freeze_golden.py --check build/release/cytodet [NETWORK...]
--check freezes these by the program and runs the results in TensorFlow: its answers, and the weights of its own freezing. NETWORK:
also networks of keras.applications with random weights, EfficientNetB0 or the like, saved by model.save.

A folder holds what TensorFlow saved (model.ckpt*, graph.pbtxt or saved_model/), frozen.pb, what its own freezing makes of that, and
case.json: feeds and answers by the names that the frozen graph has here (a signature's keys where outputs are those of functions).
"types" and "slices" are checkpoints without a graph; their case.json holds the tensors.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # kernels that know only what every CPU's do
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework import convert_to_constants  # noqa: E402
from tensorflow.python.tools import freeze_graph  # noqa: E402

v1 = tf.compat.v1
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/graph/saved"


def rng(seed=5):
    return np.random.default_rng(seed)


def tensor_json(a):
    a = np.asarray(a)
    dtype = "bfloat16" if a.dtype == tf.bfloat16.as_numpy_dtype else "string" if a.dtype.kind in "OSU" else a.dtype.name
    if dtype == "string":
        data = [s.decode() for s in a.reshape(-1).tolist()]
    elif a.dtype.kind in "biu":
        data = a.reshape(-1).tolist()
    else:
        data = a.astype(np.float64).reshape(-1).tolist()
    return {"dtype": dtype, "shape": list(a.shape), "data": data}


def write_case(folder, inputs, outputs):
    case = {kind: {name: tensor_json(t) for name, t in values.items()} for kind, values in (("inputs", inputs), ("outputs", outputs))}
    (folder / "case.json").write_text(json.dumps(case) + "\n")


def clean(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def image_batch(shape=(1, 8, 8, 3)):
    return rng(9).normal(0, 1, shape).astype("f4")


# --- TensorFlow 1


def slim_network(x, is_training, regularized=False):
    """Convolutions with batch norms, as slim's networks have them, and a fully connected end."""
    def variable(name, shape, trainable=True):
        return v1.get_variable(name, initializer=rng(len(name) + sum(shape)).normal(0.2, 0.3, shape).astype("f4"), trainable=trainable)

    def conv(x, name, channels, stride):
        with v1.variable_scope(name):
            x = tf.nn.conv2d(x, variable("weights", (3, 3, int(x.shape[-1]), channels)), stride, "SAME")
            with v1.variable_scope("BatchNorm"):
                mean, variance = variable("moving_mean", (channels,), False), tf.abs(variable("moving_variance", (channels,), False))
                x, batch_mean, _ = v1.nn.fused_batch_norm(x, tf.abs(variable("gamma", (channels,))), variable("beta", (channels,)),
                                                          None if is_training else mean, None if is_training else variance,
                                                          is_training=is_training)
                if is_training:
                    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_sub(mean, 0.1 * (mean - batch_mean)))
            return tf.nn.relu6(x)

    with v1.variable_scope("Net"):
        x = conv(conv(x, "Conv2d_0", 8, 2), "Conv2d_1", 8, 1)
        x = tf.reduce_mean(x, [1, 2], name="pool")
        with v1.variable_scope("Logits"):
            x = tf.matmul(x, variable("weights", (8, 5))) + variable("biases", (5,))
        return tf.nn.softmax(tf.identity(x, name="logits"), name="predictions")


def frozen_by_tf(folder, outputs, **sources):
    freeze_graph.freeze_graph(
        input_graph=sources.get("graph", ""), input_saver="", input_binary=sources.get("binary", False),
        input_checkpoint=sources.get("checkpoint", ""), output_node_names=",".join(outputs), restore_op_name="",
        filename_tensor_name="", output_graph=str(folder / "frozen.pb"), clear_devices=True, initializer_nodes="",
        input_meta_graph=sources.get("meta", ""), input_saved_model_dir=sources.get("saved_model", ""))


def slim(folder):
    """A training graph with an optimizer's slots and updates; the network in it is frozen for inference."""
    v1.disable_resource_variables()  # which freeze_graph cannot take from a plain graph
    with tf.Graph().as_default() as g, v1.Session() as sess:
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        predictions = slim_network(x, False)
        labels = v1.placeholder(tf.int64, [None], name="labels")
        loss = tf.reduce_mean(-v1.log(tf.reduce_sum(predictions * tf.one_hot(labels, 5), 1)), name="loss")
        step = v1.train.get_or_create_global_step()
        v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step)
        v1.summary.scalar("loss", loss)
        sess.run(v1.global_variables_initializer())
        v1.train.Saver().save(sess, str(folder / "model.ckpt"), global_step=7)
        tf.io.write_graph(g.as_graph_def(), str(folder), "graph.pbtxt")
        answers = sess.run(predictions, {x: image_batch()})
    v1.enable_resource_variables()
    write_case(folder, {"input": image_batch()}, {"Net/predictions": answers})
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\nall_model_checkpoint_paths: "model.ckpt-7"\n')
    with tf.Graph().as_default():
        frozen_by_tf(folder, ["Net/predictions"], graph=str(folder / "graph.pbtxt"), checkpoint=str(folder / "model.ckpt-7"))


def sharded(folder):
    """Reference and resource variables in two shards, saved under other names (moving averages), read inside of a condition."""
    with tf.Graph().as_default(), v1.Session(config=v1.ConfigProto(device_count={"CPU": 2})) as sess:
        x = v1.placeholder(tf.float32, [2, 3], name="x")
        with tf.device("/cpu:0"):
            w = v1.get_variable("w", initializer=rng(1).normal(0, 1, (3, 4)).astype("f4"), use_resource=False)
        with tf.device("/cpu:1"):
            b = v1.get_variable("b", initializer=rng(2).normal(0, 1, (4,)).astype("f4"), use_resource=True)
            table = v1.get_variable("table", initializer=rng(3).normal(0, 1, (6, 4)).astype("f4"), use_resource=True)
        flag = v1.placeholder_with_default(True, [], name="flag")
        y = tf.matmul(x, w)
        v1.disable_control_flow_v2()
        y = v1.cond(flag, lambda: y + b, lambda: y * tf.gather(table, [1, 2]))
        y = tf.add(y, tf.gather(table, [5, 0]), name="y")
        sess.run(v1.global_variables_initializer())
        v1.train.Saver({"w/ExponentialMovingAverage": w, "b": b, "table": table}, sharded=True).save(sess, str(folder / "model.ckpt"))
        feed = rng(4).normal(0, 1, (2, 3)).astype("f4")
        answers = sess.run("y:0", {x: feed})
    (folder / "checkpoint").unlink()
    write_case(folder, {"x": feed}, {"y": answers})
    with tf.Graph().as_default():
        frozen_by_tf(folder, ["y"], meta=str(folder / "model.ckpt.meta"), binary=True, checkpoint=str(folder / "model.ckpt"))


def partitioned(folder):
    """Variables in parts, of unequal sizes and on both axes."""
    with tf.Graph().as_default(), v1.Session() as sess:
        x = v1.placeholder(tf.float32, [None, 70], name="x")
        with v1.variable_scope("net", partitioner=v1.fixed_size_partitioner(3, axis=0)):
            w = v1.get_variable("w", shape=(70, 5), initializer=v1.random_normal_initializer(seed=1), use_resource=False)
        with v1.variable_scope("net", partitioner=v1.fixed_size_partitioner(2, axis=1)):
            u = v1.get_variable("u", shape=(5, 7), initializer=v1.random_normal_initializer(seed=2), use_resource=True)
        y = tf.matmul(tf.matmul(x, tf.convert_to_tensor(w)), tf.convert_to_tensor(u), name="y")
        sess.run(v1.global_variables_initializer())
        feed = rng(4).normal(0, 1, (2, 70)).astype("f4")
        answers = sess.run(y, {x: feed})
        v1.saved_model.simple_save(sess, str(folder / "saved_model"), {"x": x}, {"y": y})
    write_case(folder, {"x": feed}, {"y": answers})
    with tf.Graph().as_default():
        frozen_by_tf(folder, ["y"], saved_model=str(folder / "saved_model"))


def tags(folder):
    """Two meta graphs, for training and for serving, that share their variables; text."""
    builder = v1.saved_model.Builder(str(folder / "saved_model"))
    for training in (True, False):
        with tf.Graph().as_default(), v1.Session() as sess:
            x = v1.placeholder(tf.float32, [None, 4], name="x")
            w = v1.get_variable("w", initializer=rng(1).normal(0, 1, (4, 2)).astype("f4"))
            y = tf.matmul(x, w, name="y")
            z = tf.nn.relu(y, name="z")
            sess.run(v1.global_variables_initializer())
            sign = v1.saved_model.predict_signature_def
            if training:
                builder.add_meta_graph_and_variables(sess, ["train"], {"train": sign({"x": x}, {"y": y})})
            else:
                builder.add_meta_graph(["serve", "cpu"], {"one": sign({"x": x}, {"y": y}), "two": sign({"x": x}, {"y": y, "z": z})})
                feed = rng(4).normal(0, 1, (2, 4)).astype("f4")
                write_case(folder, {"x": feed}, dict(zip("yz", sess.run([y, z], {x: feed}))))
    builder.save(as_text=True)
    with tf.Graph().as_default(), v1.Session() as sess:
        m = v1.saved_model.load(sess, ["serve", "cpu"], str(folder / "saved_model"))
        frozen = convert_to_constants.convert_variables_to_constants(sess, m.graph_def, ["y", "z"])
        (folder / "frozen.pb").write_bytes(frozen.SerializeToString(deterministic=True))


# --- TensorFlow 2


def frozen_function(folder, name="serving_default"):
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    frozen = convert_to_constants.convert_variables_to_constants_v2(loaded.signatures[name])
    (folder / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString(deterministic=True))
    return loaded.signatures[name]


def keras(folder):
    tf.keras.utils.set_random_seed(3)
    layers = tf.keras.layers
    x = inputs = tf.keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(layers.Activation("swish")(x))
    outputs = layers.Dense(3, activation="softmax", name="scores")(layers.GlobalAveragePooling2D()(x))
    model = tf.keras.Model(inputs, outputs)
    for w in model.weights:
        w.assign(np.abs(rng(int(np.prod(w.shape))).normal(0.3, 0.3, w.shape)).astype("f4"))
    model.export(str(folder / "saved_model"))
    f = frozen_function(folder)
    write_case(folder, {"serving_default_image": image_batch()}, {k: v.numpy() for k, v in f(image=tf.constant(image_batch())).items()})


class Nested(tf.Module):
    """Functions in functions; variables of one name, of several types, read in a loop, in a condition and by row."""

    def __init__(self):
        super().__init__()
        self.a = tf.Variable(rng(1).normal(0, 1, (3, 3)).astype("f4"), name="w")
        self.b = tf.Variable(rng(2).normal(0, 1, (3, 3)).astype("f4"), name="w")
        self.rows = tf.Variable(rng(3).normal(0, 1, (5, 3)).astype("f4"), name="rows")
        self.half = tf.Variable(rng(4).normal(0, 1, (3,)), dtype=tf.float16, name="half")
        self.brain = tf.Variable(rng(5).normal(0, 1, (3,)), dtype=tf.bfloat16, name="brain")
        self.turns = tf.Variable(np.int64(3), name="turns")
        self.unused = tf.Variable(np.ones((100,), "f4"), name="unused")

    @tf.function
    def inner(self, x):
        return tf.matmul(x, self.b) * tf.cast(self.half, tf.float32)

    @tf.function
    def loop(self, x):
        for _ in tf.range(self.turns):
            x = tf.tanh(tf.matmul(x, self.a)) + tf.cast(self.brain, tf.float32)
        return x

    @tf.function
    def choose(self, x):
        if tf.reduce_sum(x) > 0:
            return x + tf.gather(self.rows, [0, 4])
        return x - self.inner(x)

    @tf.function(input_signature=[tf.TensorSpec([2, 3], tf.float32, name="x")])
    def serve(self, x):
        y = self.choose(self.loop(self.inner(x)))
        return {"y": y, "best": tf.argmax(y, 1)}

    @tf.function(input_signature=[tf.TensorSpec([2, 3], tf.float32, name="x")])
    def first(self, x):
        return {"z": self.inner(x)}


def nested(folder):
    m = Nested()
    tf.saved_model.save(m, str(folder / "saved_model"), {"serving_default": m.serve, "first": m.first})
    feed = rng(6).normal(0, 1, (2, 3)).astype("f4")
    f = frozen_function(folder)
    write_case(folder, {"serving_default_x": feed}, {k: v.numpy() for k, v in f(x=tf.constant(feed)).items()})


class WithTable(tf.Module):
    def __init__(self, words):
        super().__init__()
        self.w = tf.Variable(np.arange(4, dtype="f4"), name="w")
        init = tf.lookup.TextFileInitializer(words, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                                             tf.lookup.TextFileIndex.LINE_NUMBER)
        self.table = tf.lookup.StaticHashTable(init, 0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
    def serve(self, word):
        return {"number": self.table.lookup(word), "w": self.w * 2.0}


def assets(folder):
    words = folder / "words.txt"
    words.write_text("red\nwhite\n")
    m = WithTable(str(words))
    tf.saved_model.save(m, str(folder / "saved_model"), {"serving_default": m.serve})
    words.unlink()


# --- checkpoints alone


def save(prefix, tensors, parts=None):
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=[n for n, _ in tensors],
                      shape_and_slices=parts or [""] * len(tensors), tensors=[t for _, t in tensors])


def types(folder):
    tensors = []
    for t in (tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32,
              tf.uint64, tf.bool):
        values = np.array([[1, 0, 3], [4, 5, 100]])
        tensors.append((f"all/{t.name}", tf.cast(values != 0 if t == tf.bool else values, t)))
    tensors += [("all/string", tf.constant([["a", ""], ["\u00e9\u00e8", "x" * 200]])), ("all/scalar", tf.constant(7)),
                ("all/empty", tf.zeros([0, 3])), ("fc/w", tf.constant([[1., 2, 3], [4, 5, 6]])), ("fc/b", tf.constant([.5, -.5, 0])),
                ("global_step", tf.constant(12, tf.int64))]
    held = {n: t.numpy() for n, t in tensors}
    tensors += [("complex64", tf.constant([1 + 2j, 3 - 4j], tf.complex64)), ("complex128", tf.constant([1 + 2j], tf.complex128)),
                ("qint8", tf.bitcast(tf.constant([-3, 4], tf.int8), tf.qint8))]
    save(folder / "all.ckpt", tensors)
    write_case(folder, {}, held)


def slices(folder):
    """One tensor in parts whose starts and lengths have one to three bytes; another by rows and columns."""
    long, grid = rng(1).integers(0, 100, (9000,)).astype("i1"), rng(2).normal(0, 1, (7, 5)).astype("f4")
    cuts = [0, 1, 63, 64, 128, 8191, 8192, 9000]
    parts, texts = [], []
    for a, b in zip(cuts, cuts[1:]):
        parts.append(("long", tf.constant(long[a:b])))
        texts.append(f"9000 {a},{b - a}")
    for r, c in (((0, 4), (0, 2)), ((0, 4), (2, 3)), ((4, 3), (0, 2)), ((4, 3), (2, 3))):
        parts.append(("grid", tf.constant(grid[r[0]:r[0] + r[1], c[0]:c[0] + c[1]])))
        texts.append(f"7 5 {r[0]},{r[1]}:{c[0]},{c[1]}")
    parts.append(("rows", tf.constant(grid[2:3])))
    texts.append("7 5 2,1:-")
    parts.append(("rows", tf.constant(grid[4:5])))
    texts.append("7 5 4,1:-")
    save(folder / "parts.ckpt", parts, texts)
    write_case(folder, {}, {"grid": grid, "long": long})


MODELS = [slim, sharded, partitioned, tags, keras, nested, assets, types, slices]


# --- the program's results in TensorFlow

SOURCES = {
    "slim": ["--input_graph", "graph.pbtxt", "--input_checkpoint", "model.ckpt-7", "--output_node_names", "Net/predictions"],
    "sharded": ["model.ckpt", "--output_node_names", "y"],
    "partitioned": ["saved_model"],
    "tags": ["saved_model", "--tags", "serve,cpu", "--signature", "two"],
    "keras": ["saved_model"],
    "nested": ["saved_model"],
}


def weights(graph_def):
    """How often each constant of floats, that is no scalar, is there."""
    seen = {}
    for n in graph_def.node:
        if n.op == "Const":
            a = tf.make_ndarray(n.attr["value"].tensor)
            if a.dtype.kind in "fV" and a.size > 1:
                key = (a.dtype.name, a.shape, a.tobytes())
                seen[key] = seen.get(key, 0) + 1
    return seen


def run_in_tf(graph_def, inputs, outputs):
    with tf.Graph().as_default(), v1.Session() as sess:
        tf.import_graph_def(graph_def, name="")
        return sess.run([f"{o}:0" for o in outputs], {f"{k}:0": v for k, v in inputs.items()})


def array_of(t):
    if t["dtype"] == "bfloat16":
        return np.array(t["data"], tf.bfloat16.as_numpy_dtype).reshape(t["shape"])
    return np.array(t["data"], t["dtype"]).reshape(t["shape"])


def read_graph_def(path):
    return v1.GraphDef.FromString(pathlib.Path(path).read_bytes())


def check_one(program, name, words, folder, frozen, inputs, outputs):
    result = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"frozen-{os.getpid()}.pb"
    started = time.time()
    subprocess.run([program, "freeze_graph", *words, "-o", str(result)], cwd=folder, check=True, capture_output=True)
    seconds = time.time() - started
    ours = read_graph_def(result)
    answers = run_in_tf(ours, inputs, list(outputs))
    worst = max(float(np.max(np.abs(a.astype("f8") - w.astype("f8")) / (1e-6 + np.max(np.abs(w.astype("f8"))))))
                for a, w in zip(answers, outputs.values()))
    same = weights(ours) == weights(frozen)
    print(f"{name}: {len(ours.node)} ops, {result.stat().st_size / 1e6:.2f} MB, frozen in {seconds:.2f} s; weights "
          f"{'equal' if same else 'DIFFER'}; answers within {worst:.1e}")
    result.unlink()
    return same and worst < 1e-4


def check_network(program, name):
    tf.keras.utils.set_random_seed(1)
    model = getattr(tf.keras.applications, name)(weights=None)
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder + "/saved_model", save_format="tf")
        f = tf.saved_model.load(folder + "/saved_model").signatures["serving_default"]
        frozen = convert_to_constants.convert_variables_to_constants_v2(f).graph.as_graph_def()
        key = list(f.structured_input_signature[1])[0]
        x = rng(3).normal(0, 1, (1, *model.input_shape[1:])).astype("f4")
        outputs = {k: v.numpy() for k, v in f(**{key: tf.constant(x)}).items()}
        return check_one(program, name, ["saved_model"], folder, frozen, {f"serving_default_{key}": x}, outputs)


def check(program, networks):
    program = os.path.abspath(program)
    good = True
    for name, words in SOURCES.items():
        case = json.loads((OUT / name / "case.json").read_text())
        inputs, outputs = ({k: array_of(t) for k, t in case[kind].items()} for kind in ("inputs", "outputs"))
        good &= check_one(program, name, words, OUT / name, read_graph_def(OUT / name / "frozen.pb"), inputs, outputs)
    for name in networks:
        good &= check_network(program, name)
    return good


def main():
    chosen = sys.argv[1:]
    if chosen[:1] == ["--check"]:
        sys.exit(0 if check(chosen[1], chosen[2:]) else 1)
    for make in MODELS:
        if chosen and make.__name__ not in chosen:
            continue
        folder = clean(OUT / make.__name__)
        make(folder)
        for extra in ("fingerprint.pb", "keras_metadata.pb"):
            (folder / "saved_model" / extra).unlink(missing_ok=True)
        print(f"{make.__name__}: {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file())} bytes")


main()
