"""Writes tests/data/graph/onnx: for each operator that is read the smallest case of the onnx wheel with it (ONNX's own answers), or
a model of that node alone, and small networks (ONNX Runtime's answers). Run by make_onnx_golden, which passes the operators."""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from check_onnx_cases import load, ops_of, values  # noqa: E402
from onnx_cases import node_name, write_case  # noqa: E402
from onnx_loops import loop_models  # noqa: E402
from onnx_networks import NETWORKS  # noqa: E402

MOST_BYTES = 12_000  # of a case of the wheel
ALL_CASES = {"GRU", "LSTM", "Loop", "RNN", "Scan"}  # of whose many forms all of the wheel's cases are taken
PLAIN = {getattr(TensorProto, t) for t in "FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 BOOL FLOAT16 DOUBLE UINT32 UINT64".split()}


def has_plain_types(graph):
    return all(i.type.tensor_type.elem_type in PLAIN for i in [*graph.input, *graph.output])


def wheel_cases():
    root = pathlib.Path(onnx.__file__).parent / "backend/test/data/node"
    for model in sorted(root.glob("*/model.onnx")):
        message = onnx.load(model)
        opset = {s.domain: s.version for s in message.opset_import}.get("", 0)
        if 7 <= opset <= 21 and has_plain_types(message.graph) and not model.parent.name.endswith("_expanded"):
            yield model, message


def size_of(model):
    return sum(p.stat().st_size for p in model.parent.rglob("*") if p.is_file())


TYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int64": TensorProto.INT64,
         "bool": TensorProto.BOOL}


def small_model(op, inputs, shape, out="float32", opset=17, fed=(0,), **attributes):
    """One node; the inputs of numbers in `fed` are the model's, the others constants."""
    domain, _, name = op.rpartition(".")
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(name, names, ["y"], name="node", domain=domain, **{k.rstrip("_"): v for k, v in attributes.items()})
    infos = [helper.make_tensor_value_info(names[i], TYPES[inputs[i].dtype.name], inputs[i].shape) for i in fed]
    held = [onnx.numpy_helper.from_array(np.asarray(a), n) for i, (n, a) in enumerate(zip(names, inputs)) if i not in fed]
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", TYPES[out], shape)], held)
    sets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=sets, ir_version=8), {names[i]: inputs[i] for i in fed}


def if_model(x):
    """If with a constant condition, whose branch reads what lies around it."""
    info = helper.make_tensor_value_info
    branch = [helper.make_graph([helper.make_node(op, ["x", "x"], ["z"])], op, [], [info("z", TensorProto.FLOAT, x.shape)])
              for op in ("Add", "Mul")]
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch[0], else_branch=branch[1])
    held = [onnx.numpy_helper.from_array(np.array(False), "c")]
    graph = helper.make_graph([node], "g", [info("x", TensorProto.FLOAT, x.shape)], [info("y", TensorProto.FLOAT, x.shape)], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), {"x": x}


