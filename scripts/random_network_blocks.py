"""The blocks of random networks: BLOCKS and HEADS, a name, how often it is drawn, and a function of the maker and the rank of maps
that draws one and returns its result, or None."""
import numpy as np
import tensorflow as tf

import random_network_layers as layers
import random_network_rare as rare
from random_network_pieces import ACTIVATIONS, activation, batch_norm, chain, identity, layout, product, tail

nn, raw = tf.nn, tf.raw_ops


def resize(m, rank):
    x = m.read()
    op = m.one_of(raw.ResizeBilinear, raw.ResizeBilinear, raw.ResizeNearestNeighbor, raw.ResizeNearestNeighbor, raw.ResizeBicubic, raw.ResizeArea)
    align, half = m.one_of((False, True), (False, True), (True, False), (False, False))
    if op is raw.ResizeArea:
        half = False
    options = {"align_corners": align} | ({} if op is raw.ResizeArea else {"half_pixel_centers": half})
    if m.chance(0.5):
        factor = m.one_of(2, 2, 3, 4)
        return m.apply(lambda x: op(images=x, size=tf.shape(x)[1:3] * np.int32([factor, factor]), **options), x)
    size = np.int32([1 + m.below(2 * x.shape[1]), 1 + m.below(2 * x.shape[2])])
    return m.apply(lambda x: op(images=x, size=size, **options), x)


def pool(m, rank):
    x = m.read(rank)
    spatial = rank - 2
    same = m.one_of(2, 3)
    k = [same] * spatial if m.chance(0.8) else [m.one_of(1, 2, 3, 5) for _ in range(spatial)]
    s = [m.one_of(1, 2, 2, 3)] * spatial
    pad = m.one_of("SAME", "VALID")
    if rank == 5:  # TensorFlow's kernels differ among each other where windows skip elements
        k = [max(a, b) for a, b in zip(k, s)]
    if rank != 4:
        return m.apply(lambda x: nn.pool(x, k, kind, s, pad), x) if (kind := m.one_of("MAX", "AVG")) else None
    if m.chance(0.15):
        sides = [[0, 0], *[[m.below(n), m.below(n)] for n in k], [0, 0]]
        return m.apply(lambda x: nn.max_pool2d(x, k, s, sides), x)
    op = m.one_of(nn.max_pool2d, nn.avg_pool2d)
    return m.apply(layout(m, lambda x: op(x, k, s, pad)), x)


def act_alone(m, rank):
    x = m.read(rank)
    return m.apply(activation(m, x.shape[-1]), x)


def norm_first(m, rank):
    """Batch norm, activation, convolution, as DenseNet has them; sometimes joined to their input."""
    x = m.read()
    compute, out = product(m, x)
    dense = chain(batch_norm(m, x.shape[-1]), activation(m, x.shape[-1]) if m.chance(0.8) else identity, compute)
    y = m.apply(dense, x)
    if y is not None and y.shape[:3] == x.shape[:3] and m.chance(0.5):
        return m.apply(lambda x, y: tf.concat([x, y], -1), x, y)
    return y


def norm_alone(m, rank):
    x = m.read(rank)
    return m.apply(batch_norm(m, x.shape[-1]), x)


def residual(m, rank):
    x = m.read()
    channels = x.shape[-1]
    wide = m.channels()
    one, end = tail(m, wide), batch_norm(m, channels) if m.chance(0.5) else identity
    a, b = m.weights(*m.one_of((1, 1), (3, 3)), channels, wide), m.weights(*m.one_of((1, 1), (3, 3)), wide, channels)
    act, first, scale = activation(m, channels) if m.chance(0.5) else identity, m.chance(0.5), m.chance(0.1)

    def compute(x):
        y = end(nn.conv2d(one(nn.conv2d(x, a, 1, "SAME")), b, 1, "SAME"))
        y = y * 0.17 if scale else y
        return act(x + y if first else y + x)

    return m.apply(compute, x)


