import numpy as np
import tensorflow as tf

from op_golden.recorder import bfloat16, case

i32, i64, f32 = np.int32, np.int64, np.float32


@case("Identity", "Snapshot", "PreventGradient", "StopGradient", "DeepCopy", "GuaranteeConst", "CheckNumerics", "CheckNumericsV2")
def passed(g):
    key = {"Snapshot": "input", "StopGradient": "input", "DeepCopy": "x", "CheckNumerics": "tensor", "CheckNumericsV2": "tensor"}.get(g.name, "input")
    extra = {"message": "m"} if g.name.startswith("Check") else {}
    g(**{key: g.rand(2, 3)}, **extra)
    if not extra:
        g(**{key: g.rand(2, 3, dtype=i32)})


@case("IdentityN")
def identity_n(g):
    g(input=[g.rand(2), g.rand(2, 3, dtype=i32), g.rand(1, dtype=bool)])


@case("PlaceholderWithDefault")
def placeholder_with_default(g):
    g(input=[1.0, 2.0], shape=[None])


@case("Print")
def printed(g):
    g(input=g.rand(2), data=[], message="m")


@case("EnsureShape")
def ensure(g):
    g.fetch(g.build("EnsureShape", input=g.feed(g.rand(2, 3), shape=None), shape=[2, None]))


@case("Const")
def const(g):
    for dtype in (f32, np.float64, np.float16, bfloat16, np.int8, np.uint8, np.int16, np.uint16, i32, i64, np.uint32, np.uint64, bool):
        with g.graph.as_default():
            g.fetch(tf.identity(tf.constant(g.rand(2, 3, dtype=dtype, lo=0, hi=9))), tf.identity(tf.fill([3], tf.constant(g.rand(dtype=dtype, lo=0, hi=9)))))
            g.fetch(tf.identity(tf.constant(g.rand(1, dtype=dtype), shape=[2, 2])))


@case("Shape", "ShapeN", "Size", "Rank")
def shape(g):
    for x in (g.rand(2, 3), g.rand(), g.rand(0, 4), g.rand(2, 1, 3, dtype=i32)):
        for out in (tf.int32, tf.int64):
            g(input=[x, x[..., np.newaxis]] if g.name == "ShapeN" else x, **({} if g.name == "Rank" else {"out_type": out}))


@case("Reshape")
def reshape(g):
    g(tensor=g.rand(2, 6), shape=[3, -1])
    g(tensor=g.rand(2, 6), shape=np.array([4, 3], i64))
    g(tensor=g.rand(1), shape=np.zeros(0, i32))
    g(tensor=g.rand(0, 4), shape=[2, 0])
    g(tensor=g.rand(0, 4), shape=[-1, 4])


@case("Squeeze")
def squeeze(g):
    g(input=g.rand(1, 2, 1, 3), axis=[])
    g(input=g.rand(1, 2, 1, 3), axis=[2])
    g(input=g.rand(1, 2, 1, 3), axis=[-2, 0])


@case("ExpandDims")
def expand(g):
    for axis in (0, 1, 2, -1, -3):
        g(input=g.rand(2, 3), axis=axis)
    g(input=g.rand(), axis=np.array([0], i64))


@case("Fill")
def fill(g):
    g(dims=[2, 3], value=f32(2.5))
    g(dims=np.array([4], i64), value=i32(7))
    g(dims=np.zeros(0, i32), value=True)


@case("Empty")
def empty(g):
    g(shape=[2, 3], dtype=tf.float32, init=True)


@case("Range")
def range_(g):
    for a, b, d in ((0, 5, 1), (5, 0, -2), (3, 3, 1), (2, 11, 4)):
        for dtype in (i32, i64, f32, np.float64):
            g(start=dtype(a), limit=dtype(b), delta=dtype(d))
    g(start=f32(.5), limit=f32(3.1), delta=f32(.3))


@case("LinSpace")
def linspace(g):
    g(start=f32(1), stop=f32(4), num=7)
    g(start=np.float64(3), stop=np.float64(-3), num=np.int64(4))
    g(start=f32(1), stop=f32(4), num=1)


@case("BroadcastTo")
def broadcast_to(g):
    g(input=g.rand(3, 1), shape=[2, 3, 4])
    g(input=g.rand(), shape=np.array([2, 2], i64))
    g(input=g.rand(3, dtype=i32), shape=[0, 3])


@case("BroadcastArgs")
def broadcast_args(g):
    g(s0=[3, 1], s1=[2, 1, 4])
    g(s0=np.array([5], i64), s1=np.array([], i64))


