"""Convolutions and poolings of volumes as stock TensorFlow computes them, which uses oneDNN. Without oneDNN its poolings and
convolutions (its deconvolutions not) begin SAME windows that skip elements inside the map, at half of the negative padding;
the oneDNN kernels begin them at the edge, as both do in two dimensions."""
import numpy as np
import tensorflow as tf

from op_golden.recorder import case

i32 = np.int32


@case("MaxPool3D", "AvgPool3D")
def pool_3d(g):
    for size, k, s, padding in (((5, 7, 6), (2, 3, 3), (2, 2, 1), "SAME"), ((4, 4, 4), (2, 2, 2), (2, 2, 2), "VALID"), ((3, 5, 4), (3, 1, 2), (1, 1, 2), "SAME")):
        g(input=g.rand(2, *size, 2), ksize=[1, *k, 1], strides=[1, *s, 1], padding=padding)
    g(input=g.rand(1, 6, 3, 7, 2), ksize=[1, 3, 1, 2, 1], strides=[1, 2, 3, 3, 1], padding="SAME")


@case("Conv3D")
def conv_3d(g):
    for size, k, s, d, padding in (((5, 7, 6), (2, 3, 3), (1, 1, 1), 1, "SAME"), ((5, 6, 6), (3, 2, 2), (2, 2, 2), 1, "SAME"), ((4, 5, 6), (2, 2, 2), (1, 2, 1), 1, "VALID"),
                                   ((5, 5, 5), (2, 2, 2), (1, 1, 1), 2, "VALID")):
        g(input=g.rand(1, *size, 2), filter=g.rand(*k, 2, 3), strides=[1, *s, 1], dilations=[1, d, d, d, 1], padding=padding)
    g(input=g.rand(1, 6, 3, 7, 2), filter=g.rand(3, 1, 2, 2, 3), strides=[1, 2, 3, 3, 1], padding="SAME")
    g(input=g.rand(1, 4, 4, 4, 1, dtype=np.float64), filter=g.rand(2, 2, 2, 1, 1, dtype=np.float64), strides=[1] * 5, padding="SAME")


@case("Conv3D", "MaxPool3D", "AvgPool3D", "Conv3DBackpropInputV2")
def channels_first_3d(g):
    x = g.rand(1, 5, 4, 6, 2)
    call = {"Conv3D": dict(input=x, filter=g.rand(2, 3, 2, 2, 3), strides=[1, 2, 1, 1, 1], padding="SAME"),
            "MaxPool3D": dict(input=x, ksize=[1, 2, 3, 2, 1], strides=[1, 2, 1, 1, 1], padding="SAME"),
            "AvgPool3D": dict(input=x, ksize=[1, 2, 3, 2, 1], strides=[1, 2, 1, 1, 1], padding="SAME"),
            "Conv3DBackpropInputV2": dict(input_sizes=np.array([1, 9, 4, 6, 3], i32), filter=g.rand(2, 3, 2, 3, 2), out_backprop=x, strides=[1, 2, 1, 1, 1], padding="SAME")}[g.name]
    moved = dict(call, data_format="NCDHW")
    lead = "out_backprop" if "out_backprop" in call else next(iter(call))
    order = (0, 4, 1, 2, 3)
    moved[lead] = np.ascontiguousarray(call[lead].transpose(order))
    for key in ("strides", "ksize"):
        if key in moved:
            moved[key] = [call[key][i] for i in order]
    if "input_sizes" in moved:
        moved["input_sizes"] = call["input_sizes"][list(order)]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        wanted = session.run(getattr(tf.raw_ops, g.name)(**call)).transpose(order)
    g.known(g.build(g.name, **moved), np.ascontiguousarray(wanted))


@case("Conv3DBackpropInputV2")
def conv_3d_backprop(g):
    for size, out, k, s, padding in (((6, 6, 6), (3, 3, 3), 3, 2, "SAME"), ((5, 5, 5), (4, 4, 4), 2, 1, "VALID")):
        g(input_sizes=np.array([1, *size, 3], i32), filter=g.rand(k, k, k, 3, 2), out_backprop=g.rand(1, *out, 2), strides=[1, s, s, s, 1], padding=padding)
