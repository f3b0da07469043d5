import numpy as np
import tensorflow as tf

from op_golden.recorder import case

i32, i64, f32 = np.int32, np.int64, np.float32


@case("Gather")
def gather(g):
    g(params=g.rand(5, 3), indices=np.array([[0, 4], [2, 2]], i32))
    g(params=g.rand(5, dtype=i32), indices=np.array(3, i64))


@case("GatherV2")
def gather_v2(g):
    for axis in (0, 1, 2, -1):
        for dtype in (i32, i64):
            g(params=g.rand(3, 3, 4), indices=np.array([[0, 2], [1, 1]], dtype), axis=axis)
    for batch, axis in ((1, 1), (1, 2), (2, 2), (-1, 1)):
        g(params=g.rand(2, 3, 4), indices=np.array([[0, 2, 1], [1, 1, 0]], i32), axis=axis, batch_dims=batch)
    g(params=g.rand(3, 2, dtype=np.bool_), indices=np.zeros(0, i32), axis=0)


@case("GatherNd")
def gather_nd(g):
    g(params=g.rand(3, 4, 2), indices=np.array([[0, 1], [2, 3]], i32))
    g(params=g.rand(3, 4, 2), indices=np.array([[[0]], [[2]]], i64))
    g(params=g.rand(3, 4), indices=np.zeros((2, 0), i32))
    g(params=g.rand(3, 4, dtype=i32), indices=np.array([2, 1], i32))


@case("OneHot")
def one_hot(g):
    for axis in (-1, 0, 1):
        for dtype in (i32, i64, np.uint8):
            g(indices=np.array([[0, 2], [3, 1]], dtype), depth=4, on_value=f32(2), off_value=f32(-1), axis=axis)
    g(indices=np.array([-1, 5, 1], i32), depth=3, on_value=np.bool_(True), off_value=np.bool_(False))
    g(indices=np.array(1, i32), depth=3, on_value=i64(1), off_value=i64(0))


@case("ScatterNd")
def scatter_nd(g):
    g(indices=np.array([[0], [2], [0]], i32), updates=g.rand(3, 4), shape=np.array([4, 4], i32))
    g(indices=np.array([[0, 1], [2, 3]], i64), updates=g.rand(2, dtype=i32), shape=np.array([3, 4], i64))
    g(indices=np.array([[[1]], [[1]]], i32), updates=g.rand(2, 1, 2), shape=np.array([2, 2], i32))


@case("TensorScatterAdd", "TensorScatterSub", "TensorScatterUpdate", "TensorScatterMax", "TensorScatterMin")
def tensor_scatter(g):
    g(tensor=g.rand(4, 3), indices=np.array([[0], [2]], i32), updates=g.rand(2, 3))
    g(tensor=g.rand(3, 4, dtype=i32), indices=np.array([[0, 1], [2, 3], [2, 2]], i64), updates=g.rand(3, dtype=i32))
    if g.name in ("TensorScatterAdd", "TensorScatterSub"):
        g(tensor=g.rand(4), indices=np.array([[1], [1]], i32), updates=g.rand(2))


@case("ScatterNdNonAliasingAdd")
def non_aliasing(g):
    g(input=g.rand(4, 3), indices=np.array([[0], [2]], i32), updates=g.rand(2, 3))


@case("SparseToDense")
def sparse_to_dense(g):
    g(sparse_indices=np.array([[0, 1], [2, 2]], i32), output_shape=np.array([3, 3], i32), sparse_values=g.rand(2), default_value=f32(.5))
    g(sparse_indices=np.array([1, 3], i64), output_shape=np.array([5], i64), sparse_values=i32(7), default_value=i32(0))
    g(sparse_indices=np.array(2, i32), output_shape=np.array([4], i32), sparse_values=f32(1), default_value=f32(0))


@case("DynamicPartition")
def partition(g):
    g(data=g.rand(5, 2), partitions=np.array([0, 2, 0, 1, 2], i32), num_partitions=4)
    g(data=g.rand(2, 3, dtype=i32), partitions=np.array([[0, 1, 1], [1, 0, 1]], i32), num_partitions=2)


@case("DynamicStitch", "ParallelDynamicStitch")
def stitch(g):
    g(indices=[np.array([0, 3], i32), np.array([1, 2], i32)], data=[g.rand(2, 3), g.rand(2, 3)])
    g(indices=[np.array(2, i32), np.array([[0, 1], [4, 3]], i32)], data=[g.rand(2), g.rand(2, 2, 2)])
    if g.name == "DynamicStitch":
        g(indices=[np.array([0, 1], i32), np.array([1, 0], i32)], data=[g.rand(2), g.rand(2)])


@case("InvertPermutation")
def invert(g):
    for dtype in (i32, i64):
        g(x=np.array([3, 0, 2, 1], dtype))


@case("UnravelIndex")
def unravel(g):
    g(indices=np.array([22, 0, 7], i32), dims=np.array([4, 3, 2], i32))
    g(indices=np.array(5, i64), dims=np.array([2, 3], i64))


@case("RandomUniform", "RandomStandardNormal", "TruncatedNormal", "RandomUniformInt", "StatelessRandomUniform", "StatelessRandomNormal", "StatelessTruncatedNormal",
      "StatelessRandomUniformInt", "RandomShuffle", "Multinomial", "RandomGamma", "RandomPoissonV2")
def random(g):
    """Only what every generator agrees on: the shape, the range, and that a large sample has about the right mean."""
    seed = {"seed": [3, 4]} if g.name.startswith("Stateless") else {"seed": 3, "seed2": 4}
    with g.graph.as_default():
        def make(shape):
            if g.name == "RandomShuffle":
                return tf.raw_ops.RandomShuffle(value=tf.range(20), **seed)
            if g.name == "Multinomial":
                return tf.raw_ops.Multinomial(logits=tf.constant([[0.0, 0.0, -1e9]] * shape[0]), num_samples=shape[1], **seed)
            if g.name == "RandomGamma":
                return tf.raw_ops.RandomGamma(shape=shape, alpha=tf.constant(2.0), **seed)
            if g.name == "RandomPoissonV2":
                return tf.raw_ops.RandomPoissonV2(shape=shape, rate=tf.constant(2.0), dtype=tf.float32, **seed)
            if g.name.endswith("Int"):
                return getattr(tf.raw_ops, g.name)(shape=shape, minval=-3, maxval=5, **seed)
            return getattr(tf.raw_ops, g.name)(shape=shape, dtype=tf.float32, **seed)
        x = make([200, 50])
        lo, hi, mean = {"RandomShuffle": (0, 19, 9.5), "Multinomial": (0, 1, .5), "RandomGamma": (0, 40, 2), "RandomPoissonV2": (0, 40, 2), "RandomUniformInt": (-3, 4, .5),
                        "StatelessRandomUniformInt": (-3, 4, .5), "RandomUniform": (0, 1, .5), "StatelessRandomUniform": (0, 1, .5), "TruncatedNormal": (-2, 2, 0),
                        "StatelessTruncatedNormal": (-2, 2, 0)}.get(g.name, (-7, 7, 0))
        y = tf.cast(x, tf.float32)
        off = tf.abs(tf.reduce_mean(y) - mean) < .15
        g.fetch(tf.shape(x), tf.reduce_all((y >= lo) & (y <= hi)), off)
        if g.name == "RandomShuffle":
            g.fetch(tf.reduce_sum(x))


