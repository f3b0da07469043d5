import numpy as np
import tensorflow as tf

from op_golden.recorder import case

i32, i64, f32 = np.int32, np.int64, np.float32
TYPES = (tf.quint8, tf.qint8, tf.qint16, tf.quint16, tf.qint32)


@case("QuantizeV2")
def quantize(g):
    for t in (tf.quint8, tf.qint8, tf.qint32):
        for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED"):
            if mode == "MIN_FIRST" and t != tf.quint8 or t == tf.qint32:
                continue
            for lo, hi in ((-1, 2.5), (0, 6), (-6, 0), (1, 3)):
                for rounding in ("HALF_AWAY_FROM_ZERO", "HALF_TO_EVEN") if mode == "SCALED" else ("HALF_AWAY_FROM_ZERO",):
                    g(input=g.rand(3, 5, lo=-8, hi=8), min_range=f32(lo), max_range=f32(hi), T=t, mode=mode, round_mode=rounding)
    g(input=g.rand(3, 5), min_range=f32(-2), max_range=f32(3), T=tf.qint8, mode="SCALED", narrow_range=True)
    g(input=g.rand(3, 2), min_range=np.array([-2, -1], f32), max_range=np.array([3, .5], f32), T=tf.qint8, mode="SCALED", axis=1)
    g(input=g.rand(2, 1, 3), min_range=np.array([-2], f32), max_range=np.array([3], f32), T=tf.quint8, mode="MIN_FIRST", axis=1)
    for t in (tf.qint16, tf.quint16, tf.qint32):
        for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED") if t == tf.qint16 else ("MIN_FIRST",):
            g(input=g.rand(3, 5, lo=-8, hi=8), min_range=f32(-1), max_range=f32(2.5), T=t, mode=mode)


def codes(g, t, *shape):
    """A quantized placeholder: fed with plain codes."""
    kinds = {tf.quint8: np.uint8, tf.qint8: np.int8, tf.qint16: np.int16, tf.quint16: np.uint16, tf.qint32: np.int32}
    info = np.iinfo(kinds[t])
    return g.rng.integers(info.min, int(info.max) + 1, shape).astype(kinds[t]).astype(t.as_numpy_dtype)


@case("Dequantize")
def dequantize(g):
    for t in (tf.quint8, tf.qint8, tf.qint16, tf.quint16, tf.qint32):
        for mode in ("MIN_COMBINED", "MIN_FIRST", "SCALED"):
            if mode == "MIN_FIRST" and t != tf.quint8:
                continue
            g(input=codes(g, t, 3, 4), min_range=f32(-1.5), max_range=f32(2.5), mode=mode)
    g(input=codes(g, tf.qint8, 3, 2), min_range=np.array([-2, -1], f32), max_range=np.array([3, .5], f32), mode="SCALED", axis=1)
    g(input=codes(g, tf.qint8, 5), min_range=f32(-2), max_range=f32(2), mode="SCALED", narrow_range=True)


def sums(g, *shape):
    return (g.rng.integers(-200000, 200000, shape) * 64).astype(i32).astype(tf.qint32.as_numpy_dtype)


@case("Requantize", "RequantizationRange", "QuantizeDownAndShrinkRange")
def requantize(g):
    for lo, hi in ((-100, 200), (-3, 3)):
        if g.name == "Requantize":
            for t in (tf.quint8, tf.qint8):
                g(input=sums(g, 3, 4), input_min=f32(lo), input_max=f32(hi), requested_output_min=f32(lo / 200), requested_output_max=f32(hi / 150), out_type=t)
        elif g.name == "RequantizationRange":
            g(input=sums(g, 3, 4), input_min=f32(lo), input_max=f32(hi))
        else:
            g(input=sums(g, 3, 4), input_min=f32(lo), input_max=f32(hi), out_type=tf.quint8)
    if g.name != "RequantizationRange":  # the sums fill little of what they could: 32 bits do not hold the scale
        more = dict(requested_output_min=f32(-3), requested_output_max=f32(6)) if g.name == "Requantize" else {}
        g(input=sums(g, 3, 4), input_min=f32(-1e6), input_max=f32(1e6), out_type=tf.quint8, **more)


@case("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4")
def round_trip(g):
    for signed in (False, True):
        for bits in (8, 4):
            for given in (False, True):
                more = {} if g.name == "QuantizeAndDequantizeV4" else {}
                g(input=g.rand(4, 5), input_min=f32(-1.5), input_max=f32(2), signed_input=signed, num_bits=bits, range_given=given, **more)
    if g.name != "QuantizeAndDequantizeV3":
        g(input=g.rand(4, 5), input_min=f32(-1.5), input_max=f32(2), range_given=True, round_mode="HALF_UP")
    g(input=g.rand(4, 5), input_min=f32(-1.5), input_max=f32(2), num_bits=8, range_given=True, narrow_range=True)
    g(input=g.rand(4, 2), input_min=np.array([-1, -2], f32), input_max=np.array([1, 3], f32), num_bits=8, range_given=True, axis=1)
    g(input=g.rand(4, 5), input_min=f32(-1.5), input_max=f32(2), num_bits=4, range_given=True, narrow_range=True, signed_input=False)
    g(input=-g.rand(4, lo=1, hi=3), input_min=f32(0), input_max=f32(0), num_bits=8, range_given=False, signed_input=False)


