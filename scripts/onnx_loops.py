"""Small ONNX models with Loop, Scan and recurrent layers, for make_onnx_golden: pairs of a name that begins with the operator, a model,
and its inputs."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, info = helper.make_node, helper.make_tensor_value_info


def held(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.array(values, dtype), name)


def body(nodes, inputs, outputs, constants=()):
    """Names of one type each, "name" for float32, ("name", type, shape) for others."""
    def value(v):
        return info(v, FLOAT, None) if isinstance(v, str) else info(*v)
    return helper.make_graph(nodes, "body", [value(v) for v in inputs], [value(v) for v in outputs], list(constants))


def model(nodes, inputs, outputs, constants=(), opset=17):
    graph = helper.make_graph(nodes, "g", [info(n, t, s) for n, t, s in inputs], [info(n, t, None) for n, t in outputs], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


COUNT = [("i", INT64, []), ("go", BOOL, [])]  # what the body of every Loop reads first


def halving(start, most, opset=17):
    """A while loop: x / 2 as long as its sum is above 1; each is an item. `most` "": no bound."""
    inner = body([node("Mul", ["s", "half"], ["s2"]), node("ReduceSum", ["s2"], ["sum"], keepdims=0), node("Greater", ["sum", "one"], ["on"]),
                  node("Add", ["s2", "offset"], ["item"])],
                 [*COUNT, "s"], [("on", BOOL, []), ("s2", FLOAT, [2, 3]), ("item", FLOAT, [2, 3])], [held("half", 0.5)])
    nodes = [node("ReduceSum", ["x"], ["sum0"], keepdims=0), node("Greater", ["sum0", "one"], ["begin"]),
             node("Loop", [most, "begin", "x"], ["y", "items"], body=inner)]
    x = np.full((2, 3), start, np.float32) + np.arange(6, dtype=np.float32).reshape(2, 3) / 8
    inputs, feeds = [("x", FLOAT, [2, 3]), ("offset", FLOAT, [3])], {"x": x, "offset": np.float32([1, 2, 3])}
    if most:
        inputs.append((most, INT64, []))
        feeds[most] = np.array(3)
    return model(nodes, inputs, [("y", FLOAT), ("items", FLOAT)], [held("one", 1)], opset), feeds


def growing(count):
    """A state that grows by a row each time, and a constant as the next value of another."""
    inner = body([node("Cast", ["i"], ["n"], to=FLOAT), node("Add", ["row", "n"], ["new"]), node("Concat", ["s", "new"], ["s2"], axis=0),
                  node("Identity", ["seven"], ["t2"]), node("Identity", ["go"], ["on"])],
                 [*COUNT, ("s", FLOAT, ["n", 2]), "t"], [("on", BOOL, []), "s2", "t2"], [held("seven", [7])])
    return model([node("Loop", ["count", "yes", "none", "t0"], ["y", "t"], body=inner)], [("row", FLOAT, [1, 2]), ("count", INT64, [])],
                 [("y", FLOAT), ("t", FLOAT)], [held("yes", True, bool), held("none", np.zeros((0, 2))), held("t0", [1])]), \
        {"row": np.float32([[0.5, 1.5]]), "count": np.array(count)}


def nested(outer_known):
    """A loop whose number of iterations is that of the loop around it, with a condition within that gives a constant."""
    inner = body([node("Add", ["a", "x"], ["a2"]), node("Mul", ["a2", "step"], ["item"]), node("Identity", ["go2"], ["on2"])],
                 [("j", INT64, []), ("go2", BOOL, []), "a"], [("on2", BOOL, []), ("a2", FLOAT, [2]), ("item", FLOAT, [2])])
    way = [helper.make_graph([node(op, [a, b], [out])], op, [], [info(out, FLOAT, None)], constants)
           for op, a, b, out, constants in (("Add", "sum", "five", "p", [held("five", [5, 6])]), ("Mul", "five2", "five2", "q", [held("five2", [5, 6])]))]
    outer = body([node("Cast", ["i"], ["step"], to=FLOAT), node("Loop", ["i", "go", "s"], ["sum", "list"], body=inner),
                  node("ReduceSum", ["list", "first"], ["lists"], keepdims=0), node("Mod", ["i", "two"], ["odd"]), node("Cast", ["odd"], ["is_odd"], to=BOOL),
                  node("If", ["is_odd"], ["s2"], then_branch=way[0], else_branch=way[1]), node("Identity", ["go"], ["on"])],
                 [*COUNT, "s"], [("on", BOOL, []), ("s2", FLOAT, [2]), ("lists", FLOAT, [2])], [held("first", [0], np.int64), held("two", 2, np.int64)])
    constants, inputs, feeds = [held("yes", True, bool)], [("x", FLOAT, [2])], {"x": np.float32([0.5, -1])}
    if outer_known:
        constants.append(held("count", 4, np.int64))
    else:
        inputs.append(("count", INT64, []))
        feeds["count"] = np.array(4)
    return model([node("Loop", ["count", "yes", "x"], ["y", "lists"], body=outer)], inputs, [("y", FLOAT), ("lists", FLOAT)], constants), feeds


def in_a_branch(condition):
    """A loop that begins with constants, in a branch that may not be taken."""
    inner = body([node("Add", ["s", "x"], ["s2"]), node("Identity", ["go"], ["on"]), node("Identity", ["s2"], ["item"])], [*COUNT, "s"], [("on", BOOL, []), ("s2", FLOAT, [2]), ("item", FLOAT, [2])])
    then = helper.make_graph([node("Loop", ["count", "yes", "zero"], ["a", "items"], body=inner)], "then", [], [info("a", FLOAT, None), info("items", FLOAT, None)],
                             [held("yes", True, bool), held("zero", [0, 0])])
    other = helper.make_graph([node("Neg", ["x"], ["b"]), node("Unsqueeze", ["b", "axis"], ["c"])], "else", [], [info("b", FLOAT, None), info("c", FLOAT, None)],
                              [held("axis", [0], np.int64)])
    return model([node("If", ["take"], ["y", "z"], then_branch=then, else_branch=other)], [("x", FLOAT, [2]), ("count", INT64, []), ("take", BOOL, [])],
                 [("y", FLOAT), ("z", FLOAT)]), {"x": np.float32([1, 2]), "count": np.array(3), "take": np.array(condition)}


def scanned(length, opset=17, known=True):
    """Two lists, one read backwards and one along its second axis, an item list that is written backwards along axis 1."""
    inner = helper.make_graph(
        [node("Add", ["s", "a"], ["s2"]), node("Mul", ["s2", "b"], ["p"]), node("Identity", ["s2"], ["q"])], "body",
        [info(n, FLOAT, [2]) for n in ("s", "a", "b")], [info(n, FLOAT, [2]) for n in ("s2", "p", "q")])
    n = length if known else "n"
    r = np.random.default_rng(length)
    feeds = {"s0": r.standard_normal(2), "a": r.standard_normal((length, 2)), "b": r.standard_normal((2, length))}
    return model([node("Scan", ["s0", "a", "b"], ["y", "p", "q"], body=inner, num_scan_inputs=2, scan_input_axes=[0, 1], scan_input_directions=[1, 0],
                       scan_output_axes=[0, 1], scan_output_directions=[0, 1])],
                 [("s0", FLOAT, [2]), ("a", FLOAT, [n, 2]), ("b", FLOAT, [2, n])], [("y", FLOAT), ("p", FLOAT), ("q", FLOAT)], opset=opset), \
        {k: v.astype(np.float32).round(3) for k, v in feeds.items()}


def recurrent(op, gates, steps, lengths=None, opset=17, sizes=None, **attributes):
    """A layer over x [steps, 3, 2] with all that it may have; sizes: as the model states x's."""
    r = np.random.default_rng(steps)
    units, directions = 4, 2 if attributes.get("direction") == "bidirectional" else 1
    states = 2 if op == "LSTM" else 1
    shapes = {"W": (directions, gates * units, 2), "R": (directions, gates * units, units), "B": (directions, 2 * gates * units), "lengths": None,
              "h": (directions, 3, units), "c": (directions, 3, units), "P": (directions, 3 * units)}
    names = list(shapes)[:7 if states == 2 else 5]
    constants = [numpy_helper.from_array(r.standard_normal(shapes[n]).astype(np.float32).round(2) / 2, n) for n in names if shapes[n]]
    if lengths:
        constants.append(held("lengths", lengths, np.int32))
    out = ["Y", "Y_h", "Y_c"][:states + 1]
    inputs = ["x", *(n if n != "lengths" or lengths else "" for n in names)]
    return model([node(op, inputs, out, hidden_size=units, **attributes)], [("x", FLOAT, sizes or [steps, 3, 2])], [(o, FLOAT) for o in out], constants, opset), \
        {"x": r.standard_normal((steps, 3, 2)).astype(np.float32).round(3)}


