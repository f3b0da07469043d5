"""Fake-quantized graphs as TensorFlow trains them: their layers, their constants, learned steps."""
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np


def load_tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow
    except ImportError as error:
        raise RuntimeError("retraining needs TensorFlow: pip install tensorflow-cpu==2.15.1") from error
    tensorflow.get_logger().setLevel("ERROR")  # of what is deprecated in it
    return tensorflow


def read(tf: Any, graph: str) -> Any:
    found = tf.compat.v1.GraphDef()
    with open(graph, "rb") as file:
        found.ParseFromString(file.read())
    return found


def constant(tf: Any, node: Any) -> Any:
    return tf.make_ndarray(node.attr["value"].tensor)


def base(name: str) -> str:
    return name.split(":")[0].lstrip("^")


def outputs_of(graph: Any) -> list[str]:
    """Nodes that nobody reads, other than constants."""
    read = {base(i) for node in graph.node for i in node.input}
    return [node.name for node in graph.node if node.name not in read and node.op not in ("Const", "NoOp", "Placeholder")]


class Layer:
    """A layer whose input and constant filter go through FakeQuant nodes with constant ranges, by the names of those constants."""

    def __init__(self, name: str, rounded_input: str, rounded_filter: str, constants: list[str]) -> None:
        self.name, self.rounded_input, self.rounded_filter = name, rounded_input, rounded_filter
        self.filter, self.filter_ends, self.input_ends = constants[0], constants[1:3], constants[3:5]


def layers(graph: Any) -> list[Layer]:
    nodes = {node.name: node for node in graph.node}

    def behind(name: str) -> Any:
        node = nodes.get(base(name))
        return nodes.get(base(node.input[0])) if node is not None and node.op == "Reshape" else node

    found = []
    for node in graph.node:
        if node.op not in ("Conv2D", "DepthwiseConv2dNative", "MatMul"):
            continue
        x, w = nodes.get(base(node.input[0])), behind(node.input[1])
        if x is None or w is None or not (x.op.startswith("FakeQuantWithMinMaxVars") and w.op.startswith("FakeQuantWithMinMaxVars")):
            continue
        constants = [base(i) for i in [*w.input, *x.input[1:]]]
        if all(c in nodes and nodes[c].op == "Const" for c in constants):
            found.append(Layer(node.name, x.name, w.name, constants))
    return found


def biases(tf: Any, graph: Any, of: list[Layer]) -> list[str]:
    """By the constant's name: vectors that a BiasAdd or Add puts behind a layer."""
    nodes = {node.name: node for node in graph.node}
    behind = {layer.name for layer in of}
    found = []
    for node in graph.node:
        if node.op in ("BiasAdd", "Add", "AddV2") and len(node.input) >= 2 and base(node.input[0]) in behind:
            bias = nodes.get(base(node.input[1]))
            if bias is not None and bias.op == "Const" and constant(tf, bias).ndim == 1:
                found.append(bias.name)
    return found


def without(tf: Any, graph: Any, names: set[str]) -> Any:
    """The graph with these constants as placeholders, which input_map replaces."""
    cut = tf.compat.v1.GraphDef()
    cut.CopyFrom(graph)
    for node in cut.node:
        if node.name in names:
            dtype = node.attr["dtype"].type
            node.op = "Placeholder"
            node.ClearField("attr")
            node.attr["dtype"].type = dtype
    return cut


class LearnedStep:
    """A FakeQuant node as ops whose gradient with respect to its step is that of learned step size quantization (Esser et al. 2020):
    round(x / step) - x / step where x is inside, the lowest or highest code outside. The node becomes
    step * (c + stop_gradient(round(c) - c)), c = clip(x / step, lowest, highest); the zero point stays, so that 0 stays on the grid."""

    def __init__(self, tf: Any, graph: Any, node: Any, ends: list[str]) -> None:
        nodes = {n.name: n for n in graph.node}
        low, high = (constant(tf, nodes[end]) for end in ends)
        bits = node.attr["num_bits"].i or 8
        first, last = int(node.attr["narrow_range"].b), 2**bits - 1
        self.name, self.ends = node.name + "/step", ends
        self.step = (high - low) / np.float32(last - first)
        zero = np.clip(np.round(first - low / np.where(self.step > 0, self.step, 1)), first, last)
        self.codes = ((first - zero).astype("f4"), (last - zero).astype("f4"))
        x, target = node.input[0], node.name

        def add(kind: str, name: str, inputs: list[str]) -> str:
            made = graph.node.add()
            made.op, made.name = kind, name
            made.input.extend(inputs)
            made.attr["T"].type = tf.float32.as_datatype_enum
            return name

        def number(name: str, value: Any) -> str:
            made = graph.node.add()
            made.op, made.name = "Const", name
            made.attr["dtype"].type = tf.float32.as_datatype_enum
            made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype=tf.float32))
            return name

        lowest, highest = number(target + "/lowest", self.codes[0]), number(target + "/highest", self.codes[1])
        number(self.name, self.step)
        share = add("RealDiv", target + "/share", [x, self.name])
        inside = add("Minimum", target + "/inside", [add("Maximum", target + "/above", [share, lowest]), highest])
        change = add("StopGradient", target + "/change", [add("Sub", target + "/off", [add("Round", target + "/code", [inside]), inside])])
        code = add("AddV2", target + "/kept", [inside, change])
        node.op = "Mul"
        del node.input[:]
        node.input.extend([code, self.name])
        node.ClearField("attr")
        node.attr["T"].type = tf.float32.as_datatype_enum

    def trained(self, tf: Any, numbers: float) -> tuple[Any, Any]:
        """(variable, step): the step times a factor whose gradient is divided by sqrt(numbers * largest code)."""
        raw = tf.compat.v1.get_variable("trained/" + self.name, initializer=tf.constant(1.0))
        share = 1.0 / math.sqrt(max(1.0, numbers * float(np.max(self.codes[1]))))
        scaled = raw * share
        return raw, (scaled + tf.stop_gradient(raw - scaled)) * tf.constant(self.step.astype("f4"))


def has_open_batch(graph: Any) -> bool:
    """Whether every input leaves its first size open."""
    shapes = [node.attr["shape"].shape for node in graph.node if node.op == "Placeholder"]
    return all(s.unknown_rank or (len(s.dim) > 0 and s.dim[0].size < 0) for s in shapes)


def import_graph(tf: Any, graph: Any, outputs: Sequence[str], replaced: dict[str, Any], inputs: dict[str, Any]) -> list[Any]:
    """Tensors of the outputs, with some constants replaced and some placeholders fed by tensors."""
    mapping = {f"{name}:0": value for name, value in replaced.items()}
    mapping.update({f"{name}:0": value for name, value in inputs.items()})
    found: list[Any] = tf.graph_util.import_graph_def(without(tf, graph, set(replaced)), input_map=mapping,
                                                      return_elements=[o if ":" in o else o + ":0" for o in outputs], name="")
    return found
