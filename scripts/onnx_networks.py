"""Small networks with random weights in the forms in which PyTorch exports its own, for tests: name -> ModelProto."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper


class Net:
    """Nodes one after another; every method takes and returns names of tensors."""

    def __init__(self, name, seed, opset=17, image=(1, 3, 32, 32), batch=None):
        self.name, self.opset, self.random = name, opset, np.random.default_rng(seed)
        self.nodes, self.constants, self.channels = [], [], {}
        shape = [batch or image[0], *image[1:]]
        self.inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
        self.channels["images"] = image[1]

    def constant(self, array, base="w"):
        name = f"{base}{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op, inputs, outputs=1, **attributes):
        at = f"/{self.name}/{op}_{len(self.nodes)}"
        names = [f"{at}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=at, **attributes))
        if inputs and inputs[0] in self.channels:
            self.channels.update((n, self.channels[inputs[0]]) for n in names)
        return names[0] if outputs == 1 else names

    def weights(self, *shape, gain=1.4):
        fan = int(np.prod(shape[1:]))
        return (self.random.standard_normal(shape) * gain / np.sqrt(fan)).astype(np.float32)

    def conv(self, x, out, k, stride=1, pad=None, groups=1, bias=True):
        w = self.weights(out, self.channels[x] // groups, k, k)
        inputs = [x, self.constant(w)] + ([self.constant(self.random.standard_normal(out).astype(np.float32) * 0.1)] if bias else [])
        pad = (k - 1) // 2 if pad is None else pad
        y = self.node("Conv", inputs, kernel_shape=[k, k], strides=[stride] * 2, pads=[pad] * 4, group=groups, dilations=[1, 1])
        self.channels[y] = out
        return y

    def norm(self, x):
        c = self.channels[x]
        r = self.random
        tensors = [r.uniform(0.5, 1.5, c), r.standard_normal(c) * 0.1, r.standard_normal(c) * 0.1, r.uniform(0.5, 1.5, c)]
        return self.node("BatchNormalization", [x] + [self.constant(t.astype(np.float32)) for t in tensors], epsilon=1e-5)

    def concat(self, xs, axis=1):
        y = self.node("Concat", xs, axis=axis)
        self.channels[y] = sum(self.channels[x] for x in xs)
        return y

    def linear(self, x, size, out):
        w, b = self.weights(out, size), self.random.standard_normal(out).astype(np.float32) * 0.1
        return self.node("Gemm", [x, self.constant(w), self.constant(b)], transB=1)

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def silu(self, x):
        return self.node("Mul", [x, self.node("Sigmoid", [x])])

    def model(self, **outputs):
        """outputs: name -> tensor."""
        for name, tensor in outputs.items():
            self.nodes.append(helper.make_node("Identity", [tensor], [name]))
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, infos, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def resnet():
    n = Net("resnet", 1, batch="batch")

    def block(x, out, stride):
        y = n.node("Relu", [n.norm(n.conv(x, out, 3, stride, bias=False))])
        y = n.norm(n.conv(y, out, 3, bias=False))
        if stride != 1:
            x = n.norm(n.conv(x, out, 1, stride, bias=False))
        return n.node("Relu", [n.node("Add", [y, x])])

    x = n.node("Relu", [n.norm(n.conv("images", 8, 7, 2, 3, bias=False))])
    x = n.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = block(block(x, 8, 1), 16, 2)
    x = n.node("Flatten", [n.node("GlobalAveragePool", [x])], axis=1)
    return n.model(logits=n.linear(x, 16, 10))


def squeezenet():
    n = Net("squeezenet", 2, opset=9)

    def fire(x, squeeze, expand):
        s = n.node("Relu", [n.conv(x, squeeze, 1)])
        return n.concat([n.node("Relu", [n.conv(s, expand, 1)]), n.node("Relu", [n.conv(s, expand, 3)])])

    x = n.node("Relu", [n.conv("images", 8, 3, 2, 0)])
    x = n.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 0, 0])
    x = fire(fire(x, 4, 8), 4, 8)
    x = n.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    x = n.node("Relu", [n.conv(n.node("Dropout", [fire(x, 4, 12)], ratio=0.5), 10, 1)])
    x = n.node("GlobalAveragePool", [x])
    x = n.node("Reshape", [x, n.ints(0, -1)])
    return n.model(scores=n.node("Softmax", [x], axis=1))


def mobilenet():
    """Hard swish, depthwise convolutions, squeeze and excite by convolutions and by products."""
    n = Net("mobilenet", 3)

    def squeeze_excite(x, by_product):
        c = n.channels[x]
        s = n.node("GlobalAveragePool", [x])
        if by_product:
            s = n.node("Flatten", [s], axis=1)
            s = n.linear(n.node("Relu", [n.linear(s, c, 4)]), 4, c)
            s = n.node("Reshape", [s, n.ints(1, c, 1, 1)])
        else:
            s = n.conv(n.node("Relu", [n.conv(s, 4, 1)]), c, 1)
        return n.node("Mul", [x, n.node("HardSigmoid", [s], alpha=1 / 6, beta=0.5)])

    x = n.node("HardSwish", [n.conv("images", 8, 3, 2)])
    for by_product in (False, True):
        y = n.node("HardSwish", [n.conv(x, 16, 1)])
        y = n.node("HardSwish", [n.conv(y, 16, 5, groups=16)])
        x = n.node("Add", [x, n.conv(squeeze_excite(y, by_product), 8, 1)])
    x = n.node("ReduceMean", [x], axes=[2, 3], keepdims=1)
    x = n.node("Reshape", [x, n.ints(1, -1)])
    return n.model(logits=n.linear(x, 8, 10))


def vgg():
    """A map of 4 x 4 flattened before a product."""
    n = Net("vgg", 4, opset=11)
    x = "images"
    for out in (6, 8, 8):
        x = n.node("MaxPool", [n.node("Relu", [n.conv(x, out, 3)])], kernel_shape=[2, 2], strides=[2, 2])
    x = n.node("Flatten", [x], axis=1)
    x = n.node("Relu", [n.linear(n.node("Dropout", [x]), 8 * 16, 12)])
    return n.model(logits=n.linear(x, 12, 5))


def yolo():
    """A detector without anchors: split and joined stages, pools of one size in a row, two maps up, distances as softmax."""
    n = Net("yolo", 5)

    def conv(x, out, k, stride=1):
        return n.silu(n.conv(x, out, k, stride))

    def stage(x, out):
        a, b = n.node("Split", [conv(x, out, 1), n.ints(out // 2, out // 2)], 2, axis=1)
        n.channels[a] = n.channels[b] = out // 2
        c = n.node("Add", [b, conv(conv(b, out // 2, 3), out // 2, 3)])
        return conv(n.concat([a, b, c]), out, 1)

    p3 = stage(conv(conv("images", 8, 3, 2), 8, 3, 2), 8)
    p4 = stage(conv(p3, 16, 3, 2), 16)
    pools = [conv(p4, 8, 1)]
    for _ in range(3):
        pools.append(n.node("MaxPool", [pools[-1]], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2]))
    p4 = conv(n.concat(pools), 16, 1)
    up = n.node("Resize", [p4, "", n.constant(np.array([1, 1, 2, 2], np.float32))], mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric")
    p3 = stage(n.concat([up, p3]), 8)
    p4 = stage(n.concat([conv(p3, 8, 3, 2), p4]), 16)
    bins, classes, flat = 4, 3, []
    for p, cells in ((p3, 64), (p4, 16)):
        boxes, scores = n.conv(conv(p, 8, 3), 4 * bins, 1), n.conv(conv(p, 8, 3), classes, 1)
        flat.append(n.node("Reshape", [n.concat([boxes, scores]), n.ints(1, 4 * bins + classes, cells)]))
    x = n.node("Concat", flat, axis=2)
    boxes, scores = n.node("Split", [x, n.ints(4 * bins, classes)], 2, axis=1)
    d = n.node("Transpose", [n.node("Reshape", [boxes, n.ints(1, 4, bins, 80)])], perm=[0, 2, 1, 3])
    d = n.node("Softmax", [d], axis=1)
    w = n.constant(np.arange(bins, dtype=np.float32).reshape(1, bins, 1, 1))
    d = n.node("Reshape", [n.node("Conv", [d, w]), n.ints(1, 4, 80)])
    return n.model(output0=n.node("Concat", [d, n.node("Sigmoid", [scores])], axis=1))


def attention():
    """A map as a row of tokens, one block of a transformer, and back."""
    n = Net("attention", 6, image=(1, 3, 16, 16))
    x = n.conv("images", 16, 4, 4, 0)
    t = n.node("Transpose", [n.node("Reshape", [x, n.ints(1, 16, 16)])], perm=[0, 2, 1])

    def norm(x):
        return n.node("LayerNormalization", [x, n.constant(n.random.uniform(0.5, 1.5, 16).astype(np.float32)),
                                             n.constant(n.random.standard_normal(16).astype(np.float32) * 0.1)], axis=-1)

    def dense(x, size, out):
        return n.node("Add", [n.node("MatMul", [x, n.constant(n.weights(out, size).T.copy())]), n.constant(n.weights(1, out)[0] * 0.1)])

    def heads(x, perm):
        return n.node("Transpose", [n.node("Reshape", [x, n.ints(1, 16, 2, 8)])], perm=perm)

    h = norm(t)
    q, k, v = (heads(dense(h, 16, 16), p) for p in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    s = n.node("Softmax", [n.node("Mul", [n.node("MatMul", [q, k]), n.constant(np.float32(8 ** -0.5))])], axis=-1)
    a = n.node("Reshape", [n.node("Transpose", [n.node("MatMul", [s, v])], perm=[0, 2, 1, 3]), n.ints(1, 16, 16)])
    t = n.node("Add", [t, dense(a, 16, 16)])
    h = dense(norm(t), 16, 32)
    g = n.node("Mul", [n.node("Mul", [h, n.constant(np.float32(0.5))]),
                       n.node("Add", [n.node("Erf", [n.node("Div", [h, n.constant(np.float32(2 ** 0.5))])]), n.constant(np.float32(1))])])
    t = n.node("Add", [t, dense(g, 32, 16)])
    x = n.node("Reshape", [n.node("Transpose", [t], perm=[0, 2, 1]), n.ints(1, 16, 4, 4)])
    n.channels[x] = 16
    return n.model(map=n.conv(x, 4, 3))


def quantized(unsigned=False):
    """QDQ as ONNX Runtime's quantizer writes it: int8 weights per channel, uint8 activations, int32 biases. unsigned: uint8 weights
    about 128, whose least value is 128 steps below; those of the dense layer about 100."""
    n = Net("quantized", 7, opset=13)

    def grid(x, scale, zero):
        s, z = n.constant(np.float32(scale)), n.constant(np.uint8(zero))
        return n.node("DequantizeLinear", [n.node("QuantizeLinear", [x, s, z]), s, z]), scale

    def conv(x, scale, out, k, stride=1, groups=1):
        w = n.weights(out, n.channels[x] // groups, k, k)
        steps = (np.abs(w).reshape(out, -1).max(1) / (127.5 if unsigned else 127)).astype(np.float32)
        codes = np.clip(np.round(w / steps.reshape(-1, 1, 1, 1)), -128 if unsigned else -127, 127).astype(np.int8)
        zeros = n.constant(np.zeros(out, np.int8))
        if unsigned:
            codes, zeros = (codes.astype(int) + 128).astype(np.uint8), n.constant(np.full(out, 128, np.uint8))
        weights = n.node("DequantizeLinear", [n.constant(codes), n.constant(steps), zeros], axis=0)
        bias_steps = (steps * scale).astype(np.float32)
        bias = np.round(n.random.standard_normal(out) * 0.1 / bias_steps).astype(np.int32)
        bias = n.node("DequantizeLinear", [n.constant(bias), n.constant(bias_steps), n.constant(np.zeros(out, np.int32))], axis=0)
        y = n.node("Conv", [x, weights, bias], kernel_shape=[k, k], strides=[stride] * 2, pads=[k // 2] * 4, group=groups)
        n.channels[y] = out
        return y

    x, s = grid("images", 6 / 255, 128)
    x, s = grid(n.node("Relu", [conv(x, s, 16, 3, 2)]), 8 / 255, 0)
    y, t = grid(n.node("Relu", [conv(x, s, 16, 3, groups=16)]), 12 / 255, 0)
    y, t = grid(conv(y, t, 16, 1), 16 / 255, 120)
    x, s = grid(n.node("Relu", [n.node("Add", [x, y])]), 12 / 255, 0)
    x, s = grid(n.node("GlobalAveragePool", [x]), 6 / 255, 0)
    x = n.node("Flatten", [x], axis=1)
    w = n.weights(10, 16)
    step = np.float32(np.abs(w).max() / (90 if unsigned else 127))
    codes = np.round(w / step).astype(np.int8)
    zero = np.uint8(100) if unsigned else np.int8(0)
    w = n.node("DequantizeLinear", [n.constant((codes.astype(int) + int(zero)).astype(zero.dtype)), n.constant(step), n.constant(zero)])
    return n.model(logits=n.node("Gemm", [x, w], transB=1))


def quantized_uint8():
    return quantized(unsigned=True)


def integer():
    """Layers on codes, as ONNX Runtime's quantizer writes them in its other form: QLinearConv, and a pool of codes between. Weights
    have 7 bits, with which ONNX Runtime's sums of 16 bits do not saturate."""
    n = Net("integer", 8, opset=13)

    def grid(scale, zero):
        return [n.constant(np.float32(scale)), n.constant(np.uint8(zero))]

    def conv(x, of_x, scale, of_y, out, k, pad):
        w = n.weights(out, n.channels[x], k, k)
        steps = (np.abs(w).reshape(out, -1).max(1) / 63).astype(np.float32)
        codes = np.clip(np.round(w / steps.reshape(-1, 1, 1, 1)), -63, 63).astype(np.int8)
        bias = np.round(n.random.standard_normal(out) * 0.1 / (steps * scale)).astype(np.int32)
        y = n.node("QLinearConv", [x, *of_x, n.constant(codes), n.constant(steps), n.constant(np.zeros(out, np.int8)), *of_y,
                                   n.constant(bias)], kernel_shape=[k, k], pads=[pad] * 4)
        n.channels[y] = out
        return y

    grids = [(6.1 / 255, 128), (8.3 / 255, 0), (10.7 / 255, 110)]
    names = [grid(*g) for g in grids]
    x = n.node("QuantizeLinear", ["images", *names[0]])
    n.channels[x] = 3
    x = conv(x, names[0], grids[0][0], names[1], 8, 3, 1)
    x = n.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = conv(x, names[1], grids[1][0], names[2], 8, 1, 0)
    x = n.node("DequantizeLinear", [x, *names[2]])
    return n.model(logits=n.node("Flatten", [n.node("GlobalAveragePool", [x])], axis=1))


