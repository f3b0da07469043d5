"""Makes tests/data/import/yolov8.tflite of yolov8.onnx there: the network as ultralytics writes it for TensorFlow Lite, with boxes
divided by the input's size. usage: make_import_lite.py FOLDER     (environment: scripts/oracle_env onnx_export)"""
import pathlib
import sys

import numpy as np
import onnx
import tensorflow as tf
from onnx import numpy_helper

SIDE = 64


def main():
    folder = pathlib.Path(sys.argv[1])
    graph = onnx.load(str(folder / "yolov8.onnx")).graph
    values = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    known = {graph.input[0].name: tf.keras.Input((SIDE, SIDE, 3), batch_size=1, name="images")}
    image = known[graph.input[0].name]

    def conv(node):
        w = values[node.input[1]].transpose(2, 3, 1, 0)
        stride = next((list(a.ints) for a in node.attribute if a.name == "strides"), [1, 1])
        y = tf.nn.conv2d(known[node.input[0]], tf.constant(w), stride, "VALID")
        return y + values[node.input[2]] if len(node.input) > 2 else y

    def rows(node):  # images are channels last here, so rows of cells need no transposition
        return tf.reshape(known[node.input[0]], [1, values[node.input[1]][2], -1])

    def operand(name):
        return known[name] if name in known else tf.constant(values[name])

    for node in graph.node:
        op, name = node.op_type, node.input[0]
        if op == "Conv":
            y = conv(node)
        elif op == "Reshape":
            y = rows(node)
        elif op == "Transpose":  # only the last one turns rows to columns
            y = tf.transpose(known[name], [0, 2, 1]) if node is graph.node[-2] else known[name]
        elif op == "Concat":
            y = tf.concat([known[i] for i in node.input], node.attribute[0].i)
        elif op == "Split":
            for i, part in zip(node.output, tf.split(known[name], values[node.input[1]].tolist(), axis=2)):
                known[i] = part
            continue
        elif op in ("Add", "Mul"):
            y = {"Add": tf.add, "Mul": tf.multiply}[op](operand(name), operand(node.input[1]))
        else:
            y = {"Relu": tf.nn.relu, "Sigmoid": tf.sigmoid, "Softplus": tf.math.softplus, "Identity": tf.identity}[op](known[name])
        known[node.output[0]] = y
    columns = known[graph.output[0].name]
    shares = columns * tf.constant(np.array([1 / SIDE] * 4 + [1] * (columns.shape[1] - 4), np.float32).reshape(1, -1, 1))
    model = tf.keras.Model(image, shares)
    (folder / "yolov8.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


if __name__ == "__main__":
    main()
