"""TensorFlow Lite models made of their tables, one operator or a few each, and the interpreter's answers to them."""
import contextlib
import io
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import flatbuffers  # noqa: E402
import numpy as np  # noqa: E402
from flatbuffers import flexbuffers  # noqa: E402
from tensorflow.lite.python import schema_py_generated as schema  # noqa: E402

with contextlib.redirect_stderr(io.StringIO()):
    import tensorflow as tf  # noqa: E402

CODE = schema.BuiltinOperator
TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9, "resource": 13}
RELU, RELU_N1_TO_1, RELU6, TANH = 1, 2, 3, 4
SAME, VALID = 0, 1


class Model:
    """The first graph is the model's; tensors of all graphs are added with the graph's number."""

    def __init__(self, graphs=1):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.buffers, self.model.subgraphs = [], [], []
        self.buffer(None)
        for _ in range(graphs):
            graph = schema.SubGraphT()
            graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
            self.model.subgraphs.append(graph)

    def buffer(self, data):
        buffer = schema.BufferT()
        buffer.data = None if data is None else np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def tensor(self, name, shape, dtype="float32", grid=None, axis=0, data=None, graph=0):
        """grid: (scale or scales, zero point or points)."""
        t = schema.TensorT()
        t.name, t.shape, t.type, t.hasRank = name, list(shape), TYPES[str(dtype)], True
        if data is not None:
            t.buffer = self.buffer(np.ascontiguousarray(data).tobytes())
        if grid is not None:
            q = schema.QuantizationParametersT()
            q.scale = [float(v) for v in np.atleast_1d(grid[0])]
            q.zeroPoint = [int(v) for v in np.broadcast_to(grid[1], len(q.scale))]
            q.quantizedDimension = axis
            t.quantization = q
        self.model.subgraphs[graph].tensors.append(t)
        return len(self.model.subgraphs[graph].tensors) - 1

    def constant(self, name, data, grid=None, axis=0, graph=0):
        data = np.asarray(data)
        return self.tensor(name, data.shape, data.dtype.name, grid, axis, data, graph)

    def op(self, code, inputs, outputs, options=None, custom=None, custom_options=None, graph=0, version=1):
        number = CODE.CUSTOM if custom else getattr(CODE, code)
        c = schema.OperatorCodeT()
        c.builtinCode, c.deprecatedBuiltinCode, c.version, c.customCode = number, min(number, 127), version, custom
        self.model.operatorCodes.append(c)
        o = schema.OperatorT()
        o.opcodeIndex, o.inputs, o.outputs = len(self.model.operatorCodes) - 1, list(inputs), list(outputs)
        if options is not None:
            o.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            o.builtinOptions = options
        if custom_options is not None:
            o.customOptions = np.frombuffer(custom_options, np.uint8)
        self.model.subgraphs[graph].operators.append(o)

    def bytes(self, inputs, outputs):
        self.model.subgraphs[0].inputs, self.model.subgraphs[0].outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(4096)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def options(kind, **values):
    o = getattr(schema, kind + "OptionsT")()
    for key, value in values.items():
        if not hasattr(o, key):
            raise AttributeError(f"{kind}Options has no {key}")
        setattr(o, key, value)
    return o


# Their reference kernels in 2.15.1 give other results than the default ones: a window without its last channel, sums of nothing.
FLAWED = {CODE.LOCAL_RESPONSE_NORMALIZATION, CODE.SUM}


def codes_of(content):
    model = schema.Model.GetRootAsModel(content, 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    return {max(c.BuiltinCode(), c.DeprecatedBuiltinCode()) for c in codes}


def interpreter_of(content):
    """By reference kernels; where there is none of an operator, by the optimized ones."""
    kinds = tf.lite.experimental.OpResolverType
    try:
        if codes_of(content) & FLAWED:
            raise ValueError
        return tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kinds.BUILTIN_REF)
    except ValueError:
        return tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def answers(content, inputs, runs=1):
    """What the interpreter makes of named inputs: {name: array} of the last run."""
    interpreter = interpreter_of(content)
    for detail in interpreter.get_input_details():
        if detail["name"] in inputs and list(detail["shape"]) != list(inputs[detail["name"]].shape):
            interpreter.resize_tensor_input(detail["index"], inputs[detail["name"]].shape)
    interpreter.allocate_tensors()
    for _ in range(runs):
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], inputs[detail["name"]])
        interpreter.invoke()
    return {d["name"]: interpreter.get_tensor(d["index"]).copy() for d in interpreter.get_output_details()}