def two_stages():
    """Boxes that suppression leaves, crops of a map at these, levels joined by rows, and a branch for when none is left: as
    torchvision exports two-stage detectors."""
    n = Net("two_stages", 21)
    x = n.node("Relu", [n.conv("images", 8, 3, 2)])
    heads = n.node("Reshape", [n.node("Transpose", [n.conv(x, 5, 1)], perm=[0, 2, 3, 1]), n.ints(1, -1, 5)])
    corners = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(1, 256, 2) * 2.0
    anchors = np.concatenate([corners - 3, corners + 3], -1).astype(np.float32)
    moved = n.node("Slice", [heads, n.ints(1), n.ints(5), n.ints(2)])
    boxes = n.node("Add", [n.constant(anchors), n.node("Tanh", [moved])])
    scores = n.node("Transpose", [n.node("Sigmoid", [n.node("Slice", [heads, n.ints(0), n.ints(1), n.ints(2)])])], perm=[0, 2, 1])
    kept = n.node("NonMaxSuppression", [boxes, scores, n.ints(2 ** 63 - 1), n.constant(np.float32([0.2])), n.constant(np.float32([0.7]))])
    index = n.node("Squeeze", [n.node("Slice", [kept, n.ints(2), n.ints(3), n.ints(1)]), n.ints(1)])
    chosen = n.node("Gather", [n.node("Squeeze", [boxes, n.ints(0)]), index], axis=0)
    image = n.node("Mul", [index, n.constant(np.int64(0))])
    crops = n.node("RoiAlign", [x, chosen, image], output_height=3, output_width=3, sampling_ratio=2, spatial_scale=0.5,
                   coordinate_transformation_mode="output_half_pixel")
    count = n.node("Shape", [index])
    rows = n.node("Range", [n.constant(np.int64(0)), n.node("Squeeze", [count, n.ints(0)]), n.constant(np.int64(1))])
    size = n.node("Shape", [crops])
    column = n.node("Expand", [n.node("Unsqueeze", [rows, n.ints(1, 2, 3)]), size])
    joined = n.node("ScatterElements", [n.node("ConstantOfShape", [size]), column, crops], axis=0)
    features = n.linear(n.node("Flatten", [joined], axis=1), 72, 4)
    none = n.node("Equal", [n.node("Squeeze", [count, n.ints(0)]), n.constant(np.int64(0))])
    info = helper.make_tensor_value_info("branch", TensorProto.FLOAT, None)
    then = helper.make_graph([helper.make_node("Identity", [n.constant(np.zeros((0, 4), np.float32))], ["branch"])], "none", [], [info])
    half = n.node("Div", [n.node("Add", [count, n.ints(1)]), n.ints(2)])
    other = helper.make_graph([helper.make_node("Slice", [features, n.ints(0), half, n.ints(0)], ["best"]),
                               helper.make_node("Relu", ["best"], ["branch"])], "some", [], [info])
    return n.model(boxes=chosen, features=features, best=n.node("If", [none], then_branch=then, else_branch=other))


NETWORKS = (resnet, squeezenet, mobilenet, vgg, yolo, attention, quantized, quantized_uint8, integer, two_stages)
