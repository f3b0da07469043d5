import numpy as np
import tensorflow as tf

from op_golden.recorder import bfloat16, case

i32, i64, f32 = np.int32, np.int64, np.float32


@case("Sum", "Mean", "Max", "Min", "Prod", "EuclideanNorm")
def reduce_numbers(g):
    for axes in ([0], [1], [-1, 0], [], [0, 1, 2]):
        for keep in (False, True):
            g(input=g.rand(2, 3, 4), axis=np.array(axes, i32), keep_dims=keep)
    for dtype in (np.float64, np.float16, bfloat16, i32, i64, np.int8, np.uint8):
        g(input=g.rand(3, 4, dtype=dtype, lo=-3, hi=4), axis=np.array([1], i64))
    g(input=g.rand(2, 0, 3), axis=[1])
    g(input=g.rand(0, 3), axis=[1])
    g(input=g.rand(), axis=np.array([], i32))
    g(input=g.rand(3, 4), axis=1)
    g(input=np.array([[1, np.nan, 2], [np.inf, -np.inf, 1], [np.inf, 1, 2]], f32), axis=[1])


@case("All", "Any")
def reduce_bools(g):
    for axes in ([0], [-1], [], [0, 1]):
        for keep in (False, True):
            g(input=g.rand(2, 3, dtype=bool), axis=np.array(axes, i32), keep_dims=keep)
    g(input=g.rand(2, 0, dtype=bool), axis=[1])


@case("ArgMax", "ArgMin")
def arg(g):
    for dimension in (0, 1, -1):
        for out in (tf.int32, tf.int64):
            for dtype in (f32, i32, np.float64, np.uint8):
                g(input=g.rand(3, 4, dtype=dtype, lo=0, hi=5), dimension=dimension, output_type=out)
    g(input=np.array([1, np.nan, 3, 2], f32), dimension=0)
    g(input=g.rand(2, 3, 4), dimension=np.int64(1))


@case("Cumsum", "Cumprod", "CumulativeLogsumexp")
def cumulative(g):
    for axis in (0, 1, -1):
        for exclusive in (False, True):
            for reverse in (False, True):
                g(x=g.rand(3, 4), axis=axis, exclusive=exclusive, reverse=reverse)
    g(x=g.rand(2, 3, 2, dtype=i32), axis=1)
    g(x=g.rand(5, dtype=np.float64), axis=np.int64(0))
    g(x=g.rand(5, dtype=np.float16), axis=0)
    g(x=g.rand(0, 3), axis=0)


@case("TopKV2")
def top_k(g):
    for k in (1, 3, 5):
        for is_sorted in (True, False):
            g(input=g.rand(2, 5, dtype=f32), k=k, sorted=is_sorted)
    g(input=g.rand(6, dtype=i32, lo=0, hi=3), k=4, sorted=True)
    g(input=g.rand(2, 2, 4, dtype=np.float64), k=2, sorted=True)
    g(input=g.rand(2, 4), k=0, sorted=True)
    g(input=np.array([1, np.inf, -np.inf, 1, 5], f32), k=5, sorted=True)


@case("NthElement")
def nth(g):
    for n in (0, 2, 4):
        for reverse in (False, True):
            g(input=g.rand(3, 5), n=n, reverse=reverse)
    g(input=g.rand(5, dtype=i32), n=1)


@case("InTopK", "InTopKV2")
def in_top_k(g):
    dtype = i64 if g.name.endswith("V2") else i32
    for k in (1, 2, 3):
        g(predictions=g.rand(4, 5), targets=g.rand(4, dtype=dtype, lo=0, hi=5), k=i64(k) if dtype == i64 else k)
    g(predictions=np.array([[1, 1, 2], [np.nan, 1, 0], [np.inf, 1, 0]], f32), targets=np.array([0, 1, 0], dtype), k=i64(2) if dtype == i64 else 2)


@case("SegmentSum", "SegmentMean", "SegmentProd", "SegmentMax", "SegmentMin")
def segment(g):
    for ids in ([0, 0, 1, 1, 2], [0, 2, 2, 4, 4], [1, 1, 1, 1, 1]):
        g(data=g.rand(5, 3), segment_ids=np.array(ids, i32))
    g(data=g.rand(5, dtype=i32), segment_ids=np.array([0, 1, 1, 3, 3], i64))
    g(data=g.rand(5, 2, 2, dtype=np.float64), segment_ids=np.array([0, 1, 1, 3, 3], i64))