def branches(m, rank):
    """Several ways joined by their channels."""
    x = m.read()
    ways = []
    for _ in range(2 + m.below(3)):
        out = m.channels()
        kind = m.below(4)
        if kind == 0:
            ways.append(lambda x: nn.max_pool2d(x, 3, 1, "SAME"))
        elif kind == 1:
            ways.append(lambda x: nn.avg_pool2d(x, 3, 1, "SAME"))
        else:
            k = m.one_of((1, 1), (3, 3), (1, 7), (7, 1), (5, 5))
            w = m.weights(*k, x.shape[-1], out)
            ways.append(chain(lambda x, w=w: nn.conv2d(x, w, 1, "SAME"), tail(m, out)))
    return m.apply(lambda x: tf.concat([way(x) for way in ways], 3), x)


def split(m, rank):
    """Channels in parts, each on its own way; or mixed as ShuffleNet does."""
    x = m.read()
    channels = x.shape[-1]
    n = next((g for g in (m.one_of(2, 3, 4), 2, 3) if channels % g == 0 and channels > g), None)
    if n is None:
        return None
    part = channels // n
    if m.chance(0.4):
        def shuffle(x):
            s = tf.shape(x)
            y = tf.reshape(x, tf.stack([s[0], s[1], s[2], n, part]))
            return tf.reshape(tf.transpose(y, [0, 1, 2, 4, 3]), s)
        return m.apply(shuffle, x)
    ways = [m.one_of(identity, tail(m, part), tail(m, part)) for _ in range(n)]
    w = m.weights(3, 3, part, part)
    ways[m.below(n)] = chain(lambda x: nn.conv2d(x, w, 1, "SAME"), tail(m, part))
    sizes, join = m.chance(0.3), m.one_of("concat", "concat", "product", "last")

    def compute(x):
        pieces = tf.split(x, [part] * n, -1) if sizes else tf.split(x, n, -1)
        pieces = [way(p) for way, p in zip(ways, pieces)]
        if join == "product":
            return pieces[0] * tf.sigmoid(pieces[1])
        return pieces[-1] if join == "last" else tf.concat(pieces, -1)

    return m.apply(compute, x)