@case("Cast")
def cast(g):
    kinds = (f32, np.float64, np.float16, bfloat16, np.int8, np.uint8, np.int16, np.uint16, i32, i64, np.uint32, np.uint64, bool)
    for a in kinds:
        for b in kinds:
            lo = 0 if np.dtype(b).kind == "u" else -100
            g(x=g.rand(4, dtype=a, lo=lo, hi=100), DstT=tf.as_dtype(b))
    g(x=g.rand(6, dtype=i32, lo=-1000, hi=1000), DstT=tf.int8)
    g(x=np.array([1e10, -1e10, 3e38, 70000], f32), DstT=tf.float16)
    g(x=np.array([0.0, np.nan, -0.0, 0.3], f32), DstT=tf.bool)


@case("Bitcast")
def bitcast(g):
    g(input=g.rand(2, 3), type=tf.int32)
    g(input=g.rand(2, 3), type=tf.uint8)
    g(input=g.rand(2, 3, 2, dtype=i32), type=tf.int64)
    g(input=g.rand(2, 2, dtype=np.float16), type=tf.uint16)


@case("Concat", "ConcatV2")
def concat(g):
    for axis in (0, 1, -1):
        for dtype in (f32, np.uint8, bool):
            s = [(2, 3), (2, 3)] if axis == 0 else [(2, 3), (2, 1), (2, 0)]
            values = [g.rand(*x, dtype=dtype, lo=0) for x in s]
            if g.name == "Concat":
                if axis >= 0:
                    g(concat_dim=axis, values=values)
            else:
                g(values=values, axis=axis)


@case("ParallelConcat")
def parallel_concat(g):
    g(values=[g.rand(1, 3), g.rand(1, 3)], shape=[2, 3])


@case("ConcatOffset")
def concat_offset(g):
    g(concat_dim=1, shape=[np.array([2, 3], i32), np.array([2, 5], i32), np.array([2, 1], i32)])


@case("Pack")
def pack(g):
    for axis in (0, 1, 2, -1, -3):
        g(values=[g.rand(2, 3), g.rand(2, 3), g.rand(2, 3)], axis=axis)
    g(values=[g.rand(dtype=i32), g.rand(dtype=i32)], axis=0)


@case("Unpack")
def unpack(g):
    for axis in (0, 1, -1, -2):
        g(value=g.rand(3, 3, 3), num=3, axis=axis)


@case("Split")
def split(g):
    for axis in (0, 1, -1):
        g(axis=axis, value=g.rand(4, 6), num_split=2)
    g(axis=0, value=g.rand(4, 2, dtype=i32), num_split=4)


@case("SplitV")
def split_v(g):
    g(value=g.rand(4, 7), size_splits=[2, 4, 1], axis=1, num_split=3)
    g(value=g.rand(4, 7), size_splits=np.array([2, -1], i64), axis=-1, num_split=2)
    g(value=g.rand(4, 2), size_splits=[4, 0], axis=0, num_split=2)


@case("Slice")
def slice_(g):
    g(input=g.rand(4, 5), begin=[1, 0], size=[2, -1])
    g(input=g.rand(4, 5, dtype=i32), begin=np.array([0, 2], i64), size=np.array([4, 3], i64))
    g(input=g.rand(4, 5), begin=[4, 0], size=[0, 5])


@case("StridedSlice")
def strided_slice(g):
    for spec in ((np.s_[1:4], ), (np.s_[::2], np.s_[::-1]), (np.s_[..., 1]), (np.s_[2], np.s_[..., np.newaxis], np.s_[1:2]), (np.s_[-1], np.s_[-3:-1]), (np.s_[3:1:-1],),
                 (np.newaxis, np.s_[1:2], Ellipsis, np.newaxis), (np.s_[:, 5:1]), (np.s_[4::-2], np.s_[:-1:2], -1), (np.s_[-100:100], np.s_[100:-100:-1])):
        with g.graph.as_default():
            x = g.feed(g.rand(5, 6, 3))
            flat = []
            for s in spec if isinstance(spec, tuple) else (spec,):
                flat += list(s) if isinstance(s, tuple) else [s]
            if flat.count(Ellipsis) <= 1:
                g.fetch(x[tuple(tf.newaxis if s is np.newaxis else s for s in flat)])
    x = g.rand(3, 4)
    for masks in range(16):
        g(input=x, begin=[1, -1], end=[-1, 0], strides=[1, -2], begin_mask=masks & 3, end_mask=masks >> 2, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0)
    g(input=x, begin=np.array([1], i64), end=np.array([2], i64), strides=np.array([1], i64), begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=1)
    g(input=x, begin=[0, 1, 0], end=[0, 2, 3], strides=[1, 1, 1], begin_mask=0, end_mask=0, ellipsis_mask=1, new_axis_mask=2, shrink_axis_mask=0)
    g(input=g.rand(4, dtype=i32), begin=[1], end=[3], strides=[1], begin_mask=1, end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0)