@case("FakeQuantWithMinMaxArgs")
def fake_args(g):
    for lo, hi in ((-1, 2.5), (0, 6), (1, 3), (-4, -1)):
        for bits, narrow in ((8, False), (4, True)):
            g(inputs=g.rand(4, 5, lo=-8, hi=8), min=lo, max=hi, num_bits=bits, narrow_range=narrow)


@case("FakeQuantWithMinMaxVars")
def fake_vars(g):
    for lo, hi in ((-1, 2.5), (0, 6), (0, 0), (-4, -1)):
        g(inputs=g.rand(4, 5, lo=-8, hi=8), min=f32(lo), max=f32(hi), num_bits=8, narrow_range=False)


@case("FakeQuantWithMinMaxVarsPerChannel")
def fake_channels(g):
    g(inputs=g.rand(4, 3, lo=-8, hi=8), min=np.array([-1, 0, -3], f32), max=np.array([2, 6, -1], f32), num_bits=6)
    g(inputs=g.rand(2, 2, 2, 2, lo=-8, hi=8), min=np.array([-1, 0], f32), max=np.array([2, 6], f32), narrow_range=True)


def fused(g, depthwise, t_in, t_out, ops, padding, stride=1, explicit=(), bias=np.float32, per_channel=True):
    """A quantized convolution as its oneDNN kernel takes it: every input on the host, filter and ranges constant. The
    filter's codes are even and small: kernels without VNNI add pairs of products in 16 bits and halve signed filters."""
    c, m = 3, 2 if depthwise else 5
    n = c * m if depthwise else m
    with g.graph.as_default():
        x = g.feed(codes(g, t_in, 1, 5, 6, c))
        low = np.array([g.rng.uniform(-1, -.2) for _ in range(n if per_channel else 1)], f32)
        low = low if per_channel else low[0]
        filter_codes = (2 * g.rng.integers(-31, 32, (3, 3, c, m))).astype(np.int8).astype(tf.qint8.as_numpy_dtype)
        offset = g.rng.uniform(-1, 1, n).astype(f32) if bias is f32 else g.rng.integers(-9000, 9000, n).astype(i32).astype(tf.qint32.as_numpy_dtype)
        most = f32(g.rng.uniform(.5, 2))
        inputs = [x, tf.constant(filter_codes, tf.qint8)]
        inputs += [tf.constant(offset, tf.float32 if bias is f32 else tf.qint32)] if "BiasAdd" in ops else []
        inputs += [tf.constant(v) for v in (f32(0 if t_in == tf.quint8 else -2), f32(2), low, -low, f32(0 if t_out == tf.quint8 else -most), most)]
        attributes = {"Tinput": t_in, "Tfilter": tf.qint8, "Tbias": tf.float32 if bias is f32 else tf.qint32, "Tsummand": t_out, "out_type": t_out,
                      "Tdevice_inputs": [], "Tdevice_outputs": [], "Thost_inputs": [v.dtype for v in inputs], "Thost_outputs": [t_out, tf.float32, tf.float32],
                      "strides": [1, stride, stride, 1], "padding": padding, "explicit_paddings": list(explicit), "fused_ops": ops}
        op = g.graph.create_op(g.name, inputs, [t_out, tf.float32, tf.float32], attrs={k: attribute(v) for k, v in attributes.items()}, name=g.name.strip("_"))
        g.fetch(op.outputs)


def attribute(value):
    a = tf.compat.v1.AttrValue()
    if isinstance(value, tf.DType):
        a.type = value.as_datatype_enum
    elif isinstance(value, str):
        a.s = value.encode()
    elif isinstance(value, bool):
        a.b = value
    elif isinstance(value, int):
        a.i = value
    else:
        a.list.SetInParent()
        for v in value:
            if isinstance(v, tf.DType):
                a.list.type.append(v.as_datatype_enum)
            elif isinstance(v, str):
                a.list.s.append(v.encode())
            else:
                a.list.i.append(v)
    return a


@case("_FusedQuantizedConv2D", "_FusedQuantizedDepthwiseConv2D")
def fused_convolutions(g):
    depthwise = "Depthwise" in g.name
    for t_in in (tf.quint8, tf.qint8):
        for t_out, ops in ((tf.quint8, ["BiasAdd", "Relu", "Requantize"]), (tf.quint8, ["BiasAdd", "Requantize"]), (tf.qint8, ["BiasAdd", "Requantize"])):
            for padding, stride in (("VALID", 1), ("SAME", 2)):
                fused(g, depthwise, t_in, t_out, ops, padding, stride)
    fused(g, depthwise, tf.quint8, tf.qint8, ["BiasAdd", "Requantize"], "EXPLICIT", 1, (0, 0, 1, 2, 0, 1, 0, 0))
    fused(g, depthwise, tf.quint8, tf.quint8, ["BiasAdd", "Relu", "Requantize"], "SAME", bias=i32)
    fused(g, depthwise, tf.quint8, tf.qint8, ["BiasAdd", "Requantize"], "SAME", per_channel=False)
    for ops in (["Requantize"], ["Relu", "Requantize"]):
        fused(g, depthwise, tf.quint8, tf.qint8, ops, "VALID")