def details(content):
    interpreter = interpreter_of(content)
    return interpreter.get_input_details(), interpreter.get_output_details()


HYBRID = -0.02  # in place of a number of steps: this part of the largest

# One operator on random values. A case is (name, bytes, inputs, steps): outputs may be that many stored values off.

GRIDS = {"int8": [(0.05, 3), (0.04, -7), (0.06, 11)], "uint8": [(0.05, 131), (0.04, 121), (0.06, 139)],
         "int16": [(0.0002, 0), (0.0003, 0), (0.0004, 0)]}
FIXED = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0), "L2_NORMALIZATION": (1 / 128, 0),
         "LOG_SOFTMAX": (16 / 256, 127)}


def random_values(r, shape, dtype, positive=False):
    if dtype == "float32":
        x = r.standard_normal(shape).round(3).astype(np.float32)
        return np.abs(x) + np.float32(0.1) if positive else x
    if dtype == "bool":
        return r.integers(0, 2, shape).astype(bool)
    if dtype in ("int32", "int64"):
        return r.integers(1 if positive else -9, 10, shape).astype(dtype)
    if dtype == "int16":
        return r.integers(-9000, 9000, shape).astype(dtype)
    info = np.iinfo(dtype)
    return r.integers(max(info.min, GRIDS[dtype][0][1] + 1) if positive else info.min, info.max + 1, shape).astype(dtype)


def single(name, code, shapes, out, kind=None, dtype="float32", constants=(), out_dtype=None, out_grid=None, positive=False,
           same_grid=False, seed=0, steps=1, version=1, **values):
    """An operator with fed inputs of `shapes`, constant inputs behind them (arrays), outputs of shapes `out`."""
    r = np.random.default_rng(seed)
    m, inputs, fed, tensors = Model(), {}, [], []
    quantized = dtype in GRIDS
    for i, shape in enumerate(shapes):
        grid = GRIDS[dtype][0 if same_grid else i % 2] if quantized else None
        tensors.append(m.tensor(f"x{i}", shape, dtype, grid))
        fed.append(tensors[-1])
        inputs[f"x{i}"] = random_values(r, shape, dtype, positive)
    for i, c in enumerate(constants):
        tensors.append(-1 if c is None else m.constant(f"c{i}", c))
    outs = []
    for i, shape in enumerate(out if isinstance(out, list) else [out]):
        t = out_dtype[i] if isinstance(out_dtype, (list, tuple)) else out_dtype or dtype
        grid = None
        if t in GRIDS:
            grid = out_grid or FIXED.get(code) if t == "int8" else out_grid
            if t == "uint8" and code in FIXED:
                grid = (FIXED[code][0], FIXED[code][1] + 128)
            grid = grid or (GRIDS[t][0] if same_grid else GRIDS[t][2])
        outs.append(m.tensor("y" if i == 0 else f"y{i}", shape, t, grid))
    m.op(code, tensors, outs, options(kind, **values) if kind else None, version=version)
    return name, m.bytes(fed, outs), inputs, steps if quantized else 0