@case("Transpose")
def transpose(g):
    g(x=g.rand(2, 3), perm=[1, 0])
    g(x=g.rand(2, 3, 4), perm=np.array([2, 0, 1], i64))
    g(x=g.rand(2, 3, 1, 2, dtype=np.uint8, lo=0), perm=[0, 3, 1, 2])
    g(x=g.rand(), perm=np.zeros(0, i32))
    g(x=g.rand(2, 0, 4), perm=[2, 0, 1])


@case("Tile")
def tile(g):
    g(input=g.rand(2, 3), multiples=[2, 1])
    g(input=g.rand(2, 3, dtype=bool), multiples=np.array([0, 2], i64))
    g(input=g.rand(3, 1, 2, dtype=i32), multiples=[1, 3, 2])


@case("Pad", "PadV2", "MirrorPad")
def pad(g):
    for p in ([[1, 2], [0, 3]], [[0, 0], [2, 1]]):
        for dtype in (f32, i32, np.float64):
            for paddings in (p, np.array(p, i64)):
                p2 = np.minimum(np.array(paddings), 2)
                if g.name == "PadV2":
                    g(input=g.rand(3, 4, dtype=dtype), paddings=paddings, constant_values=dtype(3))
                elif g.name == "MirrorPad":
                    for mode in ("REFLECT", "SYMMETRIC"):
                        g(input=g.rand(3, 4, dtype=dtype), paddings=p2.astype(i32), mode=mode)
                else:
                    g(input=g.rand(3, 4, dtype=dtype), paddings=paddings)


@case("ReverseV2")
def reverse(g):
    for axes in ([0], [1], [-1, 0], []):
        g(tensor=g.rand(2, 3, 2), axis=np.array(axes, i32))
    g(tensor=g.rand(4, dtype=bool), axis=np.array([0], i64))


@case("Reverse")
def reverse_v1(g):
    g(tensor=g.rand(2, 3), dims=[True, False])
    g(tensor=g.rand(2, 3, dtype=i32), dims=[True, True])


@case("ReverseSequence")
def reverse_sequence(g):
    g(input=g.rand(3, 4, 2), seq_lengths=np.array([2, 4, 0], i32), seq_dim=1, batch_dim=0)
    g(input=g.rand(4, 3), seq_lengths=np.array([1, 3, 4], i64), seq_dim=0, batch_dim=1)


@case("Roll")
def roll(g):
    g(input=g.rand(4, 5), shift=[1, -2], axis=[0, 1])
    g(input=g.rand(4, 5, dtype=i32), shift=i32(7), axis=i32(-1))
    g(input=g.rand(4, 5), shift=[1, 2], axis=[1, 1])


@case("Assert", "NoOp", "ControlTrigger")
def nothing(g):
    with g.graph.as_default():
        if g.name == "Assert":
            done = tf.raw_ops.Assert(condition=g.feed(np.array(True)), data=[g.feed(g.rand(2))])
        else:
            done = getattr(tf.raw_ops, g.name)()
        with tf.control_dependencies([done]):
            g.fetch(tf.identity(g.feed(g.rand(2))))


@case("DataFormatVecPermute", "DataFormatDimMap")
def data_format(g):
    g(x=np.array([2, 3, 0, 1], i32), src_format="NHWC", dst_format="NCHW")
    g(x=np.array([1, 3, 2, 0], i64), src_format="NCHW", dst_format="NHWC")
    if g.name == "DataFormatVecPermute":
        g(x=np.array([[1, 2], [3, 4], [5, 6], [7, 8]], i32), src_format="NHWC", dst_format="NCHW")


@case("Select", "SelectV2")
def select(g):
    key = {"Select": ("condition", "x", "y"), "SelectV2": ("condition", "t", "e")}[g.name]
    shapes = [((3, 4), (3, 4), (3, 4)), ((), (3, 4), (3, 4)), ((0,), (0,), (0,))]
    shapes += [((3,), (3, 4), (3, 4))] if g.name == "Select" else [((3, 1), (4,), (1, 4)), ((4,), (3, 4), ()), ((2, 1, 1), (3, 4), (1,))]
    for s in shapes:
        for dtype in (f32, i32, bool):
            g(**dict(zip(key, (g.rand(*s[0], dtype=bool), g.rand(*s[1], dtype=dtype), g.rand(*s[2], dtype=dtype)))))


@case("Where")
def where(g):
    for dtype in (bool, f32, i32, np.int8):
        g(condition=g.rand(3, 4, dtype=dtype, lo=-1, hi=2))
    g(condition=g.rand(2, 2, 3, dtype=bool))
    g(condition=g.rand(0, dtype=bool))


