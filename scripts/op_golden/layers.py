import numpy as np
import tensorflow as tf

from op_golden.recorder import bfloat16, case

i32, i64, f32 = np.int32, np.int64, np.float32


@case("Conv2D", "DepthwiseConv2dNative")
def conv(g):
    for (h, w), kernel, strides, dilations, padding in (((7, 6), (3, 3), (1, 1), (1, 1), "SAME"), ((8, 8), (3, 3), (2, 2), (1, 1), "SAME"),
                                                        ((8, 7), (2, 2), (2, 2), (1, 1), "SAME"), ((5, 9), (5, 3), (1, 1), (1, 1), "VALID"),
                                                        ((9, 9), (3, 2), (1, 1), (2, 2), "SAME"), ((9, 10), (3, 3), (1, 1), (2, 3), "VALID"),
                                                        ((8, 8), (1, 1), (2, 2), (1, 1), "SAME"), ((6, 6), (4, 4), (3, 3), (1, 1), "SAME"),
                                                        ((7, 7), (3, 3), (2, 2), (1, 1), "EXPLICIT"), ((2, 2), (3, 3), (1, 1), (1, 1), "VALID")):
        out = 2 if g.name.startswith("Depth") else 5
        explicit = {"explicit_paddings": [0, 0, 2, 1, 0, 3, 0, 0]} if padding == "EXPLICIT" else {}
        g(input=g.rand(2, h, w, 3), filter=g.rand(*kernel, 3, out), strides=[1, *strides, 1], dilations=[1, *dilations, 1], padding=padding, **explicit)
    for dtype in (np.float64, np.float16):
        g(input=g.rand(1, 5, 5, 2, dtype=dtype), filter=g.rand(3, 3, 2, 1, dtype=dtype), strides=[1, 1, 1, 1], padding="SAME")
    g(input=g.rand(0, 5, 5, 2), filter=g.rand(3, 3, 2, 1), strides=[1, 1, 1, 1], padding="SAME")
    if g.name == "Conv2D":
        g(input=g.rand(1, 5, 5, 6), filter=g.rand(3, 3, 2, 6), strides=[1, 1, 1, 1], padding="SAME")
        g(input=g.rand(1, 5, 7, 2), filter=g.rand(3, 3, 2, 4), strides=[1, 2, 1, 1], padding="SAME")