def loop_models():
    yield "Loop while", *halving(2, "")
    yield "Loop while 13", *halving(2, "most", opset=13)
    yield "Loop never", *halving(0, "most")
    yield "Loop growing", *growing(3)
    yield "Loop growing never", *growing(0)
    yield "Loop nested", *nested(False)
    yield "Loop nested copies", *nested(True)
    yield "Loop taken", *in_a_branch(True)
    yield "Loop not taken", *in_a_branch(False)
    yield "Scan", *scanned(4)
    yield "Scan 9", *scanned(4, opset=9)
    yield "Scan open", *scanned(5, known=False)
    yield "Scan long", *scanned(70)
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        yield op + " both", *recurrent(op, gates, 4, [4, 1, 2], direction="bidirectional")
        yield op + " open", *recurrent(op, gates, 4, [4, 1, 2], direction="bidirectional", sizes=["n", "b", 2])
        yield op + " 7", *recurrent(op, gates, 3, direction="reverse", opset=7)
    yield "LSTM long", *recurrent("LSTM", 4, 70, direction="reverse")
    yield "GRU before", *recurrent("GRU", 3, 4, [4, 1, 2], direction="bidirectional", linear_before_reset=1)
    yield "RNN Relu", *recurrent("RNN", 1, 4, activations=["Relu"])