def crop(m, rank):
    x = m.read()
    h, w, c = x.shape[1:]
    top, left, first = m.below(max(h // 3, 1)), m.below(max(w // 3, 1)), m.below(max(c // 2, 1))
    ways = [lambda x: x[:, top:, left:, :], lambda x: x[:, top:-1, :, first:], lambda x: x[:, ::2, ::2, :], lambda x: x[:, ::-1, :, :],
            lambda x: tf.slice(x, [0, top, left, first], [-1, -1, -1, -1]), lambda x: x[:, 1:h:2, top:, :], lambda x: x[..., ::-1],
            lambda x: tf.concat([x[:, ::2, ::2], x[:, 1::2, ::2], x[:, ::2, 1::2], x[:, 1::2, 1::2]], -1),
            lambda x: tf.gather(x, np.int32([c - 1, 0, c // 2]), axis=3), lambda x: tf.reverse(x, [2])]
    return m.apply(m.one_of(*ways), x)


def pad(m, rank):
    x = m.read()
    sides = [[0, 0], *[[m.below(3), m.below(3)] for _ in range(2)], [0, m.below(2)] if m.chance(0.15) else [0, 0]]
    fill = float(m.normal(1)[0])
    way = m.one_of(lambda x: tf.pad(x, sides), lambda x: tf.pad(x, sides), lambda x: tf.pad(x, sides, "REFLECT"),
                   lambda x: tf.pad(x, sides, "SYMMETRIC"), lambda x: tf.pad(x, sides, constant_values=fill))
    out = x.shape[-1] + sides[3][1]
    k, s = m.one_of(1, 3), m.one_of(1, 2)
    behind = m.below(4)
    if behind == 1:
        w, wide = m.weights(k, k, out, 4), tail(m, 4)
        way = chain(way, lambda x: nn.conv2d(x, w, s, "VALID"), wide)
    elif behind == 2:
        op = m.one_of(nn.max_pool2d, nn.avg_pool2d)
        way = chain(activation(m, x.shape[-1]), way, lambda x: op(x, k, s, "VALID"))
    elif behind == 3:
        w = m.weights(3, 3, out, 1, fan_in=9)
        way = chain(way, lambda x: nn.depthwise_conv2d(x, w, [1, s, s, 1], "VALID"), tail(m, out))
    return m.apply(way, x)


def layer_norm(m, rank):
    x = m.read(rank)
    channels = x.shape[-1]
    gamma, beta, epsilon = m.uniform(0.5, 1.5, channels), m.normal(channels), m.one_of(1e-3, 1e-6)
    kind = m.one_of("layer", "layer_keras", "instance", "rms", "group", "l2")
    groups = next((g for g in (m.one_of(2, 4), 2, 3) if channels % g == 0), 1)
    if kind in ("layer", "layer_keras", "rms", "l2") and channels < 4:
        return None
    spatial = list(range(1, rank - 1))

    def compute(x):
        if kind == "rms":
            return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + epsilon) * gamma
        if kind == "l2":
            return nn.l2_normalize(x, -1, 1e-6) * gamma
        if kind == "group":
            s = tf.shape(x)
            y = tf.reshape(x, tf.concat([s[:-1], [groups, channels // groups]], 0))
            mean, variance = nn.moments(y, [*spatial, rank], keepdims=True)
            y = tf.reshape((y - mean) * tf.math.rsqrt(variance + 1e-3), s)
            return y * gamma + beta
        axes = spatial if kind == "instance" else [rank - 1]
        if kind == "layer":
            mean = tf.reduce_mean(x, axes, keepdims=True)
            variance = tf.reduce_mean(tf.math.squared_difference(x, tf.stop_gradient(mean)), axes, keepdims=True)
            return (x - mean) / tf.sqrt(variance + 1e-3) * gamma + beta
        mean, variance = nn.moments(x, axes, keepdims=True)
        return nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)

    return m.apply(compute, x)


def attention(m, rank):
    x = m.read()
    channels, width, heads = x.shape[-1], m.one_of(4, 8, 12), m.one_of(1, 1, 2)
    q, k, v = (m.weights(channels, width) for _ in range(3))
    o = m.weights(width, channels)
    bias, each = m.normal(width), width // heads
    einsum, join = m.chance(0.3), m.chance(0.6)

    def compute(x):
        s = tf.shape(x)
        tokens = tf.reshape(x, tf.stack([s[0], s[1] * s[2], channels]))
        parts = []
        for w in (q, k, v):
            y = tf.einsum("abc,cd->abd", tokens, w) if einsum else tf.tensordot(tokens, w, [[2], [0]])
            y = tf.transpose(tf.reshape(y + bias, tf.stack([s[0], s[1] * s[2], heads, each])), [0, 2, 1, 3])
            parts.append(y)
        scores = tf.matmul(parts[0], parts[1], transpose_b=True) * np.float32(each ** -0.5)
        y = tf.matmul(nn.softmax(scores), parts[2])
        y = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), tf.stack([s[0], s[1] * s[2], width]))
        y = tf.reshape(tf.tensordot(y, o, [[2], [0]]), s)
        return x + y if join else y

    return m.apply(compute, x) if x.shape[1] * x.shape[2] <= 150 else None


def local_response(m, rank):
    x = m.read()
    radius, alpha, beta = m.one_of(1, 2, 5), m.one_of(1e-4, 0.02, 1.0), m.one_of(0.5, 0.75, 1.0)
    return m.apply(lambda x: nn.local_response_normalization(x, radius, 1.0, alpha, beta), x)


def joined(m, rank):
    """Two values by an element-wise operation; the second one as it is, or as a map that broadcasts."""
    x, y = m.read(rank), m.read(rank)
    op = m.one_of(tf.add, tf.add, tf.multiply, tf.subtract, tf.maximum, tf.minimum, tf.math.squared_difference)
    if y.shape != x.shape:
        w = m.weights(y.shape[-1], x.shape[-1])
        reduced = list(range(1, rank - 1))
        second = lambda y: tf.tensordot(tf.reduce_mean(y, reduced, keepdims=True), w, [[rank - 1], [0]])  # noqa: E731
    else:
        second = m.one_of(identity, identity, lambda y: tf.reduce_mean(y, -1, keepdims=True), tf.sigmoid)
    act = activation(m, x.shape[-1]) if m.chance(0.3) else identity
    first = m.chance(0.5)
    return m.apply(lambda x, y: act(op(x, second(y)) if first else op(second(y), x)), x, y)


def weighted(m, rank):
    """A map and its half, resized and summed with weights, as feature pyramids do."""
    x = m.read()
    a, b = float(m.uniform(0.1, 1)), float(m.uniform(0.1, 1))
    act = activation(m, x.shape[-1])
    op = m.one_of(raw.ResizeNearestNeighbor, raw.ResizeBilinear)
    half = m.chance(0.5)

    def compute(x):
        small = nn.max_pool2d(x, 3, 2, "SAME")
        up = op(images=small, size=tf.shape(x)[1:3], half_pixel_centers=half)
        return act((x * a + up * b) * np.float32(1 / (a + b + 1e-4)))

    return m.apply(compute, x)


def reduced(m, rank):
    """Spatial attention of means and maxima over channels; or a reduction that the map is compared with."""
    x = m.read(rank)
    op = m.one_of(tf.reduce_mean, tf.reduce_max, tf.reduce_min, tf.reduce_sum, lambda x, a, keepdims: tf.reduce_mean(tf.square(x), a, keepdims))
    axes = m.one_of([-1], [1], list(range(1, rank - 1)), [1, -1], [2])
    if axes == [2] and rank == 3:
        axes = [1]
    if rank != 4 or m.chance(0.6):
        return m.apply(lambda x: x - 0.5 * op(x, axes, keepdims=True), x)
    w = m.weights(7, 7, 2, 1)

    def compute(x):
        both = tf.concat([tf.reduce_mean(x, -1, keepdims=True), tf.reduce_max(x, -1, keepdims=True)], -1)
        return x * tf.sigmoid(nn.conv2d(both, w, 1, "SAME"))

    return m.apply(compute, x)


def blocks_of_pixels(m, rank):
    x = m.read()
    size = m.one_of(2, 2, 3)
    if x.shape[-1] % (size * size) == 0:
        return m.apply(lambda x: tf.nn.depth_to_space(x, size), x)
    if x.shape[1] % size or x.shape[2] % size:
        out = size * size * m.one_of(1, 2)
        w = m.weights(3, 3, x.shape[-1], out)
        return m.apply(lambda x: tf.nn.depth_to_space(nn.conv2d(x, w, 1, "SAME"), size), x)
    return m.apply(lambda x: tf.nn.space_to_depth(x, size), x)


def moved(m, rank):
    """Work on a transposed map: channels first, or height and width exchanged."""
    x = m.read()
    channels = x.shape[-1]
    act, scale, sides = activation(m, 1), m.uniform(0.5, 1.5, channels, 1, 1), [[0, 0], [0, 0], [1, 0], [0, 2]]
    kind = m.below(4)
    if kind == 3:
        w = m.weights(3, 1, channels, channels)
        return m.apply(lambda x: tf.transpose(nn.conv2d(tf.transpose(x, [0, 2, 1, 3]), w, 1, "SAME"), [0, 2, 1, 3]), x)

    def compute(x):
        y = tf.transpose(x, [0, 3, 1, 2])
        y = y * scale if kind == 0 else tf.pad(y, sides) if kind == 1 else tf.concat([y, tf.reduce_mean(y, [2, 3], keepdims=True) * y], 1)
        y = y if act is ACTIVATIONS["softmax"] else act(y)
        return tf.transpose(y, [0, 2, 3, 1])

    return m.apply(compute, x)


def pyramid_pool(m, rank):
    """The means of the whole map, brought back to its size, beside it."""
    x = m.read()
    out = m.channels()
    w, end = m.weights(1, 1, x.shape[-1], out), tail(m, out)
    kind = m.below(3)

    def compute(x):
        y = end(nn.conv2d(tf.reduce_mean(x, [1, 2], keepdims=True), w, 1, "SAME"))
        s = tf.shape(x)
        if kind == 0:
            y = tf.image.resize(y, s[1:3])
        elif kind == 1:
            y = tf.tile(y, tf.stack([1, s[1], s[2], 1]))
        else:
            y = tf.broadcast_to(y, tf.stack([s[0], s[1], s[2], out]))
        return tf.concat([x, y], -1)

    return m.apply(compute, x)


def mixed_axes(m, rank):
    """A dense layer over the channels of maps of any rank, or a softmax over positions."""
    x = m.read(rank)
    out = m.channels()
    w, end = m.weights(x.shape[-1], out), tail(m, out)
    if m.chance(0.3):
        axis = m.one_of(1, 2) if rank > 3 else 1
        return m.apply(lambda x: nn.softmax(x, axis) * 4.0, x)
    return m.apply(chain(lambda x: tf.tensordot(x, w, [[rank - 1], [0]]), end), x)


def dense_head(m, rank):
    x = m.read(rank)
    channels, classes = x.shape[-1], m.one_of(2, 5, 10)
    axes = list(range(1, rank - 1))
    flat = m.chance(0.4) and all(d is not None for d in x.node.shape[1:])
    width = int(np.prod(x.shape[1:])) if flat else channels
    if width > (600 if m.small else 4000):
        return None
    w, bias, end = m.weights(width, classes), m.normal(classes), m.one_of(identity, nn.softmax, tf.sigmoid, nn.log_softmax)
    kind = m.one_of(tf.reduce_mean, tf.reduce_max)

    def compute(x):
        y = tf.reshape(x, [-1, width]) if flat else kind(x, axes)
        return end(nn.bias_add(tf.matmul(y, w), bias))

    return m.apply(compute, x)


def detection_head(m, rank):
    """A map of scores flattened to a list, as detectors end."""
    x = m.read()
    if x is None:
        return None
    classes = m.one_of(1, 2, 4)
    w, bias = m.weights(1, 1, x.shape[-1], 3 * classes), m.normal(3 * classes)
    end = m.one_of(identity, tf.sigmoid, nn.softmax)

    def compute(x):
        y = nn.bias_add(nn.conv2d(x, w, 1, "SAME"), bias)
        return end(tf.reshape(y, tf.stack([tf.shape(x)[0], -1, classes])))

    return m.apply(compute, x)


BLOCKS = {
    4: {
        "convolution": (10, layers.convolution), "space_to_batch": (2, layers.space_to_batch), "depthwise": (6, layers.depthwise),
        "separable": (2, layers.separable), "inverted": (3, layers.inverted), "gate": (1, layers.gate),
        "deconvolution": (3, layers.deconvolution), "resize": (4, resize), "pool": (4, pool), "activation": (4, act_alone),
        "norm_first": (3, norm_first), "norm_alone": (1, norm_alone), "residual": (4, residual), "branches": (3, branches),
        "split": (3, split), "crop": (3, crop), "pad": (4, pad), "layer_norm": (3, layer_norm), "attention": (2, attention),
        "lrn": (1, local_response), "joined": (4, joined), "weighted": (2, weighted), "reduced": (2, reduced),
        "blocks_of_pixels": (2, blocks_of_pixels), "moved": (2, moved), "pyramid_pool": (2, pyramid_pool), "mixed_axes": (1, mixed_axes),
        "arithmetic": (3, rare.arithmetic), "stacked": (1, rare.stacked), "windows": (1, rare.windows), "patches": (1, rare.patches),
        "rolled": (1, rare.rolled), "sums": (1, rare.sums), "morphology": (0.5, rare.morphology), "written_softmax": (1, rare.written_softmax),
    },
    3: {
        "convolution": (8, layers.convolution_of_other_rank), "pool": (2, pool), "activation": (2, act_alone), "layer_norm": (2, layer_norm),
        "joined": (2, joined), "norm_alone": (1, norm_alone), "reduced": (1, reduced), "mixed_axes": (2, mixed_axes),
        "arithmetic": (2, rare.arithmetic), "sums": (1, rare.sums), "written_softmax": (1, rare.written_softmax),
    },
}
BLOCKS[5] = BLOCKS[3] | {"deconvolution": (2, layers.deconvolution_3d)}
BLOCKS[3] = BLOCKS[3] | {"recurrent": (2, rare.recurrent), "deconvolution": (1, layers.deconvolution_1d)}
HEADS = {"dense": (3, dense_head), "detection": (2, detection_head)}
