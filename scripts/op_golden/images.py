import numpy as np
import tensorflow as tf

from op_golden.recorder import case

i32, i64, f32 = np.int32, np.int64, np.float32


@case("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea")
def resize(g):
    for (h, w), size in (((4, 5), (8, 10)), ((7, 6), (3, 4)), ((5, 5), (7, 3)), ((1, 4), (3, 1)), ((3, 3), (3, 3)), ((4, 4), (1, 1))):
        for corners, half in ((False, False), (True, False), (False, True)):
            if g.name == "ResizeArea":
                if not half:
                    g(images=g.rand(2, h, w, 3), size=list(size), align_corners=corners)
            else:
                g(images=g.rand(2, h, w, 3), size=list(size), align_corners=corners, half_pixel_centers=half)
    for dtype in (np.uint8, i32, np.float64, np.float16):
        g(images=g.rand(1, 4, 5, 2, dtype=dtype, lo=0, hi=200), size=[6, 3])


@case("CropAndResize")
def crop(g):
    boxes = np.array([[0, 0, 1, 1], [.2, .1, .7, .9], [-.3, .2, 1.2, .8], [.9, .9, .1, .2], [.5, .5, .5, .5]], f32)
    for method in ("bilinear", "nearest"):
        for size in ([3, 4], [1, 1]):
            g(image=g.rand(2, 6, 7, 2), boxes=boxes, box_ind=np.array([0, 1, 0, 1, 1], i32), crop_size=size, method=method, extrapolation_value=.5)
    g(image=g.rand(1, 4, 5, 1, dtype=np.uint8, lo=0, hi=200), boxes=boxes[:2], box_ind=np.zeros(2, i32), crop_size=[2, 3])
    # Boxes that end at the edge: rounding decides whether the last point lies inside.
    edge = np.stack([g.rand(40, lo=0, hi=.9), g.rand(40, lo=0, hi=.9), np.ones(40, f32), np.ones(40, f32)], 1).astype(f32)
    g(image=g.rand(1, 38, 50, 1, lo=1, hi=2), boxes=edge, box_ind=np.zeros(40, i32), crop_size=[14, 14])


def some_boxes(g, n):
    corner = g.rand(n, 2, lo=0, hi=.7)
    return np.concatenate([corner, corner + g.rand(n, 2, lo=.1, hi=.4)], 1).astype(f32)


@case("NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5")
def nms(g):
    for n, most, threshold in ((12, 5, .3), (20, 20, .5), (6, 3, .0), (0, 3, .5)):
        call = dict(boxes=some_boxes(g, n), scores=g.rand(n, lo=0, hi=1), max_output_size=most)
        if g.name == "NonMaxSuppression":
            g(**call, iou_threshold=threshold)
            continue
        call["iou_threshold"] = threshold
        if g.name == "NonMaxSuppressionV2":
            g(**call)
            continue
        for score in (.0, .4):
            call["score_threshold"] = score
            if g.name == "NonMaxSuppressionV3":
                g(**call)
            elif g.name == "NonMaxSuppressionV4":
                for padded in (False, True):
                    g(**call, pad_to_max_output_size=padded)
            else:
                for sigma in (.0, .5):
                    g(**call, soft_nms_sigma=sigma, pad_to_max_output_size=False)
    if g.name == "NonMaxSuppressionV3":
        flipped = some_boxes(g, 5)[:, [2, 3, 0, 1]]
        g(boxes=flipped, scores=g.rand(5, lo=0, hi=1), max_output_size=4, iou_threshold=.2, score_threshold=-1e9)


@case("NonMaxSuppressionWithOverlaps")
def nms_overlaps(g):
    for n, most, threshold in ((8, 5, .3), (10, 10, .5)):
        g(overlaps=g.rand(n, n, lo=0, hi=1), scores=g.rand(n, lo=0, hi=1), max_output_size=most, overlap_threshold=threshold, score_threshold=.1)


@case("CombinedNonMaxSuppression")
def combined_nms(g):
    for shared in (True, False):
        for pad in (False, True):
            for clip in (False, True):
                boxes = np.stack([np.stack([some_boxes(g, 10) for _ in range(1 if shared else 3)], 1) for _ in range(2)])
                g(boxes=boxes * f32(1.3) - f32(.1), scores=g.rand(2, 10, 3, lo=0, hi=1), max_output_size_per_class=4, max_total_size=7, iou_threshold=.3, score_threshold=.2,
                  pad_per_class=pad, clip_boxes=clip)


@case("AdjustContrastv2")
def contrast(g):
    for shape in ((5, 6, 3), (2, 4, 4, 1), (2, 0, 4, 3)):
        g(images=g.rand(*shape, lo=0, hi=1), contrast_factor=f32(1.7))
    g(images=g.rand(4, 4, 2, dtype=np.float16, lo=0, hi=1), contrast_factor=f32(.5))


@case("AdjustHue", "AdjustSaturation")
def adjust(g):
    key = "delta" if g.name == "AdjustHue" else "scale"
    for value in (0, .3, -.4, 1.8):
        g(images=g.rand(3, 4, 3, lo=0, hi=1), **{key: f32(value)})
    g(images=g.rand(2, 2, 2, 3, lo=0, hi=1), **{key: f32(.7)})
    g(images=np.array([[[0, 0, 0], [1, 1, 1], [.5, .5, .5], [1, 0, 0]]], f32), **{key: f32(.3)})


@case("RGBToHSV", "HSVToRGB")
def colour(g):
    for dtype in (f32, np.float64):
        g(images=g.rand(3, 4, 3, dtype=dtype, lo=0, hi=1))
    g(images=np.array([[0, 0, 0], [1, 1, 1], [.5, .5, .5], [1, 0, 0], [0, 1, 1], [1, 0, 1]], f32))


@case("SpaceToDepth", "DepthToSpace")
def depth_space(g):
    for b in (2, 3):
        for dtype in (f32, i32):
            g(input=g.rand(*((2, 2 * b, b, 2) if g.name == "SpaceToDepth" else (2, 2, 1, 2 * b * b)), dtype=dtype), block_size=b)


@case("SpaceToBatch", "BatchToSpace")
def space_batch(g):
    if g.name == "SpaceToBatch":
        g(input=g.rand(1, 4, 3, 2), paddings=[[0, 0], [1, 0]], block_size=2)
    else:
        g(input=g.rand(8, 2, 3, 2), crops=[[1, 0], [0, 2]], block_size=2)


@case("SpaceToBatchND", "BatchToSpaceND")
def space_batch_nd(g):
    if g.name == "SpaceToBatchND":
        g(input=g.rand(2, 5, 4, 2), block_shape=[3, 2], paddings=[[1, 0], [0, 2]])
        g(input=g.rand(2, 5), block_shape=np.array([2], i64), paddings=np.array([[1, 0]], i64))
        g(input=g.rand(1, 2, 4, 2, 2, dtype=i32), block_shape=[1, 2, 2], paddings=[[0, 0], [0, 0], [1, 1]])
    else:
        g(input=g.rand(12, 2, 3, 2), block_shape=[3, 2], crops=[[1, 0], [0, 2]])
        g(input=g.rand(4, 3), block_shape=np.array([2], i64), crops=np.array([[1, 0]], i64))
