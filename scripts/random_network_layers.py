"""Convolutions of random networks: blocks as random_network_blocks.py lists them."""
import tensorflow as tf

from random_network_pieces import ACTIVATIONS, activation, batch_norm, chain, identity, layout, product, tail

nn = tf.nn


def convolution(m, rank):
    x = m.read()
    compute, out = product(m, x)
    return m.apply(chain(compute, tail(m, out)), x)


def convolution_of_other_rank(m, rank):
    x = m.read(rank)
    out, channels = m.channels(), x.shape[-1]
    if rank == 3:
        k, stride, dilation = m.one_of(1, 2, 3, 5, 9), m.one_of(1, 1, 2, 3), m.one_of(1, 1, 1, 2)
        dilation = 1 if stride > 1 else dilation
        w, pad = m.weights(k, channels, out), m.one_of("SAME", "VALID")
        compute = lambda x: nn.conv1d(x, w, stride, pad, dilations=dilation)  # noqa: E731
    else:
        k, s = [m.one_of(1, 2, 3) for _ in range(3)], [m.one_of(1, 1, 2) for _ in range(3)]
        w, pad = m.weights(*k, channels, out), m.one_of("SAME", "VALID")
        compute = lambda x: nn.conv3d(x, w, [1, *s, 1], pad)  # noqa: E731
    return m.apply(chain(compute, tail(m, out)), x)


def space_to_batch(m, rank):
    """A dilated convolution as TensorFlow 1 writes it."""
    x = m.read()
    rate, k = m.one_of(2, 2, 3), m.one_of(2, 3)
    depthwise, same = m.chance(0.4), m.chance(0.7)
    out = x.shape[-1] if depthwise else m.channels()
    w = m.weights(k, k, x.shape[-1], 1 if depthwise else out, fan_in=k * k * (1 if depthwise else x.shape[-1]))
    around = (k - 1) * rate if same else 0
    pads, crops = [], []
    for size in x.shape[1:3]:
        before = around // 2
        more = -(size + around) % rate
        pads.append([before, around - before + more])
        crops.append([0, more])

    def compute(x):
        x = tf.space_to_batch(x, [rate, rate], pads)
        x = nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "VALID") if depthwise else nn.conv2d(x, w, 1, "VALID")
        return tf.batch_to_space(x, [rate, rate], crops)

    return m.apply(chain(compute, tail(m, out)), x)