def convolution(name, code, dtype="float32", padding=SAME, stride=(1, 1), dilation=(1, 1), activation=0, multiplier=1, channels=3,
                filters=4, size=(5, 6), kernel=(3, 2), bias=True, per_channel=True, weights=None, seed=0):
    """CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV or FULLY_CONNECTED. weights: their type, where it differs (int8: hybrid)."""
    r = np.random.default_rng(seed)
    m = Model()
    depthwise, dense, transposed = code == "DEPTHWISE_CONV_2D", code == "FULLY_CONNECTED", code == "TRANSPOSE_CONV"
    outputs = channels * multiplier if depthwise else filters
    x_shape = (2, channels) if dense else (1, *size, channels)
    w_shape = (filters, channels) if dense else (1, *kernel, outputs) if depthwise else (filters, *kernel, channels)
    axis = 3 if depthwise else 0
    weights = weights or dtype
    w = r.standard_normal(w_shape).astype(np.float32)
    w_grid = None
    if weights == "int8":
        count = outputs if per_channel else 1
        w_grid = (np.linspace(0.01, 0.02, count, dtype=np.float32), 0)
        w = r.integers(-127, 128, w_shape).astype(np.int8)
    if weights == "uint8":
        w_grid = (0.015, 120)
        w = r.integers(1, 256, w_shape).astype(np.uint8)
    if weights == "float16":
        w = w.astype(np.float16)
    x = random_values(r, x_shape, dtype)
    grid = GRIDS[dtype][0] if dtype in GRIDS else None
    tx = m.tensor("x", x_shape, dtype, grid)
    tw = m.constant("w", w, w_grid, axis)
    if weights == "float16":
        tw16, tw = tw, m.tensor("w32", w_shape)
        m.op("DEQUANTIZE", [tw16], [tw])
    tb = -1
    if bias:
        b = r.standard_normal(outputs).astype(np.float32)
        if dtype in GRIDS:
            b_scale = np.float32(grid[0]) * np.asarray(w_grid[0], np.float32)
            tb = m.constant("b", np.round(b / b_scale).astype(np.int32), (b_scale, 0))
        else:
            tb = m.constant("b", b)
    tail = (0.25, 5) if dtype == "int8" else (0.25, 133) if dtype == "uint8" else None
    a = dict(fusedActivationFunction=activation)
    window = dict(padding=padding, strideH=stride[0], strideW=stride[1], **a)
    if dense:
        y_shape = (2, filters)
        o = options("FullyConnected", **a)
    else:
        k = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
        hw = [-(-size[i] // stride[i]) if padding == SAME else -(-(size[i] - k[i] + 1) // stride[i]) for i in (0, 1)]
        if transposed:
            hw = [size[i] * stride[i] if padding == SAME else (size[i] - 1) * stride[i] + kernel[i] for i in (0, 1)]
        y_shape = (1, *hw, outputs)
        if transposed:
            o = options("TransposeConv", **window)
        elif depthwise:
            o = options("DepthwiseConv2D", depthMultiplier=multiplier, dilationHFactor=dilation[0], dilationWFactor=dilation[1], **window)
        else:
            o = options("Conv2D", dilationHFactor=dilation[0], dilationWFactor=dilation[1], **window)
    ty = m.tensor("y", y_shape, dtype, tail)
    given = [m.constant("shape", np.array(y_shape, np.int32)), tw, tx] if transposed else [tx, tw]
    m.op(code, given + ([tb] if bias or not transposed else []), [ty], o, version=3 if transposed else 1)
    return name, m.bytes([tx], [ty]), {"x": x}, 1 if dtype in GRIDS else 0


def post_process(name, regular=False, classes_per_box=1, background=1, seed=0):
    r = np.random.default_rng(seed)
    n, classes, detections = 12, 3, 4
    m = Model()
    shapes = {"boxes": (1, n, 4), "scores": (1, n, classes + background)}
    fed = [m.tensor(k, s) for k, s in shapes.items()]
    anchors = np.concatenate([r.uniform(0.2, 0.8, (n, 2)), r.uniform(0.1, 0.4, (n, 2))], 1).astype(np.float32)
    given = fed + [m.constant("anchors", anchors)]
    k = 1 if regular else classes_per_box
    outs = [m.tensor("detection_boxes", (1, detections * k, 4)), m.tensor("detection_classes", (1, detections * k)),
            m.tensor("detection_scores", (1, detections * k)), m.tensor("num_detections", (1,))]
    stated = flexbuffers.Dumps({
        "max_detections": detections, "max_classes_per_detection": classes_per_box, "detections_per_class": 3,
        "use_regular_nms": regular, "nms_score_threshold": 0.1, "nms_iou_threshold": 0.5, "num_classes": classes,
        "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0})
    m.op("CUSTOM", given, outs, custom="TFLite_Detection_PostProcess", custom_options=stated)
    inputs = {"boxes": r.standard_normal(shapes["boxes"]).astype(np.float32).round(3),
              "scores": r.uniform(0.2, 1, shapes["scores"]).astype(np.float32).round(3)}
    return name, m.bytes(fed, outs), inputs, 0


def streaming(name, dtype="int8"):
    """A ring buffer in a variable, as wake word networks have it: the last rows, then their mean."""
    m = Model(2)
    grid = GRIDS[dtype][0] if dtype in GRIDS else None
    start = np.full((1, 3, 2), grid[1] if grid else 0, dtype)
    handle, one = options("VarHandle", sharedName=b"ring"), options("CallOnce", initSubgraphIndex=1)
    h1, c1 = m.tensor("handle", (), "resource", graph=1), m.constant("start", start, grid, graph=1)
    m.op("VAR_HANDLE", [], [h1], handle, graph=1)
    m.op("ASSIGN_VARIABLE", [h1, c1], [], graph=1)
    x, h, old = m.tensor("x", (1, 1, 2), dtype, grid), m.tensor("handle", (), "resource"), m.tensor("old", (1, 3, 2), dtype, grid)
    joined, new, y = m.tensor("joined", (1, 4, 2), dtype, grid), m.tensor("new", (1, 3, 2), dtype, grid), m.tensor("y", (1, 2), dtype, grid)
    m.op("CALL_ONCE", [], [], one)
    m.op("VAR_HANDLE", [], [h], handle)
    m.op("READ_VARIABLE", [h], [old])
    m.op("CONCATENATION", [old, x], [joined], options("Concatenation", axis=1))
    ints = [m.constant(k, np.array(v, np.int32)) for k, v in (("begin", [0, 1, 0]), ("end", [1, 4, 2]), ("strides", [1, 1, 1]))]
    m.op("STRIDED_SLICE", [joined, *ints], [new], options("StridedSlice"))
    m.op("ASSIGN_VARIABLE", [h, new], [])
    m.op("MEAN", [new, m.constant("axis", np.array([1], np.int32))], [y], options("Reducer"))
    values = random_values(np.random.default_rng(3), (1, 1, 2), dtype)
    return name, m.bytes([x], [y]), {"x": values}, 1 if dtype in GRIDS else 0


def ints(*values):
    return np.array(values, np.int32)


MAP, ROW = (1, 4, 5, 3), (2, 6)


def cases():
    """Every operator that is read, in float and, where TensorFlow Lite has it, in 8 bits."""
    for t in ("float32", "int8", "uint8"):
        yield from quantizable(t)
    for t in ("float32", "int8"):
        yield convolution(f"TRANSPOSE_CONV_{t}", "TRANSPOSE_CONV", t, stride=(2, 2), kernel=(3, 3))
        yield single(f"PRELU_{t}", "PRELU", [MAP], MAP, dtype=t, constants=[np.float32([[[0.1, 0.2, 0.3]]])]) if t == "float32" else prelu_int8()
        yield streaming(f"ASSIGN_VARIABLE_{t}", t)
    yield from floats()
    yield from whole_numbers()
    yield post_process("TFLite_Detection_PostProcess")
    yield post_process("TFLite_Detection_PostProcess_two_classes", classes_per_box=2)
    yield post_process("TFLite_Detection_PostProcess_regular", regular=True)
    for w in ("float16", "int8"):
        yield hybrid(convolution(f"CONV_2D_{w}_weights", "CONV_2D", weights=w), w == "int8")
    yield convolution("CONV_2D_per_tensor", "CONV_2D", "int8", per_channel=False, activation=RELU6)
    yield convolution("DEPTHWISE_CONV_2D_strides", "DEPTHWISE_CONV_2D", stride=(2, 1), multiplier=2)


def hybrid(case, is_hybrid):
    """Layers of float inputs and 8-bit weights code their inputs while they run, which is not imitated."""
    return (*case[:3], HYBRID) if is_hybrid else case


def prelu_int8():
    r = np.random.default_rng(0)
    m = Model()
    x, y = m.tensor("x", MAP, "int8", GRIDS["int8"][0]), m.tensor("y", MAP, "int8", GRIDS["int8"][2])
    slope = m.constant("slope", np.array([[[20, 60, 90]]], np.int8), (0.01, 0))
    m.op("PRELU", [x, slope], [y])
    return "PRELU_int8", m.bytes([x], [y]), {"x": random_values(r, MAP, "int8")}, 1


def quantizable(t):
    q = t in GRIDS

    def one(code, *args, **more):
        return single(f"{code}_{t}", code, *args, dtype=t, **more)

    yield convolution(f"CONV_2D_{t}", "CONV_2D", t, stride=(2, 1), activation=RELU)
    yield convolution(f"CONV_2D_valid_{t}", "CONV_2D", t, padding=VALID, dilation=(2, 1))
    yield convolution(f"DEPTHWISE_CONV_2D_{t}", "DEPTHWISE_CONV_2D", t, multiplier=2, activation=RELU6)
    yield convolution(f"FULLY_CONNECTED_{t}", "FULLY_CONNECTED", t, channels=7, per_channel=False)
    for code, kind in (("ADD", "Add"), ("MUL", "Mul"), ("SUB", "Sub")):
        yield one(code, [MAP, (3,)], MAP, kind, fusedActivationFunction=RELU)
    pool = dict(padding=SAME, strideW=2, strideH=2, filterWidth=3, filterHeight=2)
    yield one("AVERAGE_POOL_2D", [MAP], (1, 2, 3, 3), "Pool2D", same_grid=True, **pool)
    yield one("MAX_POOL_2D", [MAP], (1, 2, 3, 3), "Pool2D", same_grid=True, fusedActivationFunction=RELU6, **pool)
    yield one("CONCATENATION", [MAP, (1, 4, 5, 2)], (1, 4, 5, 5), "Concatenation", same_grid=True, axis=3)
    yield one("LOGISTIC", [ROW], ROW)
    yield one("TANH", [ROW], ROW)
    yield one("SOFTMAX", [ROW], ROW, "Softmax", beta=1.0)
    yield one("RELU", [ROW], ROW)
    yield one("RELU6", [ROW], ROW)
    yield one("LEAKY_RELU", [ROW], ROW, "LeakyRelu", alpha=0.2)
    yield one("HARD_SWISH", [ROW], ROW)
    yield one("RESHAPE", [ROW], (3, 4), "Reshape", constants=[ints(3, 4)], same_grid=True, newShape=[3, 4])
    yield one("RESIZE_BILINEAR", [MAP], (1, 7, 8, 3), "ResizeBilinear", constants=[ints(7, 8)], same_grid=True, halfPixelCenters=True)
    yield one("RESIZE_NEAREST_NEIGHBOR", [MAP], (1, 7, 8, 3), "ResizeNearestNeighbor", constants=[ints(7, 8)], same_grid=True)
    yield one("PAD", [MAP], (1, 5, 7, 3), constants=[ints([0, 0], [1, 0], [0, 2], [0, 0])], same_grid=True)
    yield one("MEAN", [MAP], (1, 3), "Reducer", constants=[ints(1, 2)], keepDims=False)
    yield one("STRIDED_SLICE", [MAP], (1, 2, 2, 3), "StridedSlice", constants=[ints(0, 1, 0, 0), ints(1, 3, 4, 3), ints(1, 1, 2, 1)],
              same_grid=True)
    yield one("MAXIMUM", [ROW, (6,)], ROW, same_grid=True)
    yield one("TRANSPOSE", [MAP], (1, 3, 5, 4), constants=[ints(0, 3, 2, 1)], same_grid=True)
    if t != "uint8":
        yield one("SUM", [MAP], (1, 4, 1, 3), "Reducer", constants=[ints(2)], keepDims=True)
        yield one("L2_NORMALIZATION", [ROW], ROW)
        yield one("LOG_SOFTMAX", [ROW], ROW)
        yield one("SQUARED_DIFFERENCE", [ROW, ROW], ROW)
        yield one("ABS", [ROW], ROW, same_grid=True)
    if q:
        yield single(f"QUANTIZE_{t}", "QUANTIZE", [ROW], ROW, out_dtype=t, steps=1)[:3] + (1,)
        yield single(f"QUANTIZE_again_{t}", "QUANTIZE", [ROW], ROW, dtype=t)
        yield single(f"DEQUANTIZE_{t}", "DEQUANTIZE", [ROW], ROW, dtype=t, out_dtype="float32")[:3] + (0,)


def floats():
    def one(code, *args, **more):
        return single(f"{code}", code, *args, **more)

    for code in "CEIL COS ELU EXP FLOOR NEG RELU_N1_TO_1 RELU_0_TO_1 ROUND SIN SQUARE SIGN".split():
        yield one(code, [ROW], ROW)
    for code in "LOG RSQRT SQRT".split():
        yield one(code, [ROW], ROW, positive=True)
    for code in "MINIMUM FLOOR_DIV FLOOR_MOD".split():
        yield one(code, [ROW, (6,)], ROW, positive=True)
    yield one("POW", [ROW, ROW], ROW, "Pow", positive=True)
    yield one("DIV", [ROW, ROW], ROW, "Div", positive=True)
    yield one("ATAN2", [ROW, ROW], ROW)
    yield one("ADD_N", [ROW, ROW, ROW], ROW)
    for code in "EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL".split():
        yield one(code, [ROW, ROW], ROW, out_dtype="bool")
    yield one("GELU", [ROW], ROW, "Gelu", approximate=False)
    yield single("GELU_tanh", "GELU", [ROW], ROW, "Gelu", approximate=True)
    yield one("LOCAL_RESPONSE_NORMALIZATION", [MAP], MAP, "LocalResponseNormalization", radius=1, bias=1.0, alpha=0.5, beta=0.75)
    yield one("L2_POOL_2D", [MAP], (1, 2, 3, 3), "Pool2D", padding=SAME, strideW=2, strideH=2, filterWidth=2, filterHeight=2)
    yield one("BATCH_MATMUL", [(2, 3, 4), (2, 5, 4)], (2, 3, 5), "BatchMatMul", adjY=True)
    yield one("SQUEEZE", [(1, 4, 1)], (4, 1), "Squeeze", squeezeDims=[0])
    yield one("EXPAND_DIMS", [ROW], (2, 1, 6), constants=[np.int32(1)])
    yield one("PADV2", [ROW], (3, 6), constants=[ints([1, 0], [0, 0]), np.float32(2)])
    yield one("MIRROR_PAD", [ROW], (2, 9), "MirrorPad", constants=[ints([0, 0], [2, 1])], mode=0)
    yield one("SLICE", [MAP], (1, 2, 5, 1), constants=[ints(0, 1, 0, 2), ints(1, 2, -1, 1)])
    yield one("PACK", [ROW, ROW], (2, 2, 6), "Pack", valuesCount=2, axis=1)
    yield one("UNPACK", [ROW], [(6,), (6,)], "Unpack", num=2, axis=0)
    yield one("SPLIT_V", [ROW], [(2, 1), (2, 5)], "SplitV", constants=[ints(1, 5), np.int32(1)], numSplits=2)
    yield one("TILE", [ROW], (4, 6), constants=[ints(2, 1)])
    yield one("SPACE_TO_DEPTH", [(1, 4, 6, 2)], (1, 2, 3, 8), "SpaceToDepth", blockSize=2)
    yield one("DEPTH_TO_SPACE", [(1, 2, 3, 8)], (1, 4, 6, 2), "DepthToSpace", blockSize=2)
    yield one("SPACE_TO_BATCH_ND", [(1, 4, 6, 2)], (4, 2, 3, 2), constants=[ints(2, 2), ints([0, 0], [0, 0])])
    yield one("BATCH_TO_SPACE_ND", [(4, 2, 3, 2)], (1, 4, 6, 2), constants=[ints(2, 2), ints([0, 0], [0, 0])])
    yield one("BROADCAST_TO", [(6,)], ROW, constants=[ints(2, 6)], version=2)
    yield one("FILL", [], (2, 3), constants=[ints(2, 3), np.float32(1.5)])
    yield one("SHAPE", [ROW], (2,), "Shape", out_dtype="int32", outType=2)
    yield one("RANK", [ROW], (), out_dtype="int32")
    yield one("ZEROS_LIKE", [ROW], ROW)
    yield one("CAST", [ROW], ROW, "Cast", out_dtype="int32", inDataType=0, outDataType=2)
    yield one("GATHER", [ROW], (2, 3), "Gather", constants=[ints(4, 0, 1)], axis=1)
    yield one("GATHER_ND", [ROW], (2,), constants=[ints([0, 1], [1, 3])])
    yield one("TOPK_V2", [ROW], [(2, 3), (2, 3)], constants=[np.int32(3)], out_dtype=["float32", "int32"])
    yield one("ARG_MAX", [ROW], (2,), "ArgMax", constants=[np.int32(1)], out_dtype="int64", outputType=4)
    yield one("ARG_MIN", [ROW], (2,), "ArgMin", constants=[np.int32(1)], out_dtype="int32", outputType=2)
    yield one("REVERSE_V2", [ROW], ROW, constants=[ints(1)])
    yield one("REVERSE_SEQUENCE", [ROW], ROW, "ReverseSequence", constants=[ints(2, 5)], seqDim=1, batchDim=0)
    yield one("CUMSUM", [ROW], ROW, "Cumsum", constants=[np.int32(1)], exclusive=True, reverse=False)
    for code in "REDUCE_MAX REDUCE_MIN REDUCE_PROD".split():
        yield one(code, [ROW], (2,), "Reducer", constants=[ints(1)])
    yield one("FAKE_QUANT", [ROW], ROW, "FakeQuant", min=-1.0, max=1.5, numBits=8, narrowRange=False)
    yield nms("NON_MAX_SUPPRESSION_V4", 5)
    yield nms("NON_MAX_SUPPRESSION_V5", 6)
    m = Model()
    parts = [m.constant("axis", np.int32(1)), m.tensor("x", ROW)]
    outs = [m.tensor("y", (2, 3)), m.tensor("y1", (2, 3))]
    m.op("SPLIT", parts, outs, options("Split", numSplits=2))
    yield "SPLIT", m.bytes(parts[1:], outs), {"x": random_values(np.random.default_rng(0), ROW, "float32")}, 0
    m = Model()
    given = [m.constant("ids", ints(2, 0)), m.tensor("x", (3, 4))]
    y = m.tensor("y", (2, 4))
    m.op("EMBEDDING_LOOKUP", given, [y])
    yield "EMBEDDING_LOOKUP", m.bytes(given[1:], [y]), {"x": random_values(np.random.default_rng(0), (3, 4), "float32")}, 0


def whole_numbers():
    for code in "LOGICAL_AND LOGICAL_OR".split():
        yield single(code, code, [ROW, ROW], ROW, dtype="bool")
    yield single("LOGICAL_NOT", "LOGICAL_NOT", [ROW], ROW, dtype="bool")
    for code in "REDUCE_ANY REDUCE_ALL".split():
        yield single(code, code, [ROW], (2,), "Reducer", dtype="bool", constants=[ints(1)])
    yield single("BITWISE_XOR", "BITWISE_XOR", [ROW, ROW], ROW, dtype="int32")
    yield single("RIGHT_SHIFT", "RIGHT_SHIFT", [ROW, (6,)], ROW, dtype="int32", positive=True)
    yield single("RANGE", "RANGE", [], (4,), dtype="int32", constants=[np.int32(1), np.int32(9), np.int32(2)])
    yield single("ONE_HOT", "ONE_HOT", [(3,)], (3, 5), "OneHot", dtype="int32", constants=[np.int32(5), np.float32(2), np.float32(-1)],
                 out_dtype="float32", axis=-1)
    yield single("BROADCAST_ARGS", "BROADCAST_ARGS", [], (2,), dtype="int32", constants=[ints(2, 1), ints(6)], out_dtype="int32")
    yield single("WHERE", "WHERE", [(7,)], (7, 1), dtype="bool", out_dtype="int64")
    for code in ("SELECT", "SELECT_V2"):
        m = Model()
        given = [m.tensor("c", ROW, "bool"), m.tensor("x", ROW), m.tensor("z", ROW)]
        y = m.tensor("y", ROW)
        m.op(code, given, [y])
        r = np.random.default_rng(1)
        yield code, m.bytes(given, [y]), {"c": random_values(r, ROW, "bool"), "x": random_values(r, ROW, "float32"),
                                         "z": random_values(r, ROW, "float32")}, 0
    m = Model()
    given = [m.constant("i", ints([4], [1])), m.tensor("x", (2, 3)), m.constant("shape", ints(5, 3))]
    y = m.tensor("y", (5, 3))
    m.op("SCATTER_ND", given, [y])
    yield "SCATTER_ND", m.bytes(given[1:2], [y]), {"x": random_values(np.random.default_rng(0), (2, 3), "float32")}, 0


def nms(code, inputs):
    r = np.random.default_rng(5)
    m = Model()
    fed = [m.tensor("boxes", (9, 4)), m.tensor("scores", (9,))]
    numbers = [np.int32(4), np.float32(0.3), np.float32(0.2), np.float32(0.5)][:inputs - 2]
    given = fed + [m.constant(f"c{i}", v) for i, v in enumerate(numbers)]
    outs = [m.tensor("places", (4,), "int32")] + ([m.tensor("kept", (4,))] if inputs == 6 else []) + [m.tensor("count", (), "int32")]
    m.op(code, given, outs)
    corner = r.uniform(0, 1, (9, 2))
    boxes = np.concatenate([corner, corner + r.uniform(0.3, 0.6, (9, 2))], 1).astype(np.float32).round(3)
    return code, m.bytes(fed, outs), {"boxes": boxes, "scores": r.uniform(0.3, 1, 9).astype(np.float32).round(3)}, 0
