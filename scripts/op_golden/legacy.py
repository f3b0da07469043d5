"""INT8 layers of the older TensorFlow tools. They need TensorFlow's oneDNN kernels: make_op_golden switches those on for this file.
Filters are even and small: kernels without VNNI add pairs of products in 16 bits. Where stock TensorFlow is no oracle (minima of
MatMul with a float bias, signed summands, sums of several channels' scales) the formula is, in numpy."""
import numpy as np
import tensorflow as tf

from op_golden.quantized import attribute, codes, sums
from op_golden.recorder import case

i32, f32 = np.int32, np.float32
NUMPY = {tf.quint8: np.uint8, tf.qint8: np.int8, tf.qint32: np.int32, tf.float32: np.float32}


def tensor(array, t):
    return tf.constant(np.asarray(array).astype(NUMPY[t]).astype(t.as_numpy_dtype), t)


def top(low, high):
    return np.maximum(np.abs(low), np.abs(high)).astype(np.float64)


class Layer:
    """One node of op g.name with random operands, and what it means."""

    def __init__(self, g, depthwise=False, t_in=tf.quint8, fused="", t_out=None, padding="VALID", pads=(), stride=1, per_channel=False,
                 bias=tf.float32, matmul=False, mode=None, t_summand=None, transpose=False):
        self.g, self.matmul, self.depthwise, self.mode, self.padding, self.pads, self.stride = g, matmul, depthwise, mode, padding, pads, stride
        parts = fused.split()
        self.relu, self.result = "Relu" in parts, "codes" if "Requantize" in parts else "floats" if "Dequantize" in parts else "sums"
        self.t_in, self.t_out = t_in, t_out or {"codes": tf.quint8, "floats": tf.float32, "sums": tf.qint32}[self.result]
        c, m = 3, 2 if depthwise else 5
        self.channels = c * m if depthwise else m
        shape = (4, 6) if matmul else (1, 5, 6, c)
        self.x = codes(g, t_in, *shape)
        self.w = (2 * g.rng.integers(-31, 32, (6, 5) if matmul else (3, 3, c, m))).astype(np.int8)
        count = self.channels if per_channel else 1
        self.f_top = g.rng.uniform(.2, 1, count).astype(f32)
        self.in_low, self.in_high = (f32(-1), f32(2)) if mode == "MIN_FIRST" or t_in == tf.qint8 else (f32(0), f32(2))
        self.bias = None
        if "BiasAdd" in parts:
            low, high = (-1, 1) if bias == tf.float32 else (-9000, 9000)
            self.bias = g.rng.uniform(low, high, self.channels).astype(NUMPY[bias])
        most = f32(g.rng.uniform(.5, 2))
        self.frozen = (f32(0) if self.t_out == tf.quint8 else -most, most) if self.result != "sums" else None
        self.transpose = transpose
        with g.graph.as_default():
            x, w = (self.x.T.copy(), self.w.T.copy()) if transpose else (self.x, self.w)
            inputs = [g.feed(x), tensor(w, tf.qint8)]
            if self.bias is not None:
                inputs.append(tensor(self.bias, bias))
            f_top = self.f_top if per_channel else self.f_top[0]
            inputs += [tf.constant(v) for v in (self.in_low, self.in_high, -f_top, f_top)]
            inputs += [tf.constant(v) for v in self.frozen or ()]
            self.summand = self.summand_top = None
            if "Sum" in parts:
                size = tuple(self.sums().shape)
                if self.result == "sums":
                    self.summand = g.rand(*size)
                    inputs.append(g.feed(self.summand))
                else:
                    self.summand, self.summand_top = codes(g, t_summand, *size), f32(1.5)
                    inputs += [g.feed(self.summand), tf.constant(f32(0) if t_summand == tf.quint8 else -self.summand_top), tf.constant(self.summand_top)]
            attributes = {"T1": t_in, "T2": tf.qint8, "Toutput": self.t_out, "transpose_a": transpose, "transpose_b": transpose} if matmul else \
                {"Tinput": t_in, "Tfilter": tf.qint8, "out_type": self.t_out, "strides": [1, stride, stride, 1], "padding": padding, "dilations": [1, 1, 1, 1]}
            if mode:
                attributes["input_quant_mode"] = mode
            if pads:
                attributes["padding_list"] = list(pads)
            if self.bias is not None and (self.result != "sums" or matmul and "Relu" not in parts):
                attributes["Tbias"] = bias
            if "Sum" in parts and self.result != "sums":
                attributes["Tsummand"] = t_summand
            outs = [self.t_out] if self.result == "floats" else [self.t_out, tf.float32, tf.float32]
            self.outputs = g.graph.create_op(g.name, inputs, outs, attrs={k: attribute(v) for k, v in attributes.items()}).outputs

    def sums(self):
        x, w = self.x.view(NUMPY[self.t_in]).astype(np.int64), self.w.astype(np.int64)
        if self.matmul:
            return x @ w
        h, width = x.shape[1:3]
        k, s = 3, self.stride
        if self.pads:
            t, b, left, right = self.pads[2:6]
        elif self.padding == "SAME":
            need = [max(0, (-(-n // s) - 1) * s + k - n) for n in (h, width)]
            t, left = need[0] // 2, need[1] // 2
            b, right = need[0] - t, need[1] - left
        else:
            t = b = left = right = 0
        x = np.pad(x, ((0, 0), (t, b), (left, right), (0, 0)))
        oh, ow = (x.shape[1] - k) // s + 1, (x.shape[2] - k) // s + 1
        out = np.zeros((1, oh, ow, self.channels), np.int64)
        for y in range(oh):
            for z in range(ow):
                window = x[0, y * s:y * s + k, z * s:z * s + k]
                out[0, y, z] = np.einsum("yzc,yzcm->cm", window, w).ravel() if self.depthwise else np.einsum("yzc,yzcm->m", window, w)
        return out

    def known(self):
        """The formula's results."""
        levels = 255 if self.t_in == tf.quint8 else 127
        first = self.mode == "MIN_FIRST"
        step = (float(self.in_high) - float(self.in_low)) / 255 if first else float(top(self.in_low, self.in_high)) / levels
        f_step = self.f_top.astype(np.float64) / 127
        scale = step * f_step
        number = self.sums() * scale
        whole = self.bias is not None and self.bias.dtype == i32
        offset = (self.bias * scale if whole else self.bias.astype(np.float64)) if self.bias is not None else np.zeros(self.channels)
        if first and not whole:
            offset = offset + float(self.in_low) * f_step * self.w.astype(np.int64).sum(0)
        if self.result == "sums":
            v = self.sums() + (self.bias if whole else np.rint(offset / scale))
            if self.summand is not None:
                v = v + np.rint(self.summand.astype(np.float64) / scale)
            v = np.maximum(v, 0) if self.relu else v
            per = 255 if self.t_in == tf.quint8 else 254
            level = (f32(self.in_high - self.in_low) / f32(per)) * (f32(2) * self.f_top / f32(254))
            level = level if len(level) > 1 else level[0]
            values = [v.astype(i32), (level * f32(-2.0**31)).astype(f32), (level * f32(2.0**31)).astype(f32)]
        else:
            number = number + offset
            if self.summand is not None:
                t = NUMPY[tf.as_dtype(self.summand.dtype)]
                number = number + self.summand.view(t).astype(np.float64) * (float(self.summand_top) / np.iinfo(t).max)
            number = np.maximum(number, 0) if self.relu else number
            if self.result == "floats":
                values = [number.astype(f32)]
            else:
                info = np.iinfo(NUMPY[self.t_out])
                code = np.clip(np.rint(number / (float(top(*self.frozen)) / info.max)), info.min, info.max).astype(NUMPY[self.t_out])
                values = [code, *self.frozen]
        for output, value in zip(self.outputs, values):
            self.g.known(output, np.asarray(value))
        return self

    def fetch(self):
        self.g.fetch(list(self.outputs))
        return self


CONVOLUTIONS = {"QuantizedConv2D": "", "QuantizedConv2DPerChannel": "", "QuantizedConv2DAndRelu": "Relu", "QuantizedConv2DWithBias": "BiasAdd",
                "QuantizedConv2DWithBiasAndRelu": "BiasAdd Relu", "QuantizedConv2DWithBiasSumAndRelu": "BiasAdd Sum Relu",
                "QuantizedConv2DAndRequantize": "Requantize", "QuantizedConv2DAndReluAndRequantize": "Relu Requantize",
                "QuantizedConv2DWithBiasAndRequantize": "BiasAdd Requantize",
                "QuantizedConv2DWithBiasAndReluAndRequantize": "BiasAdd Relu Requantize",
                "QuantizedConv2DWithBiasSumAndReluAndRequantize": "BiasAdd Sum Relu Requantize",
                "QuantizedConv2DWithBiasSignedSumAndReluAndRequantize": "BiasAdd Sum Relu Requantize",
                "QuantizedDepthwiseConv2D": "", "QuantizedDepthwiseConv2DWithBias": "BiasAdd",
                "QuantizedDepthwiseConv2DWithBiasAndRelu": "BiasAdd Relu",
                "QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize": "BiasAdd Relu Requantize"}
# Wrong in stock TensorFlow, or ends its process.
FORMULA = {"QuantizedConv2DWithBiasSignedSumAndReluAndRequantize", "QuantizedConv2DWithBiasSumAndRelu"}


@case(*CONVOLUTIONS)
def convolutions(g):
    def layer(finish, **options):
        """Which ops take a range for each channel, TensorFlow's shape functions say."""
        try:
            finish(Layer(g, **options))
        except ValueError as e:
            g.failed.append(str(e)[:140])

    fused = CONVOLUTIONS[g.name]
    depthwise = "Depthwise" in g.name
    t_out = tf.qint8 if "Requantize" in fused and "Relu" not in fused else None
    t_summand = tf.qint8 if "Signed" in g.name else tf.quint8
    common = dict(depthwise=depthwise, fused=fused, t_out=t_out, t_summand=t_summand)
    finish = Layer.known if g.name in FORMULA or "Sum" in g.name else Layer.fetch  # sums of fed summands end its process
    layer(finish, **common)
    layer(finish, padding="SAME", stride=2, **common)
    lists = g.name not in ("QuantizedConv2D", "QuantizedConv2DPerChannel", "QuantizedDepthwiseConv2D", "QuantizedDepthwiseConv2DWithBias")
    if lists and g.name not in FORMULA:
        layer(finish, pads=(0, 0, 1, 2, 0, 1, 0, 0), **common)
    layer(Layer.known, per_channel=True, padding="SAME", **common)
    if not depthwise and "Sum" not in fused:
        layer(Layer.known, t_in=tf.qint8, padding="SAME", **common)
    if "BiasAdd" in fused and "Requantize" in fused:
        layer(finish, bias=tf.qint32, padding="SAME", **common)


MATMULS = {"QuantizedMatMulWithBias": "BiasAdd", "QuantizedMatMulWithBiasAndRelu": "BiasAdd Relu",
           "QuantizedMatMulWithBiasAndRequantize": "BiasAdd Requantize", "QuantizedMatMulWithBiasAndReluAndRequantize": "BiasAdd Relu Requantize",
           "QuantizedMatMulWithBiasAndDequantize": "BiasAdd Dequantize"}


@case(*MATMULS)
def matmuls(g):
    fused = MATMULS[g.name]
    Layer(g, matmul=True, fused=fused, mode="SCALED").fetch()
    Layer(g, matmul=True, fused=fused, mode="MIN_FIRST").known()
    Layer(g, matmul=True, fused=fused, mode="MIN_FIRST", transpose=True).known()
    if "Requantize" in fused or "Dequantize" in fused:
        Layer(g, matmul=True, fused=fused, mode="SCALED", bias=tf.qint32).fetch()
        Layer(g, matmul=True, fused=fused, mode="MIN_FIRST", bias=tf.qint32).known()


@case("QuantizedConv2D")
def unsigned_filters(g):
    for padding, stride in (("SAME", 1), ("VALID", 2)):
        g(input=codes(g, tf.quint8, 1, 5, 6, 3), filter=codes(g, tf.quint8, 3, 3, 3, 4), min_input=f32(-1), max_input=f32(3), min_filter=f32(-.7),
          max_filter=f32(.9), strides=[1, stride, stride, 1], padding=padding)


@case("QuantizedMatMul")
def unsigned_products(g):
    for transpose in (False, True):
        g(a=codes(g, tf.quint8, *((5, 3) if transpose else (3, 5))), b=codes(g, tf.quint8, *((4, 5) if transpose else (5, 4))), min_a=f32(-1), max_a=f32(3),
          min_b=f32(-.7), max_b=f32(.9), transpose_a=transpose, transpose_b=transpose)


@case("QuantizedMaxPool", "QuantizedAvgPool")
def pools(g):
    for t in (tf.quint8, tf.qint8):
        for padding, stride in (("SAME", 2), ("VALID", 1)):
            g(input=codes(g, t, 2, 5, 6, 3), min_input=f32(-1), max_input=f32(2), ksize=[1, 3, 2, 1], strides=[1, stride, stride, 1], padding=padding)


@case("QuantizedConcat", "QuantizedConcatV2")
def concats(g):
    for t in (tf.quint8, tf.qint8):
        if t == tf.qint8 and g.name == "QuantizedConcat":
            continue
        low = -1 if t == tf.qint8 else 0
        for ranges in (((low, 2), (low, 2)), ((low, 2), (2 * low, 4)), ((-1, 2), (0, 4))):
            concat(g, [codes(g, t, 1, 2, 3, n + 1) for n in range(2)], ranges, 3, t)
    concat(g, [codes(g, tf.quint8, 2, 3), codes(g, tf.quint8, 1, 3)], ((0, 3), (0, 3)), 0, tf.quint8)


def concat(g, values, ranges, axis, t):
    """QuantizedConcatV2 has no Python function."""
    with g.graph.as_default():
        inputs, lows, highs = [g.feed(v) for v in values], [g.feed(f32(a)) for a, _ in ranges], [g.feed(f32(b)) for _, b in ranges]
        where = tf.constant(axis, tf.int32)
        if g.name == "QuantizedConcat":
            g.fetch(list(tf.raw_ops.QuantizedConcat(concat_dim=where, values=inputs, input_mins=lows, input_maxes=highs)))
            return
        attributes = {"N": len(values), "T": t, "Tidx": tf.int32}
        g.fetch(list(g.graph.create_op(g.name, [*inputs, where, *lows, *highs], [t, tf.float32, tf.float32],
                                       attrs={k: attribute(v) for k, v in attributes.items()}).outputs))


@case("QuantizedReshape")
def reshape(g):
    g(tensor=codes(g, tf.quint8, 2, 6), shape=[3, -1], input_min=f32(-1), input_max=f32(2))


@case("QuantizedRelu", "QuantizedRelu6", "QuantizedReluX")
def relus(g):
    for t in (tf.quint8, tf.qint32):
        for lo, hi in ((-1, 2), (-3, 9), (1, 3), (-4, -1)):
            if g.name == "QuantizedReluX":
                relu_x(g, codes(g, t, 3, 5), lo, hi, t)
            else:
                g(features=codes(g, t, 3, 5), min_features=f32(lo), max_features=f32(hi), out_type=t)


def relu_x(g, x, lo, hi, t):
    """Without a kernel in the stock build: codes between those of 0 and of 1.5."""
    info = np.iinfo(NUMPY[t])
    step = (hi - lo) / (float(info.max) - info.min)
    low, high = (np.clip(np.sign(v) * np.floor(abs(v) + .5) - np.sign(lo) * np.floor(abs(lo / step) + .5) + info.min, info.min, info.max)
                 for v in (0, 1.5 / step))
    outputs = g.build("QuantizedReluX", features=x, max_value=f32(1.5), min_features=f32(lo), max_features=f32(hi), out_type=t)
    values = np.clip(x.view(NUMPY[t]).astype(np.float64), low, high).astype(NUMPY[t])
    for output, value in zip(outputs, (values, f32(lo), f32(hi))):
        g.known(output, np.asarray(value))


@case("QuantizedBiasAdd")
def bias_add(g):
    for lo, hi in ((-1, 2), (0, 6)):
        g(input=codes(g, tf.quint8, 2, 3, 4), bias=codes(g, tf.quint8, 4), min_input=f32(lo), max_input=f32(hi), min_bias=f32(-.5), max_bias=f32(.75), out_type=tf.qint32)


@case("QuantizedAdd", "QuantizedMul")
def pairs(g):
    for a, b in (((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (4,)), ((1,), (5,)), ((4,), (3, 4))):
        g(x=codes(g, tf.quint8, *a), y=codes(g, tf.quint8, *b), min_x=f32(-1), max_x=f32(2), min_y=f32(-.5), max_y=f32(3), Toutput=tf.qint32)


@case("QuantizedResizeBilinear")
def resize(g):
    for t in (tf.quint8, tf.qint32):
        for size in ([6, 7], [2, 2], [3, 4]):
            x = codes(g, tf.quint8, 1, 3, 4, 2) if t == tf.quint8 else sums(g, 1, 3, 4, 2)
            for more in ({}, {"align_corners": True}, {"half_pixel_centers": True}):
                g(images=x, size=size, min=f32(-1), max=f32(2), **more)


@case("QuantizedInstanceNorm")
def instance_norm(g):
    g(x=codes(g, tf.quint8, 2, 3, 4, 2), x_min=f32(-1), x_max=f32(2))
    g(x=codes(g, tf.quint8, 1, 3, 4, 2), x_min=f32(-1), x_max=f32(2), output_range_given=True, given_y_min=-1.5, given_y_max=1.0, variance_epsilon=.01)


@case("QuantizedBatchNormWithGlobalNormalization")
def batch_norm(g):
    for after in (False, True):
        arguments = dict(t=codes(g, tf.quint8, 1, 2, 3, 2), t_min=f32(-1), t_max=f32(2), variance_epsilon=.001, scale_after_normalization=after, out_type=tf.qint32)
        for name, (lo, hi) in {"m": (-1, 1), "v": (.5, 4), "beta": (-1, 1), "gamma": (0, 2)}.items():
            arguments.update({name: codes(g, tf.quint8, 2), f"{name}_min": f32(lo), f"{name}_max": f32(hi)})
        g(**arguments)


@case("RequantizePerChannel", "RequantizationRangePerChannel")
def channels(g):
    ends = np.array([300, 100, 50, 400], f32)
    for x in (sums(g, 1, 2, 3, 4), np.abs(sums(g, 1, 2, 3, 4).view(i32)).astype(i32).astype(tf.qint32.as_numpy_dtype)):
        if g.name == "RequantizePerChannel":
            for t, low in ((tf.quint8, 0), (tf.qint8, -.5)):
                g(input=x, input_min=-ends, input_max=ends, requested_output_min=f32(low), requested_output_max=f32(1.25), out_type=t)
        else:
            for clip in (1e30, .5):
                g(input=x, input_min=-ends, input_max=ends, clip_value_max=clip)