def depthwise(m, rank, after=identity):
    x = m.read()
    multiplier, kernel = m.one_of(1, 1, 1, 1, 2, 3), m.one_of((3, 3), (3, 3), (5, 5), (7, 7), (2, 2), (3, 1), (1, 5))
    stride = m.one_of(1, 1, 1, 2, 2, 3)
    dilation = m.one_of((2, 2), (3, 2)) if stride == 1 and m.chance(0.2) else (1, 1)
    w = m.weights(*kernel, x.shape[-1], multiplier, fan_in=kernel[0] * kernel[1])
    out, pad = x.shape[-1] * multiplier, m.one_of("SAME", "VALID")
    compute = layout(m, lambda x: nn.depthwise_conv2d(x, w, [1, stride, stride, 1], pad, dilations=dilation))
    if stride == 2 and m.chance(0.4):  # as Keras' MobileNets write it
        sides = [[0, 0], [kernel[0] // 2 - m.below(2), kernel[0] // 2], [kernel[1] // 2, kernel[1] // 2], [0, 0]]
        sides = [[max(a, 0), b] for a, b in sides]
        compute = chain(lambda x: tf.pad(x, sides), lambda x: nn.depthwise_conv2d(x, w, [1, 2, 2, 1], "VALID"))
    return m.apply(chain(compute, tail(m, out)), x)


def separable(m, rank):
    x = m.read()
    k, out, multiplier = m.one_of(3, 5), m.channels(), m.one_of(1, 1, 2)
    w = m.weights(k, k, x.shape[-1], multiplier, fan_in=k * k)
    p = m.weights(1, 1, x.shape[-1] * multiplier, out)
    return m.apply(chain(lambda x: nn.separable_conv2d(x, w, p, [1, 1, 1, 1], "SAME"), tail(m, out)), x)


def inverted(m, rank):
    """Expansion, depthwise, gate, projection and a residual, as mobile networks have them."""
    x = m.read()
    channels, wide = x.shape[-1], x.shape[-1] * m.one_of(2, 3, 4)
    k, stride = m.one_of(3, 5), m.one_of(1, 1, 2)
    out = channels if stride == 1 and m.chance(0.7) else m.channels()
    w, d, p = m.weights(1, 1, channels, wide), m.weights(k, k, wide, 1, fan_in=k * k), m.weights(1, 1, wide, out)
    one, two, last = tail(m, wide), tail(m, wide), batch_norm(m, out) if m.chance(0.6) else identity
    gate = squeeze(m, wide) if m.chance(0.5) else identity

    def compute(x):
        y = two(nn.depthwise_conv2d(one(nn.conv2d(x, w, 1, "SAME")), d, [1, stride, stride, 1], "SAME"))
        y = last(nn.conv2d(gate(y), p, 1, "SAME"))
        return x + y if stride == 1 and out == channels else y

    return m.apply(compute, x)


def squeeze(m, channels):
    """A squeeze-excite gate: x times what its means make."""
    few = max(channels // m.one_of(2, 4), 1)
    a, b, act = m.weights(1, 1, channels, few), m.weights(1, 1, few, channels), activation(m, few)
    end = m.one_of(tf.sigmoid, ACTIVATIONS["hard_sigmoid_relu6"], ACTIVATIONS["hard_sigmoid_keras"])
    bias, keep = m.normal(few), m.chance(0.5)

    def compute(x):
        y = tf.reduce_mean(x, [1, 2], keepdims=keep)
        y = y if keep else tf.reshape(y, [-1, 1, 1, channels])
        y = end(nn.conv2d(act(nn.bias_add(nn.conv2d(y, a, 1, "SAME"), bias)), b, 1, "SAME"))
        return x * y

    return compute


def gate(m, rank):
    x = m.read()
    return m.apply(squeeze(m, x.shape[-1]), x)


def deconvolution(m, rank):
    x = m.read()
    k, s, out = m.one_of((2, 2), (3, 3), (4, 4), (5, 5), (3, 2)), m.one_of((1, 1), (2, 2), (2, 2), (3, 3), (1, 2)), m.channels()
    w, pad = m.weights(*k, out, x.shape[-1], fan_in=x.shape[-1] * max(k[0] * k[1] // (s[0] * s[1]), 1)), m.one_of("SAME", "VALID")
    dims = x.shape

    def compute(x):
        n, h, width = tf.unstack(tf.shape(x))[:3] if x.shape.num_elements() is None else dims[:3]
        size = [h * s[0], width * s[1]] if pad == "SAME" else [h * s[0] + max(k[0] - s[0], 0), width * s[1] + max(k[1] - s[1], 0)]
        return nn.conv2d_transpose(x, w, tf.stack([n, *size, out]), [1, *s, 1], pad)

    return m.apply(chain(compute, tail(m, out)), x)


def deconvolution_1d(m, rank):
    x = m.read(3)
    k, s, out = m.one_of(2, 3, 4), m.one_of(1, 2, 3), m.channels()
    w, pad, dims = m.weights(k, out, x.shape[-1], fan_in=x.shape[-1] * 2), m.one_of("SAME", "VALID"), x.shape
    more = 0 if pad == "SAME" else max(k - s, 0)

    def compute(x):
        n, length = tf.unstack(tf.shape(x))[:2] if x.shape.num_elements() is None else dims[:2]
        return nn.conv1d_transpose(x, w, tf.stack([n, length * s + more, out]), s, pad)

    return m.apply(chain(compute, tail(m, out)), x)


def deconvolution_3d(m, rank):
    x = m.read(5)
    k, s, out = m.one_of(2, 3), m.one_of(1, 2), m.one_of(1, 3, 4)
    w, pad, dims = m.weights(k, k, k, out, x.shape[-1], fan_in=x.shape[-1] * 4), m.one_of("SAME", "VALID"), x.shape
    more = 0 if pad == "SAME" else max(k - s, 0)

    def compute(x):
        n, *sizes = tf.unstack(tf.shape(x))[:4] if x.shape.num_elements() is None else dims[:4]
        return nn.conv3d_transpose(x, w, tf.stack([n, *(d * s + more for d in sizes), out]), [1, s, s, s, 1], pad)

    return m.apply(chain(compute, tail(m, out)), x)