def running_if_model(x, condition):
    """If with a condition that is fed: one branch gives a constant of another size, the other what lies around it, and holds an If."""
    info = helper.make_tensor_value_info
    y = [info(name, TensorProto.FLOAT, None) for name in ("y", "a", "b", "d", "e")]
    fixed = onnx.numpy_helper.from_array(np.float32([[1, 2]]), "fixed")
    then = helper.make_graph([helper.make_node("Identity", ["fixed"], ["a"])], "then", [], [y[1]], [fixed])
    inner = [helper.make_graph([helper.make_node(op, [name, "x"], [out.name])], op, [], [out])
             for op, name, out in (("Add", "sum", y[3]), ("Mul", "x", y[4]))]
    nodes = [helper.make_node("Sub", ["x", "x"], ["sum"]),
             helper.make_node("If", ["c"], ["b"], then_branch=inner[0], else_branch=inner[1])]
    node = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=helper.make_graph(nodes, "else", [], [y[2]]))
    graph = helper.make_graph([node], "g", [info("x", TensorProto.FLOAT, x.shape), info("c", TensorProto.BOOL, [])], [y[0]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), {"x": x, "c": np.array(condition)}


def function_model(x):
    """Functions of the model's own: an attribute of the call, one that is left out, a function in a function, an If that reads what
    lies in the function."""
    info, held = helper.make_tensor_value_info, onnx.numpy_helper.from_array

    def refers(name):
        return onnx.AttributeProto(name=name, ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)

    sets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    leaky = helper.make_node("LeakyRelu", ["a"], ["b"])
    leaky.attribute.append(refers("alpha"))
    branch = [helper.make_graph([helper.make_node(op, ["b", "a"], ["z"])], op, [], [info("z", TensorProto.FLOAT, None)])
              for op in ("Add", "Mul")]
    inner = helper.make_function("own", "Inner", ["a", "c"], ["b", "d"], [leaky, helper.make_node("If", ["c"], ["d"], then_branch=branch[0],
                                                                                          else_branch=branch[1])], sets, ["slope"])
    call = helper.make_node("Inner", ["a", "c"], ["p", "q"], domain="own", name="inside")
    call.attribute.append(refers("slope"))
    outer = helper.make_function("own", "Outer", ["a", "c"], ["s"], [call, helper.make_node("Sub", ["p", "q"], ["s"])], sets, ["slope"])
    nodes = [helper.make_node("Outer", ["x", "no"], ["m"], domain="own", name="first", slope=0.3),
             helper.make_node("Inner", ["m", "yes"], ["y", "more"], domain="own"), helper.make_node("Identity", ["more"], ["w"])]
    graph = helper.make_graph(nodes, "g", [info("x", TensorProto.FLOAT, x.shape)],
                              [info(n, TensorProto.FLOAT, x.shape) for n in ("y", "w")], [held(np.array(True), "yes"), held(np.array(False), "no")])
    return helper.make_model(graph, opset_imports=sets, functions=[inner, outer], ir_version=8), {"x": x}


def own_models():
    """Operators that the wheel has no case of, or large ones."""
    r = np.random.default_rng(0)
    x = r.standard_normal((1, 3, 4, 4)).astype(np.float32)
    for op in "Elu Selu Softplus Softsign HardSigmoid HardSwish LpNormalization com.microsoft.Gelu Erf".split():
        yield op, *small_model(op, [x], x.shape)
    yield "Mish", *small_model("Mish", [x], x.shape, opset=18)
    yield "LRN", *small_model("LRN", [x], x.shape, size=3)
    for op in "GlobalAveragePool GlobalMaxPool GlobalLpPool".split():
        yield op, *small_model(op, [x], [1, 3, 1, 1])
    yield "InstanceNormalization", *small_model("InstanceNormalization", [x, x[0, :, 0, 0], x[0, :, 1, 1]], x.shape)
    yield "Not", *small_model("Not", [x > 0], x.shape, "bool")
    yield "If", *if_model(x)
    yield "If then", *running_if_model(x[0, 0], True)
    yield "If else", *running_if_model(x[0, 0], False)
    scales = np.array([1, 1, 2, 1.5], np.float32)
    yield "Resize 10", *small_model("Resize", [x, scales], [1, 3, 8, 6], opset=10, mode="linear")
    yield "Upsample 9", *small_model("Upsample", [x, scales], [1, 3, 8, 6], opset=9, mode="nearest")
    yield "Upsample 7", *small_model("Upsample", [x], [1, 3, 8, 8], opset=7, mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
    codes = r.integers(0, 255, (1, 2, 3, 3)).astype(np.uint8)
    grid, out = [np.float32(0.05), np.uint8(120)], [np.float32(0.073), np.uint8(110)]
    ms = "com.microsoft."
    for op in ("QLinearAdd", "QLinearMul"):
        yield ms + op, *small_model(ms + op, [codes, *grid, codes[:, ::-1].copy(), *grid, *out], codes.shape, "uint8", fed=(0, 3))
    yield ms + "QLinearSigmoid", *small_model(ms + "QLinearSigmoid", [codes, *grid, *out], codes.shape, "uint8")
    yield ms + "QLinearLeakyRelu", *small_model(ms + "QLinearLeakyRelu", [codes, *grid, *out], codes.shape, "uint8", alpha=0.1)
    yield ms + "QLinearGlobalAveragePool", *small_model(ms + "QLinearGlobalAveragePool", [codes, *grid, *out], [1, 2, 1, 1], "uint8",
                                                        channels_last=0)
    yield ms + "QLinearConcat", *small_model(ms + "QLinearConcat", [*out, codes, *grid, codes, *grid], [1, 4, 3, 3], "uint8", fed=(2, 5), axis=1)
    yield ms + "QuantizeLinear", *small_model(ms + "QuantizeLinear", [x, *grid], x.shape, "uint8")
    yield ms + "DequantizeLinear", *small_model(ms + "DequantizeLinear", [codes, *grid], codes.shape)
    yield from quantized_models()
    mats = [np.random.default_rng(6).standard_normal(s).astype(np.float32) for s in ((2, 3), (3, 4), (4, 2))]
    yield "Einsum three", *small_model("Einsum", mats, [2, 2], fed=(0, 1, 2), equation="ij,jk,kl->il")
    yield "Identity function", *function_model(x)
    ends = r.uniform(-3, 10, (5, 4)).astype(np.float32)
    for name, mode in (("RoiAlign", "half_pixel"), ("RoiAlign 10", "output_half_pixel")):
        yield name, *small_model("RoiAlign", [x, ends, np.zeros(5, np.int64)], [5, 3, 2, 3], fed=(0, 1), output_height=2,
                                               output_width=3, sampling_ratio=2, spatial_scale=0.5, coordinate_transformation_mode=mode)


def quantized_models():
    r = np.random.default_rng(5)
    ms, out = "com.microsoft.", [np.float32(0.073), np.uint8(110)]
    a, w = r.integers(0, 255, (5, 12)).astype(np.uint8), r.integers(-128, 127, (7, 12)).astype(np.int8)
    scales, bias = r.uniform(0.002, 0.01, 7).astype(np.float32), r.integers(-3000, 3000, 7).astype(np.int32)
    gemm = [a, np.float32(0.02), np.uint8(100), w, scales, np.zeros(7, np.int8), bias]
    yield ms + "QGemm", *small_model(ms + "QGemm", [*gemm, np.float32(0.08), np.uint8(120)], [5, 7], "uint8", transB=1, alpha=0.75)
    about_128 = [a, np.float32(0.02), np.uint8(100), (w.T.astype(int) + 128).astype(np.uint8), np.float32(0.005), np.uint8(128)]
    yield ms + "QGemm floats", *small_model(ms + "QGemm", about_128, [5, 7])
    codes, grid = r.integers(0, 255, (1, 2, 5, 5)).astype(np.uint8), [np.float32(0.05), np.uint8(120)]
    yield ms + "QLinearAveragePool", *small_model(ms + "QLinearAveragePool", [codes, *grid, *out], [1, 2, 3, 3], "uint8", kernel_shape=[3, 3],
                                                  strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=0)
    yield ms + "QLinearSoftmax", *small_model(ms + "QLinearSoftmax", [codes[0, :, 0], *grid, np.float32(1 / 256), np.uint8(0)], [2, 5], "uint8",
                                              axis=-1, opset_=13)


def run(model, inputs):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # quantized layers as they are written
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))


