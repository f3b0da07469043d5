"""Trains the shipped classifier of blood cells on crops of labelled images, and writes its frozen graph and its test data.

usage: $(scripts/oracle_env tensorflow) scripts/train_classifier.py TRAIN_FOLDER [--epochs N]
TRAIN_FOLDER: images and beside it TRAIN_FOLDER.json, their COCO boxes. The crops that are scored are those of tests/data/bccd.

Writes models/classification/blood_cells.pb (float32, variables frozen, batch norms and training leftovers as TensorFlow exports
them), tests/data/cells/val/CLASS/*.jpg (every box of tests/data/bccd), tests/data/cells/calibration/*.jpg (boxes of TRAIN_FOLDER),
tests/data/cells/some.tfrecord, and tests/data/cells/golden.json: TensorFlow's accuracy on val, and its scores of some crops.
"""
import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
CELLS = ROOT / "tests/data/cells"
SIDE, MARGIN, SEED = 64, 1.25, 7
SPARE = 8  # pixels that training crops are larger by, for shifts


def crops(folder, truth, side):
    """(class name, name, uint8 [side, side, 3]) of each box: the square around it, a quarter larger, at the edge mirrored."""
    names = {c["id"]: c["name"] for c in truth["categories"]}
    by_image = {}
    for box in truth["annotations"]:
        by_image.setdefault(box["image_id"], []).append(box)
    for image in sorted(truth["images"], key=lambda i: i["file_name"]):
        pixels = tf.io.decode_jpeg((folder / image["file_name"]).read_bytes(), channels=3).numpy()
        pad = 200
        padded = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
        for number, box in enumerate(by_image.get(image["id"], [])):
            x, y, w, h = box["bbox"]
            half = max(w, h) * MARGIN * side / SIDE / 2
            left, top = int(round(x + w / 2 - half)) + pad, int(round(y + h / 2 - half)) + pad
            length = max(8, int(round(2 * half)))
            cut = padded[max(0, top):top + length, max(0, left):left + length]
            small = tf.image.resize(cut, (side, side), antialias=True).numpy()
            yield names[box["category_id"]], f"{pathlib.Path(image['file_name']).stem}_{number:02d}", np.clip(np.rint(small), 0, 255).astype("u1")


def network(classes):
    keras = tf.keras
    layers = keras.layers

    def conv(x, filters, stride=1, size=3):
        x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal",
                          kernel_regularizer=keras.regularizers.l2(1e-4))(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    def block(x, filters, stride):
        y = layers.ReLU()(conv(x, filters, stride))
        y = conv(y, filters)
        if stride > 1 or x.shape[-1] != filters:
            x = conv(x, filters, stride, 1)
        return layers.ReLU()(layers.Add()([x, y]))

    image = keras.Input((SIDE, SIDE, 3))
    x = layers.ReLU()(conv(image, 16, 2))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        x = block(x, filters, stride)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(classes)(x))


def normalised(x):
    return (tf.cast(x, tf.float32) - 127.5) / 127.5


def augmented(x, label):
    x = tf.image.random_crop(x, (SIDE, SIDE, 3))
    x = tf.image.random_flip_left_right(tf.image.random_flip_up_down(x))
    x = tf.image.rot90(x, tf.random.uniform((), 0, 4, tf.int32))
    x = tf.image.random_saturation(tf.image.random_contrast(tf.image.random_brightness(x, 0.1), 0.8, 1.25), 0.7, 1.3)
    return normalised(x), label


def train(model, x, y, classes, epochs):
    """Every class as often as the others in each epoch."""
    per_class = [tf.data.Dataset.from_tensor_slices((x[y == c], y[y == c])).shuffle(4096, seed=SEED).repeat() for c in range(classes)]
    data = tf.data.Dataset.sample_from_datasets(per_class, [1 / classes] * classes, seed=SEED)
    steps = 40
    data = data.map(augmented, num_parallel_calls=2).batch(64).prefetch(2)
    rate = tf.keras.optimizers.schedules.CosineDecay(3e-3, epochs * steps)
    model.compile(tf.keras.optimizers.Adam(rate), tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True, ), metrics=["accuracy"])
    model.fit(data, epochs=epochs, steps_per_epoch=steps, verbose=2)


def freeze(model, path):
    def call(input):
        return tf.nn.softmax(model(input, training=False), name="predict")
    concrete = tf.function(call).get_concrete_function(tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="input"))
    graph = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return graph


def run(graph, x):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        return np.concatenate([session.run("predict:0", {"input:0": x[i:i + 64]}) for i in range(0, len(x), 64)])


def write_crops(items, folder, by_class):
    """JPEGs of quality 95; returns their paths and what TensorFlow decodes of them."""
    paths, pixels = [], []
    for name, stem, crop in items:
        path = folder / name / f"{stem}.jpg" if by_class else folder / f"{name}_{stem}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_jpeg(crop, quality=95).numpy())
        paths.append(path)
        pixels.append(tf.io.decode_jpeg(path.read_bytes(), channels=3).numpy())
    return paths, np.stack(pixels)


def write_records(paths, labels, target):
    def bytes_feature(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    with tf.io.TFRecordWriter(str(target)) as writer:
        for path, label in zip(paths, labels):
            writer.write(tf.train.Example(features=tf.train.Features(feature={
                "image/encoded": bytes_feature(path.read_bytes()), "image/filename": bytes_feature(path.name.encode()),
                "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))})).SerializeToString())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    tf.keras.utils.set_random_seed(SEED)
    truth = json.loads(options.train.with_suffix(".json").read_text())
    classes = [c["name"] for c in sorted(truth["categories"], key=lambda c: c["id"])]
    large = list(crops(options.train, truth, SIDE + SPARE))
    x = np.stack([c for _, _, c in large])
    y = np.array([classes.index(n) for n, _, _ in large])
    model = network(len(classes))
    print(f"{len(x)} crops, {model.count_params()} parameters", flush=True)
    train(model, x, y, len(classes), options.epochs)
    graph = freeze(model, ROOT / "models/classification/blood_cells.pb")

    bccd = ROOT / "tests/data/bccd"
    val = list(crops(bccd, json.loads((bccd / "val.json").read_text()), SIDE))
    val.sort(key=lambda item: (item[0], item[1]))
    paths, pixels = write_crops(val, CELLS / "val", True)
    labels = np.array([classes.index(n) for n, _, _ in val])
    scores = run(graph, normalised(pixels).numpy())
    exact = list(crops(options.train, truth, SIDE))
    chosen = [exact[i] for c in range(len(classes)) for i in np.flatnonzero(y == c)[:: max(1, int((y == c).sum()) // 20)][:20]]
    write_crops(chosen, CELLS / "calibration", False)
    some = [int(i) for c in range(len(classes)) for i in np.flatnonzero(labels == c)[:4]]
    write_records([paths[i] for i in some], [int(labels[i]) for i in some], CELLS / "some.tfrecord")
    golden = {"classes": classes, "images": len(labels), "top1": float((scores.argmax(1) == labels).mean()),
              "scores": {f"{paths[i].parent.name}/{paths[i].name}": [float(s) for s in scores[i]] for i in some}}
    (CELLS / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(f"val: {golden['top1']:.4f} of {len(labels)} crops, per class",
          [round(float((scores.argmax(1) == labels)[labels == c].mean()), 4) for c in range(len(classes))])


main()