@case("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin")
def unsorted(g):
    g(data=g.rand(5, 3), segment_ids=np.array([2, 0, 2, -1, 0], i32), num_segments=4)
    g(data=g.rand(5, dtype=i32), segment_ids=np.array([2, 0, 2, 3, 0], i64), num_segments=np.int64(4))
    g(data=g.rand(2, 3, 2, dtype=np.float64), segment_ids=np.array([[0, 1, 0], [3, 3, 1]], i32), num_segments=4)
    g(data=g.rand(4, dtype=np.uint8, lo=0), segment_ids=np.array([2, 0, 2, 3], i32), num_segments=5)
    g(data=g.rand(4, dtype=np.float16), segment_ids=np.array([2, 0, 2, 3], i32), num_segments=5)


@case("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN")
def sparse_segment(g):
    g(data=g.rand(6, 3), indices=np.array([0, 5, 2, 2], i32), segment_ids=np.array([0, 0, 2, 2], i32))
    g(data=g.rand(6, dtype=np.float64), indices=np.array([1, 2], i32), segment_ids=np.array([0, 1], i32))


@case("SparseSegmentSumWithNumSegments", "SparseSegmentMeanWithNumSegments", "SparseSegmentSqrtNWithNumSegments")
def sparse_segment_n(g):
    g(data=g.rand(6, 3), indices=np.array([0, 5, 2, 2], i32), segment_ids=np.array([0, 0, 2, 2], i32), num_segments=4)


@case("Bincount")
def bincount(g):
    g(arr=g.rand(3, 4, dtype=i32, lo=0, hi=6), size=5, weights=np.zeros(0, f32))
    g(arr=g.rand(8, dtype=i32, lo=0, hi=6), size=8, weights=g.rand(8))
    g(arr=g.rand(8, dtype=i32, lo=0, hi=6), size=8, weights=g.rand(8, dtype=np.float64))
    g(arr=g.rand(8, dtype=i32, lo=0, hi=6), size=0, weights=np.zeros(0, i32))


@case("DenseBincount")
def dense_bincount(g):
    for binary in (False, True):
        g(input=g.rand(8, dtype=i32, lo=0, hi=6), size=i32(7), weights=np.zeros(0, f32), binary_output=binary)
        g(input=g.rand(2, 5, dtype=i64, lo=0, hi=6), size=i64(4), weights=np.zeros(0, f32), binary_output=binary)
    g(input=g.rand(8, dtype=i32, lo=0, hi=6), size=i32(7), weights=g.rand(8))


@case("HistogramFixedWidth")
def histogram(g):
    g(values=g.rand(20), value_range=np.array([-2, 2], f32), nbins=5)
    g(values=g.rand(4, 5, dtype=np.float64), value_range=np.array([0, 1], np.float64), nbins=3, dtype=tf.int64)
    g(values=g.rand(9, dtype=i32), value_range=np.array([-2, 2], i32), nbins=4)


@case("Bucketize")
def bucketize(g):
    for dtype in (f32, np.float64, i32, i64):
        g(input=g.rand(2, 6, dtype=dtype), boundaries=[-2.0, 0.0, 1.5])


@case("LowerBound", "UpperBound")
def bounds(g):
    rows = np.sort(g.rand(2, 6), axis=1)
    for out in (tf.int32, tf.int64):
        g(sorted_inputs=rows, values=np.concatenate([rows[:, :2], g.rand(2, 3)], 1), out_type=out)


@case("Unique", "UniqueWithCounts")
def unique(g):
    for dtype in (f32, i32, i64, np.uint8, np.float64):
        for out in (tf.int32, tf.int64):
            g(x=g.rand(9, dtype=dtype, lo=0, hi=4).round().astype(dtype) if dtype != bool else None, out_idx=out)
    g(x=np.array([b"b", b"a", b"b"], object))


@case("UniqueV2", "UniqueWithCountsV2")
def unique_v2(g):
    g(x=g.rand(9, dtype=i32, lo=0, hi=4), axis=np.array([], i64))
    for axis in (0, 1):
        g(x=g.rand(6, 2, dtype=i32, lo=0, hi=2) if axis == 0 else g.rand(2, 6, dtype=i32, lo=0, hi=2), axis=np.array([axis], i64))


@case("ListDiff")
def list_diff(g):
    for dtype in (i32, f32, i64):
        for out in (tf.int32, tf.int64):
            g(x=g.rand(9, dtype=dtype, lo=0, hi=6).round().astype(dtype), y=g.rand(3, dtype=dtype, lo=0, hi=6).round().astype(dtype), out_idx=out)