@case("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "FusedBatchNormV3", "BiasAdd", "Conv2DBackpropInput", "SpaceToDepth", "DepthToSpace")
def channels_first(g):
    """TensorFlow's CPU has few NCHW kernels: the expected values are NHWC's, transposed."""
    x = g.rand(2, 7, 6, 4)
    calls = {"Conv2D": dict(input=x, filter=g.rand(3, 2, 4, 3), strides=[1, 2, 1, 1], dilations=[1, 1, 1, 1], padding="SAME"),
             "DepthwiseConv2dNative": dict(input=x, filter=g.rand(3, 2, 4, 2), strides=[1, 2, 2, 1], dilations=[1, 1, 1, 1], padding="VALID"),
             "MaxPool": dict(input=x, ksize=[1, 3, 2, 1], strides=[1, 2, 1, 1], padding="SAME"),
             "AvgPool": dict(value=x, ksize=[1, 3, 2, 1], strides=[1, 2, 1, 1], padding="SAME"),
             "FusedBatchNormV3": dict(x=x, scale=g.rand(4), offset=g.rand(4), mean=g.rand(4), variance=g.rand(4, lo=.1), is_training=False),
             "BiasAdd": dict(value=x, bias=g.rand(4)),
             "Conv2DBackpropInput": dict(input_sizes=np.array([2, 14, 6, 3], i32), filter=g.rand(3, 2, 3, 4), out_backprop=x, strides=[1, 2, 1, 1], padding="SAME"),
             "SpaceToDepth": dict(input=g.rand(2, 4, 6, 3), block_size=2), "DepthToSpace": dict(input=x, block_size=2)}
    call = calls[g.name]
    moved = dict(call, data_format="NCHW")
    lead = "out_backprop" if "out_backprop" in call else next(iter(call))
    moved[lead] = np.ascontiguousarray(call[lead].transpose(0, 3, 1, 2))
    for key in ("strides", "ksize", "dilations"):
        if key in moved:
            moved[key] = [call[key][i] for i in (0, 3, 1, 2)]
    if "input_sizes" in moved:
        moved["input_sizes"] = call["input_sizes"][[0, 3, 1, 2]]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        wanted = getattr(tf.raw_ops, g.name)(**call)
        wanted = session.run(wanted[0] if isinstance(wanted, tuple) else wanted).transpose(0, 3, 1, 2)
    output = g.build(g.name, **moved)
    g.known(output[0] if isinstance(output, tuple) else output, np.ascontiguousarray(wanted))


@case("Conv2DBackpropInput", "DepthwiseConv2dNativeBackpropInput")
def backprop_input(g):
    depthwise = g.name.startswith("Depth")
    for (h, w), k, s, padding in (((8, 8), 3, 2, "SAME"), ((7, 6), 2, 2, "SAME"), ((7, 8), 3, 1, "VALID"), ((9, 9), 3, 3, "VALID")):
        f = g.rand(k, k, 3, 2)
        oh, ow = (-(-h // s), -(-w // s)) if padding == "SAME" else ((h - k) // s + 1, (w - k) // s + 1)
        channels = 6 if depthwise else 2
        g(**{"input_sizes": np.array([2, h, w, 3], i32), "filter": f, "out_backprop": g.rand(2, oh, ow, channels)}, strides=[1, s, s, 1], padding=padding)
    if not depthwise:
        g(input_sizes=[1, 9, 9, 3], filter=g.rand(3, 3, 3, 2), out_backprop=g.rand(1, 5, 5, 2), strides=[1, 1, 1, 1], dilations=[1, 2, 2, 1], padding="VALID")


@case("Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter")
def backprop_filter(g):
    depthwise = g.name.startswith("Depth")
    for (h, w), k, s, padding in (((8, 8), 3, 2, "SAME"), ((7, 8), 3, 1, "VALID")):
        oh, ow = (-(-h // s), -(-w // s)) if padding == "SAME" else ((h - k) // s + 1, (w - k) // s + 1)
        g(input=g.rand(2, h, w, 3), filter_sizes=np.array([k, k, 3, 2], i32), out_backprop=g.rand(2, oh, ow, 6 if depthwise else 2), strides=[1, s, s, 1], padding=padding)


@case("MaxPool", "AvgPool")
def pool(g):
    key = "input" if g.name == "MaxPool" else "value"
    for (h, w), k, s, padding in (((7, 6), (3, 3), (2, 2), "SAME"), ((8, 8), (2, 2), (2, 2), "VALID"), ((5, 9), (3, 2), (1, 3), "SAME"), ((8, 8), (3, 3), (2, 2), "SAME"),
                                  ((4, 4), (1, 1), (2, 2), "VALID"), ((8, 3), (1, 1), (4, 3), "SAME"), ((3, 3), (2, 2), (1, 1), "SAME")):
        g(**{key: g.rand(2, h, w, 3)}, ksize=[1, *k, 1], strides=[1, *s, 1], padding=padding)
    g(**{key: g.rand(1, 5, 5, 2, dtype=np.float64)}, ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding="SAME")
    g(**{key: g.rand(1, 5, 5, 2, dtype=np.float16)}, ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding="SAME")
    if g.name == "MaxPool":
        g(input=g.rand(1, 5, 5, 2, dtype=i32), ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding="SAME")
        g(input=g.rand(1, 3, 4, 6), ksize=[1, 1, 1, 2], strides=[1, 1, 1, 2], padding="VALID")
        g(input=g.rand(1, 7, 7, 2), ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding="EXPLICIT", explicit_paddings=[0, 0, 1, 0, 2, 1, 0, 0])


@case("MaxPoolV2")
def pool_v2(g):
    g(input=g.rand(2, 7, 6, 3), ksize=[1, 3, 2, 1], strides=[1, 2, 1, 1], padding="SAME")


@case("MaxPoolWithArgmax")
def pool_argmax(g):
    for batch in (False, True):
        for padding in ("SAME", "VALID"):
            g(input=g.rand(2, 7, 6, 3), ksize=[1, 3, 2, 1], strides=[1, 2, 1, 1], padding=padding, include_batch_in_index=batch)
    g(input=g.rand(1, 4, 4, 2, dtype=np.float64), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME", Targmax=tf.int32)


@case("Dilation2D")
def dilation(g):
    for s, r, padding in ((1, 1, "SAME"), (2, 1, "VALID"), (1, 2, "SAME"), (2, 2, "SAME")):
        g(input=g.rand(2, 7, 8, 3), filter=g.rand(3, 2, 3), strides=[1, s, s, 1], rates=[1, r, r, 1], padding=padding)


@case("ExtractImagePatches")
def patches(g):
    for k, s, r, padding in ((3, 1, 1, "SAME"), (2, 2, 1, "VALID"), (3, 2, 2, "SAME")):
        g(images=g.rand(2, 7, 8, 3), ksizes=[1, k, k, 1], strides=[1, s, s, 1], rates=[1, r, r, 1], padding=padding)
    g(images=g.rand(1, 4, 4, 2, dtype=i32), ksizes=[1, 2, 3, 1], strides=[1, 1, 1, 1], rates=[1, 1, 1, 1], padding="SAME")


@case("ExtractVolumePatches")
def volume_patches(g):
    for padding in ("SAME", "VALID"):
        g(input=g.rand(1, 4, 5, 4, 2), ksizes=[1, 2, 2, 3, 1], strides=[1, 2, 1, 2, 1], padding=padding)
    g(input=g.rand(1, 6, 3, 7, 2), ksizes=[1, 3, 1, 2, 1], strides=[1, 2, 3, 3, 1], padding="SAME")


@case("BiasAdd", "BiasAddV1")
def bias(g):
    for shape in ((2, 3), (2, 4, 3), (2, 4, 5, 3), (1, 2, 2, 2, 3)):
        g(value=g.rand(*shape), bias=g.rand(3))
    g(value=g.rand(2, 3, dtype=i32), bias=g.rand(3, dtype=i32))


@case("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def batch_norm(g):
    for training in (False, True):
        for epsilon in (1e-3, 0.0001):
            n = (0,) if training else (3,)
            out = g.build(g.name, x=g.rand(2, 4, 5, 3), scale=g.rand(3), offset=g.rand(3), mean=g.rand(*n), variance=g.rand(*n, lo=.1), epsilon=epsilon, is_training=training)
            g.fetch(list(out)[:3])
    if g.name != "FusedBatchNorm":
        out = g.build(g.name, x=g.rand(1, 2, 2, 3, dtype=np.float16), scale=g.rand(3), offset=g.rand(3), mean=g.rand(3), variance=g.rand(3, lo=.1), is_training=False)
        g.fetch(list(out)[:1])


@case("BatchNormWithGlobalNormalization")
def global_batch_norm(g):
    """TensorFlow 2 has no kernel left; the expected value is its definition in float64."""
    for scaled in (False, True):
        t, m, v, beta, gamma = g.rand(2, 3, 4, 3), g.rand(3), g.rand(3, lo=.1), g.rand(3), g.rand(3)
        d = [a.astype(np.float64) for a in (t, m, v, beta, gamma)]
        wanted = (d[0] - d[1]) / np.sqrt(d[2] + 1e-3) * (d[4] if scaled else 1) + d[3]
        g.node(g.name, [t, m, v, beta, gamma], {"variance_epsilon": 1e-3, "scale_after_normalization": scaled}, wanted.astype(f32))


@case("LRN")
def lrn(g):
    g(input=g.rand(1, 3, 4, 9), depth_radius=2)
    g(input=g.rand(2, 2, 2, 5), depth_radius=3, bias=2.0, alpha=.3, beta=.75)


@case("MatMul")
def matmul(g):
    for ta in (False, True):
        for tb in (False, True):
            g(a=g.rand(*((4, 3) if ta else (3, 4))), b=g.rand(*((5, 4) if tb else (4, 5))), transpose_a=ta, transpose_b=tb)
    for dtype in (np.float64, i32, i64, np.float16, bfloat16):
        g(a=g.rand(2, 3, dtype=dtype), b=g.rand(3, 2, dtype=dtype))
    g(a=g.rand(2, 0), b=g.rand(0, 3))
    g(a=g.rand(0, 2), b=g.rand(2, 3))


@case("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def batch_matmul(g):
    v3 = {"Tout": tf.float32} if g.name.endswith("V3") else {}
    for ta in (False, True):
        for tb in (False, True):
            g(x=g.rand(2, *((4, 3) if ta else (3, 4))), y=g.rand(2, *((5, 4) if tb else (4, 5))), adj_x=ta, adj_y=tb, **v3)
    if g.name != "BatchMatMul":
        g(x=g.rand(2, 1, 3, 4), y=g.rand(5, 4, 2), **v3)
        g(x=g.rand(3, 4), y=g.rand(2, 4, 2), **v3)
    g(x=g.rand(0, 3, 4), y=g.rand(0, 4, 2), **v3)
    if not v3:
        g(x=g.rand(2, 2, 2, dtype=i32), y=g.rand(2, 2, 2, dtype=i32))


@case("SoftmaxCrossEntropyWithLogits")
def cross_entropy(g):
    g(features=g.rand(3, 4), labels=g.rand(3, 4, lo=0, hi=1))
    g(features=g.rand(3, 4, dtype=np.float64), labels=g.rand(1, 4, dtype=np.float64, lo=0, hi=1))


@case("SparseSoftmaxCrossEntropyWithLogits")
def sparse_cross_entropy(g):
    g(features=g.rand(3, 4), labels=np.array([0, 3, 1], i32))
    g(features=g.rand(3, 4, dtype=np.float64), labels=np.array([0, 3, 1], i64))


@case("Relu6Grad", "ReluGrad", "EluGrad", "SeluGrad", "SoftplusGrad", "SoftsignGrad", "LeakyReluGrad")
def relu_grads(g):
    key = "outputs" if g.name in ("EluGrad", "SeluGrad") else "features"
    g(gradients=g.rand(3, 4), **{key: g.rand(3, 4, lo=-8, hi=8) if key == "features" else g.rand(3, 4, lo=-.9)})


@case("SigmoidGrad", "TanhGrad", "SqrtGrad", "RsqrtGrad", "InvGrad", "ReciprocalGrad")
def unary_grads(g):
    g(y=g.rand(3, 4, lo=.1, hi=.9), dy=g.rand(3, 4))


@case("BiasAddGrad")
def bias_grad(g):
    g(out_backprop=g.rand(2, 3, 4, 5))
    g(out_backprop=g.rand(6, 5))


@case("LSTMBlockCell")
def lstm_cell(g):
    for peephole in (False, True):
        for clip in (3.0, -1.0, .5):
            g(x=g.rand(2, 3), cs_prev=g.rand(2, 4), h_prev=g.rand(2, 4), w=g.rand(7, 16, lo=-.5, hi=.5), wci=g.rand(4), wcf=g.rand(4), wco=g.rand(4), b=g.rand(16),
              forget_bias=1, cell_clip=clip, use_peephole=peephole)


@case("BlockLSTM", "BlockLSTMV2")
def block_lstm(g):
    more = {"forget_bias": 1.0} if g.name == "BlockLSTM" else {}
    for peephole in (False, True):  # of a shorter seq_len_max TensorFlow leaves the rest of its outputs as it finds the memory
        g(seq_len_max=i64(5), x=g.rand(5, 2, 3), cs_prev=g.rand(2, 4), h_prev=g.rand(2, 4), w=g.rand(7, 16, lo=-.5, hi=.5), wci=g.rand(4), wcf=g.rand(4), wco=g.rand(4),
          b=g.rand(16), use_peephole=peephole, **more)


@case("GRUBlockCell")
def gru_cell(g):
    g(x=g.rand(2, 3), h_prev=g.rand(2, 4), w_ru=g.rand(7, 8), w_c=g.rand(7, 4), b_ru=g.rand(8), b_c=g.rand(4))
