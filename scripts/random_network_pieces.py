"""What the blocks of random networks are made of: activations in the spelling that Keras and TensorFlow write, batch norms, and what
follows a convolution. Functions that begin with the maker draw; what they return computes."""
import numpy as np
import tensorflow as tf

nn, raw = tf.nn, tf.raw_ops


def sigmoid_swish(x):
    return x * tf.sigmoid(x)


def clip(low, high):
    return lambda x: tf.clip_by_value(x, low, high)


# Activations without parameters. Those that jump are left out: a rounding error makes their answers differ.
ACTIVATIONS = {
    "relu": nn.relu, "relu6": nn.relu6, "elu": nn.elu, "selu": nn.selu, "tanh": tf.tanh, "sigmoid": tf.sigmoid, "softplus": nn.softplus,
    "softsign": nn.softsign, "silu": nn.silu, "swish": sigmoid_swish,
    "hard_swish_keras": lambda x: x * (nn.relu6(x + 3.0) * (1.0 / 6.0)),
    "hard_swish_divided": lambda x: x * nn.relu6(x + np.float32(3)) / np.float32(6),
    "hard_swish_multiplied": lambda x: (x * nn.relu6(x + 3.0)) * 0.16666667,
    "hard_sigmoid_keras": lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0),
    "hard_sigmoid_relu6": lambda x: nn.relu6(x + 3.0) * (1.0 / 6.0),
    "gelu_erf": lambda x: nn.gelu(x, approximate=False), "gelu_tanh": lambda x: nn.gelu(x, approximate=True),
    "mish": lambda x: x * tf.tanh(nn.softplus(x)), "mish_exp": lambda x: x * tf.tanh(tf.math.log(1.0 + tf.exp(tf.minimum(x, 20.0)))),
    "leaky": lambda x: nn.leaky_relu(x, 0.1), "leaky_max": lambda x: tf.maximum(x, 0.2 * x),
    "leaky_keras": lambda x: nn.relu(x) - 0.3 * nn.relu(-x),
    "leaky_where": lambda x: tf.where(x > 0.0, x, 0.05 * x),
    "leaky_abs": lambda x: 0.6 * x + 0.4 * tf.abs(x),
    "clip": clip(-1.0, 1.0), "clip_relu": clip(0.0, 4.0), "minimum_relu": lambda x: tf.minimum(nn.relu(x), 3.0),
    "quick_gelu": lambda x: x * tf.sigmoid(1.702 * x), "log_sigmoid": lambda x: -nn.softplus(-x),
    "squared_relu": lambda x: tf.square(nn.relu(x)), "exp_minus": lambda x: tf.exp(-tf.square(x)),
    "celu": lambda x: tf.maximum(x, 0.0) + tf.minimum(0.0, 2.0 * (tf.exp(x / 2.0) - 1.0)),
    "crelu_sum": lambda x: nn.relu(x) + 0.5 * nn.relu(-x), "softmax": nn.softmax, "sqrt_abs": lambda x: x * tf.math.rsqrt(1.0 + x * x),
    "atan": tf.atan, "sin": tf.sin, "erf": tf.math.erf,
}


def prelu(m, channels):
    alpha = m.uniform(0.05, 0.4, channels)
    return m.one_of(lambda x: nn.relu(x) + (-alpha) * nn.relu(-x), lambda x: nn.relu(x) + alpha * (x - tf.abs(x)) * 0.5,
                    lambda x: tf.where(x > 0.0, x, alpha * x))


def activation(m, channels):
    if m.chance(0.08):
        return prelu(m, channels)
    if m.chance(0.35):
        return ACTIVATIONS[m.one_of("relu", "relu", "relu6", "swish", "silu", "leaky", "hard_swish_keras")]
    return ACTIVATIONS[m.one_of(*ACTIVATIONS)]


def identity(x):
    return x


def batch_norm(m, channels):
    """A batch norm of moving statistics, in one of the forms that it takes in graphs."""
    scale, offset, mean = m.uniform(0.5, 1.5, channels), m.normal(channels, std=0.3), m.normal(channels, std=0.3)
    variance, epsilon = m.uniform(0.3, 2, channels), m.one_of(1e-3, 1e-5)
    factor = (scale / np.sqrt(variance + epsilon)).astype("f4")
    rest = (offset - mean * factor).astype("f4")

    def fused(x):
        if len(x.shape) != 4:
            return pieces(x)
        return raw.FusedBatchNormV3(x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False)[0]

    def pieces(x):
        return nn.batch_normalization(x, mean, variance, offset, scale, epsilon)

    return m.one_of(fused, fused, pieces, lambda x: x * factor + rest, lambda x: (x - mean) * factor + offset)


def tail(m, channels):
    """What follows a convolution: bias, batch norm and activation, each or none."""
    steps = []
    if m.chance(0.6):
        bias = m.normal(channels, std=0.3)
        steps.append(m.one_of(lambda x: nn.bias_add(x, bias), lambda x: x + bias))
    if m.chance(0.4):
        steps.append(batch_norm(m, channels))
    if m.chance(0.7):
        steps.append(activation(m, channels))
        if m.chance(0.1):
            steps.append(batch_norm(m, channels))
    return chain(*steps)


def chain(*steps):
    def run(x):
        for step in steps:
            x = step(x)
        return x
    return run


def kernel_size(m):
    return m.one_of((1, 1), (1, 1), (3, 3), (3, 3), (3, 3), (5, 5), (2, 2), (1, 7), (7, 1), (3, 1), (1, 3), (4, 3), (7, 7), (11, 11))


def padding(m, kernel):
    if m.chance(0.2):
        sides = [[m.below(k), m.below(k)] for k in kernel]
        return [[0, 0], *sides, [0, 0]]
    return m.one_of("SAME", "SAME", "VALID")


def layout(m, compute):
    return m.first(compute) if m.chance(0.08) else compute


def product(m, x, out=None):
    """A dense or grouped convolution of the map x, without what follows it: a function, and its channels."""
    channels = x.shape[-1]
    kernel = kernel_size(m)
    stride = m.one_of(1, 1, 1, 1, 2, 2, 3) if out is None else 1
    strides = (stride, stride) if m.chance(0.9) or out else m.one_of((1, 2), (2, 1))
    dilation = m.one_of((2, 2), (1, 2), (3, 3)) if m.chance(0.15) and strides == (1, 1) else (1, 1)
    groups = 1
    shared = [g for g in (2, 3, 4, 8) if channels % g == 0]
    if m.chance(0.12) and shared:
        groups = m.one_of(*shared)
        out = out if out and out % groups == 0 else groups * m.one_of(1, 2, 4) if out is None else None
    elif out is None:
        out = m.channels()
    if out is None:
        groups, out = 1, x.shape[-1]
    w = m.weights(*kernel, channels // groups, out)
    pad = "SAME" if out == channels and m.chance(0.5) else padding(m, kernel)

    def dense(x):
        return nn.conv2d(x, w, [1, *strides, 1], pad, dilations=[1, *dilation, 1])

    return layout(m, dense), out
