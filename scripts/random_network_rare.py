"""Blocks of random networks that few networks have: blocks as random_network_blocks.py lists them."""
import numpy as np
import tensorflow as tf

from random_network_pieces import ACTIVATIONS, activation, chain, tail

nn, raw = tf.nn, tf.raw_ops

# Operations on one value that change little where the value does, and are finite for numbers from -1e4 to 1e4.
ONE = {
    "abs": tf.abs, "neg": tf.negative, "square": tf.square, "tanh": tf.tanh, "sigmoid": tf.sigmoid, "relu": nn.relu, "sin": tf.sin, "cos": tf.cos,
    "exp": lambda x: tf.exp(tf.minimum(x, 3.0)), "log1p": lambda x: tf.math.log1p(tf.abs(x)), "expm1": lambda x: tf.math.expm1(tf.minimum(x, 2.0)),
    "sqrt": lambda x: tf.sqrt(tf.abs(x) + 0.1), "rsqrt": lambda x: tf.math.rsqrt(tf.square(x) + 0.5), "softplus": nn.softplus,
    "reciprocal": lambda x: tf.math.reciprocal(1.0 + tf.abs(x)), "inv": lambda x: 1.0 / (2.0 + tf.square(x)), "erf": tf.math.erf,
    "pow": lambda x: tf.pow(tf.abs(x) + 0.01, 1.5), "cube": lambda x: tf.pow(x, 3.0), "log": lambda x: tf.math.log(tf.abs(x) + 0.5),
    "atan": tf.atan, "clip": lambda x: tf.clip_by_value(x, -2.0, 2.0), "softsign": nn.softsign, "identity": tf.identity,
    "cast": lambda x: tf.cast(tf.cast(x, tf.float64), tf.float32), "sinh": lambda x: tf.sinh(tf.clip_by_value(x, -3.0, 3.0)),
    "cosh": lambda x: tf.cosh(tf.clip_by_value(x, -3.0, 3.0)), "asinh": tf.asinh, "erfc": tf.math.erfc,
    "select": lambda x: tf.where(x < 0.0, 0.3 * x, tf.square(x)), "select_and": lambda x: tf.where((x > -1.0) & (x < 1.0), x * x, tf.abs(x)),
}
TWO = {
    "add": tf.add, "sub": tf.subtract, "mul": tf.multiply, "maximum": tf.maximum, "minimum": tf.minimum, "difference": tf.math.squared_difference,
    "div": lambda a, b: a / (1.0 + tf.abs(b)), "real_div": lambda a, b: tf.realdiv(a, 2.0 + tf.square(b)), "add_n": lambda a, b: a + b,
    "div_no_nan": lambda a, b: tf.math.divide_no_nan(a, 1.0 + tf.square(b)), "where": lambda a, b: tf.where(a > b, a, b),
    "atan2": lambda a, b: tf.atan2(a, tf.abs(b) + 1.0),
}


def constant(m, shape):
    """Of a shape that broadcasts to `shape`, which has its last dimensions known."""
    channels = shape[-1]
    kinds = [(), (1,), (channels,), (1,) * len(shape), (1,) * (len(shape) - 1) + (channels,), shape[2:] if len(shape) > 3 else (channels,),
             (1, *shape[1:-1], 1), tuple(shape[1:])]
    return m.uniform(0.3, 1.5, *m.one_of(*kinds[:5])) if m.chance(0.7) else m.uniform(0.3, 1.5, *m.one_of(*kinds))


def arithmetic(m, rank):
    """A tree of element-wise operations on one or two values of one shape, and constants that broadcast."""
    x = m.read(rank)
    other = m.read(rank)
    other = other if other.shape == x.shape else x
    steps = []
    for i in range(2 + m.below(9)):
        a = m.below(i + 2)
        if m.chance(0.5):
            steps.append((ONE[m.one_of(*ONE)], a, None, None))
        elif m.chance(0.5):
            steps.append((TWO[m.one_of(*TWO)], a, m.below(i + 2), None))
        else:
            steps.append((TWO[m.one_of(*TWO)], a, None, (constant(m, x.shape), m.chance(0.5))))

    def compute(x, y):
        known = [x, y]
        for op, a, b, (value, first) in ((op, a, b, c or (None, False)) for op, a, b, c in steps):
            if value is not None:
                known.append(op(value, known[a]) if first else op(known[a], value))
            else:
                known.append(op(known[a]) if b is None else op(known[a], known[b]))
        return known[-1]

    return m.apply(compute, x, other)


def stacked(m, rank):
    """Maps on a new axis: stacked, worked on, taken apart."""
    x = m.read()
    axis, act, kind = m.one_of(0, 1, 3, 4), activation(m, x.shape[-1]), m.below(3)
    act = ACTIVATIONS["relu"] if act is ACTIVATIONS["softmax"] else act

    def compute(x):
        y = tf.stack([x, act(x), 0.5 * x], axis)
        if kind == 0:
            return tf.reduce_sum(y, axis)
        if kind == 1:
            a, b, c = tf.unstack(y, 3, axis)
            return tf.concat([c, a, b], -1)
        return tf.add_n(tf.unstack(y, 3, axis))

    return m.apply(compute, x)


