"""Runs an INT8 graph (_FusedQuantized ops) in stock TensorFlow and compares it with the graph it was written from, whose
convolutions stand between QuantizeV2 and Dequantize and run on floats.

Prints the integer kernels that ran and the signal to noise ratio of every output; fails when an integer node did not run or an
output is below --least. "exact" is the INT8 graph with every integer node replaced by its definition on floats: without VNNI,
oneDNN adds pairs of products in 16 bits, and only this column tells what the file means.
"""
import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

v1 = tf.compat.v1
KINDS = ("_FusedQuantizedConv2D", "_FusedQuantizedDepthwiseConv2D")


def read(path):
    graph = v1.GraphDef()
    with open(path, "rb") as file:
        graph.ParseFromString(file.read())
    return graph


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("int8")
    parser.add_argument("reference", help="the quantized graph before it was written for TensorFlow")
    parser.add_argument("--feeds", help=".npz, an array for each input by name; otherwise uniform numbers in --range")
    parser.add_argument("--range", nargs=2, type=float, default=(-1, 1), metavar=("LOW", "HIGH"))
    parser.add_argument("--shape", type=lambda s: [int(v) for v in s.split(",")], help="of the input, where the file leaves it open")
    parser.add_argument("--outputs", help="comma-separated; otherwise nodes that nobody reads")
    parser.add_argument("--least", type=float, default=15, help="dB that the exact column must reach, and with VNNI TensorFlow's (default 15)")
    return parser.parse_args()


def outputs_of(graph):
    read_names = {name.lstrip("^").split(":")[0] for node in graph.node for name in node.input}
    return [n.name for n in graph.node if n.name not in read_names and n.op not in ("Const", "NoOp", "Placeholder", "Assign")]


def feeds_of(graph, options):
    if options.feeds:
        return dict(np.load(options.feeds))
    rng, feeds = np.random.default_rng(0), {}
    for node in graph.node:
        if node.op == "Placeholder":
            shape = options.shape or [d.size for d in node.attr["shape"].shape.dim]
            if min(shape, default=0) < 0:
                sys.exit(f"check_tf_int8: error: input {node.name} has an open shape {shape}; give --shape or --feeds")
            feeds[node.name] = rng.uniform(*options.range, shape).astype(tf.as_dtype(node.attr["dtype"].type).as_numpy_dtype)
    return feeds


def run(graph, feeds, outputs):
    """The outputs, and the ops of the nodes that ran."""
    with tf.Graph().as_default(), v1.Session() as session:
        tf.graph_util.import_graph_def(graph, name="")
        trace, options = v1.RunMetadata(), v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
        values = session.run([o + ":0" for o in outputs], {k + ":0": v for k, v in feeds.items()}, options, trace)
    ran = {s.node_name: s.timeline_label for device in trace.step_stats.dev_stats for s in device.node_stats}
    return values, ran


def node(graph, name, op, inputs, attributes):
    made = graph.node.add(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        made.attr[key].CopyFrom(value if isinstance(value, v1.AttrValue) else attribute(value))
    return name


def attribute(value):
    if isinstance(value, tf.DType):
        return v1.AttrValue(type=value.as_datatype_enum)
    if isinstance(value, np.ndarray):
        return v1.AttrValue(tensor=tf.make_tensor_proto(value))
    return v1.AttrValue(b=value) if isinstance(value, bool) else v1.AttrValue(f=value) if isinstance(value, float) else v1.AttrValue(s=value.encode())


def exact(graph):
    constants = {n.name: n.attr["value"].tensor for n in graph.node if n.op == "Const"}
    out = v1.GraphDef(versions=graph.versions)
    for n in graph.node:
        if n.op not in KINDS:
            out.node.add().CopyFrom(n)
            continue
        codes, filter_codes, bias, low, high, filter_low, filter_high, out_low, out_high = n.input
        to = n.name + "/exact_"
        f32 = {"T": tf.float32}
        x = node(out, to + "input", "Dequantize", [codes, low, high], {"T": n.attr["Tinput"], "mode": "SCALED"})
        w = tf.make_ndarray(constants[filter_codes]).view(np.int8).astype(np.float32)
        depthwise = n.op == KINDS[1]
        scale = np.abs(tf.make_ndarray(constants[filter_high])) / np.float32(127)
        w = w * (scale.reshape(w.shape[2:]) if depthwise and scale.size > 1 else scale)
        w = node(out, to + "filter", "Const", [], {"dtype": tf.float32, "value": w})
        window = {k: n.attr[k] for k in ("strides", "padding", "explicit_paddings", "dilations") if k in n.attr}
        y = node(out, to + "conv", "DepthwiseConv2dNative" if depthwise else "Conv2D", [x, w], {**f32, **window})
        y = node(out, to + "bias", "BiasAdd", [y, bias], f32)
        if b"Relu" in n.attr["fused_ops"].list.s:
            y = node(out, to + "relu", "Relu", [y], f32)
        node(out, n.name, "QuantizeV2", [y, out_low, out_high],
             {"T": n.attr["out_type"], "mode": "SCALED", "round_mode": "HALF_TO_EVEN", "ensure_minimum_range": 0.0})
    return out


def decibels(got, wanted):
    noise = np.mean((got.astype(np.float64) - wanted) ** 2)
    return 10 * np.log10(max(np.mean(wanted.astype(np.float64) ** 2), 1e-300) / noise) if noise else np.inf


def has_vnni():
    with open("/proc/cpuinfo") as file:
        return "vnni" in file.read()


def main():
    options = arguments()
    graph, reference = read(options.int8), read(options.reference)
    outputs = options.outputs.split(",") if options.outputs else outputs_of(reference)
    feeds = feeds_of(reference, options)
    got, ran = run(graph, feeds, outputs)
    meant, _ = run(exact(graph), feeds, outputs)
    wanted, _ = run(reference, feeds, outputs)
    bad = 0
    for kind in KINDS:
        names = [n.name for n in graph.node if n.op == kind]
        missing = [name for name in names if kind not in ran.get(name, "")]
        bad += len(missing)
        print(f"{kind}: {len(names)} nodes, {len(names) - len(missing)} ran" + (f", not {', '.join(missing[:5])}" if missing else ""))
    if not any(n.op in KINDS for n in graph.node):
        print("the graph has no integer convolution")
        bad += 1
    floats = sum(n.op in ("Conv2D", "DepthwiseConv2dNative", "MatMul") for n in graph.node)
    print(f"left on floats: {floats}; VNNI: {'yes' if has_vnni() else 'no: sums of dense convolutions saturate, see the exact column'}")
    print(f"{'output':60} {'TensorFlow':>10} {'exact':>10}  (dB)")
    for name, a, b, c in zip(outputs, got, meant, wanted):
        low = not decibels(b, c) >= options.least or (has_vnni() and not decibels(a, c) >= options.least)
        bad += low
        print(f"{name:60} {decibels(a, c):10.1f} {decibels(b, c):10.1f}{'  BELOW' if low else ''}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