def save(out, name, model, inputs, outputs):
    path = out / name / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = out / "model.part"
    temporary.write_bytes(model.SerializeToString())
    problem = write_case(path.parent, temporary, inputs, {node_name(k): v for k, v in outputs.items()})
    temporary.unlink()
    if problem:
        raise SystemExit(f"{name}: {problem}")


def main():
    out, wanted = pathlib.Path(sys.argv[1]), set(sys.argv[2].split(","))
    chosen = {}
    for model, message in wheel_cases():
        for op in ops_of(message.graph) & wanted:
            known_flaws = "qlinearmatmul" in model.parent.name and "_uint8_float32" not in model.parent.name  # sums that wrap
            rounded = "bicubic" in model.parent.name or "roialign" in model.parent.name  # to four places
            if not ops_of(message.graph) <= wanted or known_flaws or rounded or model.parent.name == "test_if":
                continue
            batched = model.parent.name == "test_scan_sum"  # of operator set 8, which is not read
            if size_of(model) > MOST_BYTES or batched:
                continue
            if op in ALL_CASES:
                chosen[op + " " + model.parent.name] = (model, message)
            elif ops_of(message.graph) & ALL_CASES:
                continue
            elif op not in chosen or size_of(model) < size_of(chosen[op][0]):
                chosen[op] = (model, message)
    for model, message in {str(m): (m, g) for m, g in chosen.values()}.values():
        data = model.parent / "test_data_set_0"
        given = {i.name for i in message.graph.initializer}
        inputs = values(data, [i for i in message.graph.input if i.name not in given], "input")
        save(out, model.parent.name, message, inputs, values(data, message.graph.output, "output"))
    for op, model, inputs in [*own_models(), *loop_models()]:
        if op.split()[0] in wanted and op not in chosen:  # with an operator set, it stands beside the wheel's case
            save(out, "own_" + op.replace(".", "_").replace(" ", "_"), model, inputs, run(model, inputs))
            chosen[op] = None
    for network in NETWORKS:
        model = network()
        shape = [d.dim_value or 1 for d in model.graph.input[0].type.tensor_type.shape.dim]
        inputs = {"images": np.random.default_rng(9).standard_normal(shape).astype(np.float32).round(3)}
        save(out, "net_" + network.__name__, model, inputs, run(model, inputs))
    for op in sorted(wanted - {name.split()[0] for name in chosen}):
        print(f"no case of {op}")


if __name__ == "__main__":
    main()