def windows(m, rank):
    """Windows of a map as tokens, mixed within each, and put back: shifted-window transformers."""
    x = m.read()
    size, channels = m.one_of(2, 3), x.shape[-1]
    if x.shape[1] % size or x.shape[2] % size:
        return None
    w, shift = m.weights(size * size, size * size), m.below(2)
    h, width = x.shape[1] // size, x.shape[2] // size

    def compute(x):
        y = tf.roll(x, [-shift, -shift], [1, 2]) if shift else x
        y = tf.reshape(y, tf.stack([-1, h, size, width, size, channels]))
        y = tf.reshape(tf.transpose(y, [0, 1, 3, 2, 4, 5]), tf.stack([-1, size * size, channels]))
        y = tf.transpose(tf.tensordot(tf.transpose(y, [0, 2, 1]), w, [[2], [0]]), [0, 2, 1])
        y = tf.reshape(y, tf.stack([-1, h, width, size, size, channels]))
        y = tf.reshape(tf.transpose(y, [0, 1, 3, 2, 4, 5]), tf.stack([-1, h * size, width * size, channels]))
        return tf.roll(y, [shift, shift], [1, 2]) if shift else y

    return m.apply(compute, x)


def patches(m, rank):
    """Patches as tokens, a dense layer over them; or boxes cut out of a map."""
    x = m.read()
    k, s, channels = m.one_of(2, 3), m.one_of(1, 2), x.shape[-1]
    if m.chance(0.4):
        boxes = m.uniform(0, 1, 4, 4)
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1)
        index = np.int32([m.below(x.shape[0]) for _ in range(4)])
        kind, size = m.one_of("bilinear", "bilinear", "nearest"), np.int32([1 + m.below(6), 2 + m.below(5)])
        return m.apply(lambda x: tf.image.crop_and_resize(x, boxes, index, size, kind), x)
    if k * k * channels > 200:
        return None
    w, pad, end = m.weights(k * k * channels, 8), m.one_of("SAME", "VALID"), tail(m, 8)
    return m.apply(chain(lambda x: tf.image.extract_patches(x, [1, k, k, 1], [1, s, s, 1], [1, 1, 1, 1], pad),
                         lambda x: tf.tensordot(x, w, [[3], [0]]), end), x)


def rolled(m, rank):
    x = m.read()
    act = activation(m, x.shape[-1])
    way = m.one_of(lambda x: tf.roll(x, 1, 1), lambda x: tf.roll(x, [1, -2], [1, 2]), lambda x: tf.repeat(x, 2, 1), lambda x: tf.tile(x, [1, 2, 1, 1]),
                   lambda x: tf.cumsum(x, 2) * 0.3, lambda x: tf.repeat(tf.repeat(x, 2, 1), 2, 2), lambda x: tf.gather(x, [0, 0, 1], axis=1),
                   lambda x: tf.expand_dims(tf.reduce_max(x, 1), 1), lambda x: tf.squeeze(tf.expand_dims(x, 1), 1), lambda x: x[:, :, tf.newaxis, :, :][:, :, 0])
    return m.apply(chain(way, act), x) if x.shape[1] > 1 and x.shape[2] > 2 else None


def sums(m, rank):
    """Sums of several values of one shape; the same value several times."""
    x, y = m.read(rank), m.read(rank)
    y = y if y.shape == x.shape else x
    way = m.one_of(lambda x, y: tf.add_n([x, y, x]), lambda x, y: raw.AddN(inputs=[x, y]), lambda x, y: x + y + nn.relu(x), lambda x, y: x * y + x - y,
                   lambda x, y: tf.concat([x, y, x], -1), lambda x, y: tf.maximum(tf.maximum(x, y), -x), lambda x, y: nn.relu(x + y) + nn.relu(x - y))
    return m.apply(way, x, y)


def morphology(m, rank):
    x = m.read()
    w, s, rate, pad = m.normal(2, 3, x.shape[-1], std=0.2), m.one_of(1, 2), m.one_of(1, 2), m.one_of("SAME", "VALID")
    return m.apply(lambda x: nn.dilation2d(x, w, [1, s, s, 1], pad, "NHWC", [1, rate, rate, 1]), x)


def written_softmax(m, rank):
    """Softmax and its kin from their pieces."""
    x = m.read(rank)
    axis = m.one_of(-1, -1, 1)

    def compute(x):
        e = tf.exp(x - tf.stop_gradient(tf.reduce_max(x, axis, keepdims=True)))
        return e / tf.reduce_sum(e, axis, keepdims=True) * 3.0

    return m.apply(m.one_of(compute, lambda x: x - tf.reduce_logsumexp(x, axis, keepdims=True), lambda x: nn.log_softmax(x, axis) * 0.3), x)


def recurrent(m, rank):
    """A few steps of a recurrent cell over the first positions, unrolled."""
    x = m.read(3)
    units, steps, channels = m.one_of(4, 6), min(4, x.shape[1]), x.shape[-1]
    w, u, bias, gru = m.weights(channels, 4 * units), m.weights(units, 4 * units), m.normal(4 * units), m.chance(0.4)

    def compute(x):
        h = tf.zeros(tf.stack([tf.shape(x)[0], units]))
        c, outputs = h, []
        for t in range(steps):
            z = nn.bias_add(tf.matmul(x[:, t], w) + tf.matmul(h, u), bias)
            i, f, g, o = tf.split(z, 4, 1)
            if gru:
                h = tf.sigmoid(i) * h + (1.0 - tf.sigmoid(i)) * tf.tanh(g + f)
            else:
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
            outputs.append(h)
        return tf.stack(outputs, 1)

    return m.apply(compute, x)
