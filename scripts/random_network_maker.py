"""Random convolutional networks, each from its seed alone: what make_random_networks.py and check_random_networks.py draw from.

A Maker builds a TensorFlow graph and computes every value of it at once, so that a block that TensorFlow does not run, or whose
values vanish or explode, is left out as it is drawn. What blocks there are is in random_network_blocks.py."""
import dataclasses
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # the kernels that every CPU has
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.eager import context  # noqa: E402

import random_network_blocks as blocks  # noqa: E402

v1 = tf.compat.v1
tf.get_logger().setLevel("ERROR")
FIRST = "channels_first/"  # nodes of this scope are rewritten to NCHW, see channels_first()
CHANNEL_OPS = ("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "FusedBatchNormV3", "BiasAdd")


@dataclasses.dataclass
class Value:
    """A value of the network: its tensor in the graph, and what it is on the network's input."""
    node: object
    data: object

    @property
    def shape(self):
        return tuple(self.data.shape)


class Maker:
    """Draws a network. small: few channels and blocks, for networks that are checked in. rank: of its maps; None: drawn."""

    def __init__(self, seed, small=False, rank=None):
        self.rng, self.small, self.seed, self.rank = np.random.default_rng(seed), small, seed, rank
        self.feeds, self.values, self.taken, self.drawn = {}, [], set(), []

    def below(self, n):
        return int(self.rng.integers(n))

    def chance(self, p):
        return self.rng.random() < p

    def one_of(self, *choices):
        return choices[self.below(len(choices))]

    def channels(self):
        return self.one_of(1, 3, 4, 6, 8, 9) if self.small else self.one_of(1, 3, 4, 7, 8, 12, 16, 17, 24, 32, 40)

    def normal(self, *shape, std=1.0):
        return self.rng.normal(0, std, shape).astype("f4")

    def uniform(self, low, high, *shape):
        return self.rng.uniform(low, high, shape).astype("f4")

    def weights(self, *shape, fan_in=None):
        """Of products whose results are as large as their inputs."""
        fan_in = fan_in or max(int(np.prod(shape[:-1])), 1)
        return self.normal(*shape, std=fan_in ** -0.5)

    def apply(self, compute, *values):
        """compute(*tensors), which must draw nothing, for the graph and for the data. None where the data is of no use."""
        try:
            with context.eager_mode():
                data = compute(*(v.data for v in values))
        except (tf.errors.OpError, ValueError):
            return None
        if data.shape.num_elements() in (None, 0) or data.shape.num_elements() > (4000 if self.small else 60000):
            return None
        largest = float(np.abs(data.numpy()).max()) if data.dtype == tf.float32 else 1.0
        if not np.isfinite(largest) or largest > 1e4 or largest < 1e-4:
            return None
        return Value(compute(*(v.node for v in values)), data)

    def settle(self, value):
        """Brings a value back to numbers of about one."""
        spread = float(value.data.numpy().std())
        if 0.05 < spread < 8:
            return value
        scale = np.float32(1 / max(spread, 1e-3))
        return self.apply(lambda x: x * scale, value)

    def add(self, value):
        """A value that blocks may read from now on."""
        if value is not None:
            self.values.append(value)
        return value

    def read(self, rank=4):
        """A value of that rank, a late one more often."""
        known = [v for v in self.values if len(v.shape) == rank]
        if not known:
            return None
        value = known[max(self.below(len(known)), self.below(len(known)), self.below(len(known)))]
        self.taken.add(id(value))
        return value

    def placeholder(self, shape, dynamic, dtype="f4"):
        data = self.normal(*shape) if dtype == "f4" else self.rng.integers(0, 256, shape).astype(dtype)
        data = data.round(3)
        name = f"image_{len(self.feeds)}" if self.feeds else "image"
        open_ = {"": 0, "batch": 1, "all": len(shape) - 1}[dynamic]
        stated = [None] * open_ + list(shape[open_:])
        node = v1.placeholder(data.dtype, stated, name=name)
        self.feeds[name] = data
        with context.eager_mode():
            return Value(node, tf.constant(data))

    def build(self):
        """Names of the outputs; the graph is the default one."""
        rank = 4 if self.chance(0.84) else self.one_of(3, 5)
        rank = self.rank or rank
        dynamic = self.one_of("", "", "", "batch", "all")
        sizes = {3: (23,), 4: (13, 12), 5: (6, 7, 5)}[rank] if self.small else {3: (40,), 4: (21, 18), 5: (7, 9, 8)}[rank]
        shape = [1 + self.below(3), *(max(3, s - self.below(s // 2 + 1)) for s in sizes), self.one_of(1, 3, 3, 4, 8)]
        image = self.placeholder(shape, dynamic, "u1" if self.chance(0.08) else "f4")
        if image.data.dtype == tf.uint8:
            scale = self.one_of(1 / 127.5, 1 / 255)
            image = self.apply(lambda x: tf.cast(x, tf.float32) * scale - 1.0, image)
        self.add(image)
        if self.chance(0.1):
            self.add(self.placeholder(shape, dynamic))
        table = blocks.BLOCKS[rank]
        wanted = (2 + self.below(3)) if self.small else (3 + self.below(9))
        for _ in range(60):
            if len(self.drawn) >= wanted:
                break
            self.block(table, rank)
        if self.chance(0.3):
            self.block(blocks.HEADS, rank)
        last = [v for v in self.values if id(v) not in self.taken] or self.values[-1:]
        return [tf.identity(v.node, name=f"out_{i}").op.name if self.chance(0.5) else v.node.op.name for i, v in enumerate(last[-3:])]

    def block(self, table, rank):
        names = list(table)
        weights = np.array([table[n][0] for n in names], float)
        name = names[int(self.rng.choice(len(names), p=weights / weights.sum()))]
        value = table[name][1](self, rank)
        if value is not None:
            value = self.settle(value)
        if value is not None and value.data.dtype == tf.float32:
            self.add(value)
            self.drawn.append(name)

    def first(self, compute):
        """compute, an op of CHANNEL_OPS on a map, as the networks of channels-first frameworks run it: see channels_first()."""
        def run(x):
            with tf.name_scope(FIRST):
                moved = tf.transpose(tf.transpose(x, [0, 3, 1, 2], name="to"), [0, 2, 3, 1], name="of")
                return tf.transpose(tf.transpose(compute(moved), [0, 3, 1, 2], name="to"), [0, 2, 3, 1], name="of")
        return run


def channels_first(definition):
    """Lets the ops between two transpositions of FIRST work on NCHW, which TensorFlow has no CPU kernels for."""
    nodes = {n.name: n for n in definition.node}
    for node in definition.node:
        if FIRST not in node.name or node.op not in CHANNEL_OPS:
            continue
        before, after = nodes[node.input[0]], [n for n in definition.node if n.op == "Transpose" and n.input[0] == node.name]
        if before.op != "Transpose" or len(after) != 1:
            continue
        node.input[0] = before.input[0]
        node.attr["data_format"].s = b"NCHW"
        for key in ("strides", "dilations", "ksize"):
            if key in node.attr:
                n, h, w, c = node.attr[key].list.i
                node.attr[key].list.i[:] = [n, c, h, w]
        padding = node.attr["explicit_paddings"].list.i if "explicit_paddings" in node.attr else []
        if padding:
            padding[:] = [*padding[:2], *padding[6:], *padding[2:6]]
        del after[0].input[1]
        after[0].op = "Identity"
        del after[0].attr["Tperm"]
    return definition


def run(definition, feeds, outputs):
    """TensorFlow's answers, its own rewriting of graphs left out."""
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Graph().as_default() as g:
        tf.import_graph_def(definition, name="")
        with v1.Session(graph=g, config=config) as session:
            known = {n.name for n in definition.node}
            return session.run([o + ":0" for o in outputs], {k + ":0": v for k, v in feeds.items() if k in known})


def network(seed, small=False, rank=None):
    """Graph definition, feeds, names of outputs, TensorFlow's answers and names of the blocks of the network of a seed."""
    maker = Maker(seed, small, rank)
    with tf.Graph().as_default() as g:
        outputs = maker.build()
        definition = g.as_graph_def()
    definition = v1.graph_util.extract_sub_graph(definition, outputs)
    definition.library.Clear()
    for node in definition.node:
        for key in [k for k in node.attr if k in ("_output_shapes", "_gradient_op_type")]:
            del node.attr[key]
    kept = {n.name for n in definition.node}
    feeds = {k: v for k, v in maker.feeds.items() if k in kept}
    answers = run(definition, feeds, outputs)
    return channels_first(definition), feeds, outputs, answers, maker.drawn
