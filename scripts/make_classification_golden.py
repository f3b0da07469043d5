"""What TensorFlow makes of images for classification networks: the preprocessing of IntelAI/models, small.

usage: $(scripts/oracle_env tensorflow) scripts/make_classification_golden.py   -> tests/data/classification/
Writes cells.png (a crop of tests/data/bccd), cells.jpg (another, with subsampled colour), for each rule RULE.npy, float32
[32, 32, 3], of cells.png, and fast.npy: cells.jpg as TensorFlow decodes it by the fast transform without fancy upsampling, uint8.
"""
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests/data/classification"
SIDE, SHORT = 32, 40
v1 = tf.compat.v1


def middle(x, down):
    top, left = down(x.shape[0]), down(x.shape[1])
    return x[top:top + SIDE, left:left + SIDE]


def crop(x):
    """ResNet50: the longer side cut off, half-pixel centres, values as they are."""
    h, w = x.shape[:2]
    short = min(h, w)
    size = (SHORT if h == short else int(SHORT * h / short), SHORT if w == short else int(SHORT * w / short))
    return middle(tf.image.resize(x, size).numpy(), lambda side: (side - SIDE) // 2)


def resnet101(x):
    """VGG style: both sides rounded in float32, old sampling, the means of ImageNet off."""
    h, w = (tf.cast(side, tf.float32) for side in x.shape[:2])
    scale = tf.cond(tf.greater(h, w), lambda: SHORT / w, lambda: SHORT / h)
    size = (int(tf.math.rint(h * scale)), int(tf.math.rint(w * scale)))
    resized = v1.image.resize_bilinear(x[None].astype("f4"), size, align_corners=False).numpy()[0]
    return middle(resized, lambda side: int((side - SIDE) / 2)) - np.array((123.68, 116.78, 103.94), "f4")


def mobilenet(x, resize):
    x = tf.image.convert_image_dtype(x, tf.float32)
    x = tf.image.central_crop(x, 0.875)
    return ((resize(x[None])[0] - 0.5) * 2).numpy()


RULES = {
    "resnet50": crop,
    "resnet50v1_5": lambda x: crop(x) - np.array((123.68, 116.78, 103.94), "f4"),
    "resnet101": resnet101,
    "mobilenet_v1": lambda x: mobilenet(x, lambda y: v1.image.resize_bilinear(y, (SIDE, SIDE), align_corners=False)),
    "inceptionv3": lambda x: mobilenet(x, lambda y: tf.image.resize(y, (SIDE, SIDE))),
    "align_corners": lambda x: v1.image.resize_bilinear(x[None].astype("f4"), (SIDE, SIDE), align_corners=True).numpy()[0],
}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    image = tf.io.decode_jpeg((ROOT / "tests/data/bccd/BloodImage_00007.jpg").read_bytes(), channels=3).numpy()
    png = image[100:177, 200:313]  # 113 x 77
    (OUT / "cells.png").write_bytes(tf.io.encode_png(png).numpy())
    for name, rule in RULES.items():
        np.save(OUT / f"{name}.npy", np.asarray(rule(png), "f4"))
    jpeg = tf.io.encode_jpeg(image[300:361, 50:133], quality=80, chroma_downsampling=True).numpy()
    (OUT / "cells.jpg").write_bytes(jpeg)
    np.save(OUT / "fast.npy", tf.io.decode_jpeg(jpeg, channels=3, fancy_upscaling=False, dct_method="INTEGER_FAST").numpy())


main()
