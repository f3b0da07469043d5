"""Makes frozen graphs of well-known networks, from Keras applications and network_builders.py: random weights of a fixed seed, one input image.
usage: make_networks.py FOLDER [NETWORK ...]; a graph that exists is kept. bench_networks measures them.

Weights are not trained, so batch norms get the statistics of the network's own values on one random image: values then
neither vanish nor explode from layer to layer, and answers of two programs can be compared."""
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np

try:
    import tensorflow as tf
except ImportError:
    tf = None  # who only wants the names

# Name, height and width of the input image; or the shape of a volume.
NETWORKS = {
    "MobileNetV2": 224, "MobileNetV3Small": 224, "MobileNetV3Large": 224, "ResNet50": 224, "DenseNet121": 224,
    "InceptionV3": 299, "NASNetMobile": 224, "EfficientNetV2B0": 224, "ConvNeXtTiny": 224, "RegNetY002": 224,
    "MobileNet": 224, "EfficientNetB0": 224, "ResNet101": 224,
    "ResNet50v15": 224, "UNet": 256, "UNet3D": (32, 64, 64, 1), "DeepLab": 256, "YOLOv8nLike": 640, "ViTTiny": 224, "SwinTiny": 224,  # network_builders.py
}
SEED = 7


def shape(size):
    """Of one image, [size, size, 3], or of one volume."""
    return size if isinstance(size, tuple) else (size, size, 3)


def image(size, seed=SEED):
    """One image as the networks see it, values of about one, in a batch of one."""
    return np.random.default_rng(seed).normal(0, 1, (1, *shape(size))).astype("f4")


def build(name, size):
    tf.keras.utils.set_random_seed(SEED)
    if not hasattr(tf.keras.applications, name):
        import network_builders
        return network_builders.BUILDERS[name](size)
    options = {"weights": None, "input_shape": (size, size, 3), "classifier_activation": None}
    if name in ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0", "ConvNeXtTiny", "RegNetY002"):
        options["include_preprocessing"] = False
    return getattr(tf.keras.applications, name)(**options)


def settle_batch_norms(model, x):
    """Moving statistics of every batch norm become those of x: one pass in training mode that keeps nothing of the old ones."""
    norms = [layer for layer in model.submodules if isinstance(layer, tf.keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(x, training=True)


def freeze(model, size, path):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    call = tf.function(lambda x: model(x, training=False))
    concrete = call.get_concrete_function(tf.TensorSpec((1, *shape(size)), tf.float32, name="image"))
    graph = convert_variables_to_constants_v2(concrete, lower_control_flow=True).graph.as_graph_def()
    partial = path.with_suffix(".part")
    partial.write_bytes(graph.SerializeToString())
    partial.rename(path)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NETWORKS:
        if name not in NETWORKS:
            sys.exit(f"make_networks: error: unknown network {name}; known: {', '.join(NETWORKS)}")
        path = folder / f"{name}.pb"
        if path.exists():
            continue
        size = NETWORKS[name]
        model = build(name, size)
        settle_batch_norms(model, image(size))
        freeze(model, size, path)
        print(f"{path}: {path.stat().st_size >> 20} MiB", flush=True)
        tf.keras.backend.clear_session()


if __name__ == "__main__":
    main()
