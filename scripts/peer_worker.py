"""One peer in a process and an environment of its own, at the command of bench_peers: a line of JSON in, a line of JSON out.

{"op": "load", "id", "file", "streams", "threads", "precision", "input", "heads"}   -> {}
{"op": "heads", "id", "images": [.npy], "out": .npz}                                        -> {}
{"op": "measure", "id", "image": .npy, "seconds"}                                           -> {"ms", "cpu_ms": per image}
An "error" in the answer says why not. Usage: peer_worker.py openvino | onnxruntime | tensorflow | tflite
"""
import concurrent.futures
import json
import os
import sys
import time

import numpy as np


def in_turn(runs, seconds):
    """ms per image of several runners at work at once, each a function without arguments."""
    def repeat(run, start):
        n = 0
        while time.perf_counter() - start < seconds:
            run()
            n += 1
        return n / (time.perf_counter() - start)
    with concurrent.futures.ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(lambda run: run(), runs))
        start = time.perf_counter()
        return 1000 / sum(pool.map(lambda run: repeat(run, start), runs))


class OpenVino:
    def __init__(self, job):
        import openvino as ov
        self.ov, self.streams = ov, job["streams"]
        self.net = ov.Core().compile_model(job["file"], "CPU", {
            "PERFORMANCE_HINT": "LATENCY" if job["streams"] == 1 else "THROUGHPUT", "INFERENCE_NUM_THREADS": job["streams"] * job["threads"],
            "INFERENCE_PRECISION_HINT": job["precision"], "NUM_STREAMS": job["streams"]})

    def heads(self, image):
        return [np.array(head) for head in self.net({0: image}).values()]

    def measure(self, image, seconds):
        queue = self.ov.AsyncInferQueue(self.net, self.streams)
        for _ in range(self.streams):
            queue.start_async({0: image})
        queue.wait_all()
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            queue.start_async({0: image})
            n += 1
        queue.wait_all()
        return (time.perf_counter() - start) / n * 1000


class OnnxRuntime:
    def __init__(self, job):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = job["threads"]
        # Threads that wait must not take time from whoever is measured next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.nets = [ort.InferenceSession(job["file"], options, providers=["CPUExecutionProvider"]) for _ in range(job["streams"])]
        self.input, self.names = job["input"] + ":0", [h + ":0" for h in job["heads"]]

    def heads(self, image):
        return self.nets[0].run(self.names, {self.input: image})

    def measure(self, image, seconds):
        return in_turn([lambda net=net: net.run(self.names, {self.input: image}) for net in self.nets], seconds)


class TensorFlow:
    def __init__(self, job):
        import tensorflow as tf
        tf = tf.compat.v1
        graph = tf.GraphDef()
        with open(job["file"], "rb") as file:
            graph.ParseFromString(file.read())
        config = tf.ConfigProto(intra_op_parallelism_threads=job["threads"], inter_op_parallelism_threads=1, use_per_session_threads=True)
        self.sessions = []
        for _ in range(job["streams"]):
            with tf.Graph().as_default() as g:
                tf.import_graph_def(graph, name="")
                session = tf.Session(graph=g, config=config)
                self.sessions.append(session.make_callable([h + ":0" for h in job["heads"]], feed_list=[job["input"] + ":0"]))

    def heads(self, image):
        return self.sessions[0](image)

    def measure(self, image, seconds):
        return in_turn([lambda session=session: session(image) for session in self.sessions], seconds)


class TfLite:
    def __init__(self, job):
        import tensorflow as tf
        self.nets = [tf.lite.Interpreter(job["file"], num_threads=job["threads"]) for _ in range(job["streams"])]
        for net in self.nets:
            net.allocate_tensors()
        self.input = self.nets[0].get_input_details()[0]["index"]

    def heads(self, image):
        net = self.nets[0]
        net.set_tensor(self.input, image)
        net.invoke()
        return [net.get_tensor(o["index"]) for o in net.get_output_details()]

    def measure(self, image, seconds):
        for net in self.nets:
            net.set_tensor(net.get_input_details()[0]["index"], image)
        return in_turn([net.invoke for net in self.nets], seconds)


FAMILIES = {"openvino": OpenVino, "onnxruntime": OnnxRuntime, "tensorflow": TensorFlow, "tflite": TfLite}


def convert_tflite(job):
    """The frozen graph for TensorFlow Lite; with images its 8-bit form."""
    import tensorflow as tf
    converter = tf.compat.v1.lite.TFLiteConverter.from_frozen_graph(job["graph"], [job["input"]], job["heads"], {job["input"]: job["shape"]})
    if job["images"]:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([np.load(file)] for file in job["images"])
    data = converter.convert()
    with open(job["out"], "wb") as file:
        file.write(data)


def describe(graph_file):
    """Inputs of a frozen graph, {name: [type, shape with -1]}, and the names of nodes that nothing reads."""
    import tensorflow as tf
    definition = tf.compat.v1.GraphDef()
    with open(graph_file, "rb") as file:
        definition.ParseFromString(file.read())
    read = {i.split(":")[0].lstrip("^") for n in definition.node for i in n.input}
    inputs = {n.name: [tf.as_dtype(n.attr["dtype"].type).name, [d.size for d in n.attr["shape"].shape.dim]]
              for n in definition.node if n.op == "Placeholder"}
    skip = ("NoOp", "Const", "Placeholder", "Assert")
    return {"inputs": inputs, "outputs": sorted(n.name for n in definition.node if n.name not in read and n.op not in skip)}


def serve(family, answers):
    nets = {}

    def answer(job):
        if job["op"] == "load":
            nets[job["id"]] = FAMILIES[family](job)
            return {}
        net = nets[job["id"]]
        if job["op"] == "heads":
            groups = [net.heads(np.load(file)) for file in job["images"]]
            np.savez(job["out"], **{f"{i}_{j}": np.asarray(h, "f4") for i, group in enumerate(groups) for j, h in enumerate(group)})
            return {}
        image, wall, cpu = np.load(job["image"]), time.perf_counter(), time.process_time()
        ms = net.measure(image, job["seconds"])
        return {"ms": ms, "cpu_ms": ms * (time.process_time() - cpu) / (time.perf_counter() - wall)}  # of all threads
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as problem:
            reply = {"error": f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}"}
        print(json.dumps(reply), file=answers, flush=True)


def main():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if sys.argv[1] == "convert-tflite":
        with open(sys.argv[2]) as file:
            convert_tflite(json.load(file))
        return
    if sys.argv[1] == "describe":
        print(json.dumps(describe(sys.argv[2])))
        return
    # Libraries print to stdout; the answers keep their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], answers)


if __name__ == "__main__":
    main()
