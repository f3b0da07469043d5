"""python -m cytodet.retrain: the options of AMCT's resnet-50_v1_retrain.py, on any network that the program reads."""
import argparse
import json
import os
import shutil
import sys
import tempfile
from typing import Any, Optional, Sequence

from cytodet import program, retrain as retraining


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        print(f"cytodet: error: {message}", file=sys.stderr)
        sys.exit(2)


class Refused(ValueError):
    """Something is asked for that cannot be: exit code 2."""


def _parser() -> argparse.ArgumentParser:
    p = _Parser(prog="python -m cytodet.retrain", description="Quantizes a network, retrains it, and writes it in INT8.",
                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    a = p.add_argument
    a("--config_defination", help="configuration of AMCT's retraining (.cfg); without one, 8-bit weights, all layers")
    a("--batch_num", type=int, default=2, help="batches to calibrate on, at least")
    a("--train_set", required=True, help="images to train on: folder of classes, table, TFRecords; of a detector, of images")
    a("--train_keyword", help="only files of the training set whose names have this in them")
    a("--eval_set", required=True, help="images to evaluate on")
    a("--eval_keyword", help="only files of the evaluation set whose names have this in them")
    a("--num_parallel_reads", type=int, default=4, help="threads that read")
    a("--buffer_size", type=int, default=1000, help="feeds that the next is drawn from")
    a("--repeat_count", type=int, default=0, help="rounds over the training set; 0: without end")
    a("--batch_size", type=int, default=32)
    a("--train_model", help="not needed: the network that is evaluated is trained, with batch norms folded")
    a("--eval_model", required=True, help="model file (.json), graph with one beside it, or .meta with --ckpt and --model_file")
    a("--ckpt", help="checkpoint of a .meta")
    a("--learning_rate", type=float, default=1e-4, help="in units of each constant's root mean square")
    a("--save_interval", type=int, default=500)
    a("--momentum", type=float, default=0.9)
    a("--train_iter", type=int, default=100)
    own = p.add_argument_group("options of its own")
    a = own.add_argument
    a("--model_file", help="of a .meta: model file of a like network, which says how images are read")
    a("--loss", default="distillation", choices=sorted(retraining.LOSSES))
    a("--learn", default="weights,biases,ranges", help="what is trained")
    a("--weight_decay", type=float, default=0.0)
    a("--weight-bits", type=int, choices=(4, 8), help="of dense filters, instead of what the configuration says")
    a("--rounding", choices=("gptq", "nearest"), help="of the weights that training starts from; default gptq")
    a("--truth", help="of a detector: COCO ground truth of the training set, for --loss detection")
    a("--eval_truth", help="of a detector: COCO ground truth of the evaluation set")
    a("--held_back", type=int, default=4, help="feeds to measure on")
    a("--max_feeds", type=int, default=2000, help="images of the training set that are used, evenly chosen")
    a("--seed", type=int, default=1)
    a("--threads", type=int, default=0)
    a("-o", "--out", default="outputs/retrain", help="folder of the results, new or of an earlier run, which is gone on with")
    return p


# ------------------------------------------------------------------------------------------------ AMCT's configuration

_SCHEMA = {
    "Clip": {"clip_max": "float", "clip_min": "float"},
    "Ulq": {"clip_max_min": "Clip", "fixed_min": "bool", "dst_type": "string_or_enum"},
    "DataConfig": {"ulq_quantize": "Ulq"},
    "Arq": {"channel_wise": "bool", "dst_type": "string_or_enum"},
    "WeightConfig": {"arq_retrain": "Arq", "ulq_retrain": "Arq"},
    "LayerConfig": {"layer_name": "string", "retrain_data_quant_config": "DataConfig", "retrain_weight_quant_config": "WeightConfig"},
    "AMCTRetrainConfig": {"batch_num": "uint32", "retrain_data_quant_config": "DataConfig",
                          "retrain_weight_quant_config": "WeightConfig", "skip_layers": "string*", "skip_layer_types": "string*",
                          "override_layer_configs": "LayerConfig*"},
}


def _config_message() -> Any:
    """An empty AMCTRetrainConfig of protobuf, by the schema above."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    file = descriptor_pb2.FileDescriptorProto(name="cytodet_retrain.proto", package="cytodet_retrain", syntax="proto2")
    file.enum_type.add(name="DataType").value.extend(
        [descriptor_pb2.EnumValueDescriptorProto(name="INT8", number=0), descriptor_pb2.EnumValueDescriptorProto(name="INT4", number=1)])
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {"float": kinds.TYPE_FLOAT, "bool": kinds.TYPE_BOOL, "uint32": kinds.TYPE_UINT32, "string": kinds.TYPE_STRING}
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for number, (key, kind) in enumerate(fields.items(), 1):
            field = message.field.add(name=key, number=number, label=kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL)
            kind = kind.rstrip("*")
            if kind in scalars:
                field.type = scalars[kind]
            elif kind == "string_or_enum":
                field.type, field.type_name = kinds.TYPE_ENUM, ".cytodet_retrain.DataType"
            else:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".cytodet_retrain.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cytodet_retrain.AMCTRetrainConfig"))()


def words_of_config(path: str) -> tuple[list[str], Optional[int], list[str]]:
    """(options of `cytodet quantize`, batch_num, what is not followed) of a configuration."""
    from google.protobuf import text_format
    config = _config_message()
    try:
        with open(path, encoding="utf-8") as file:
            text_format.Merge(file.read(), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        line = getattr(error, "GetLine", lambda: None)()
        said = str(error).replace("cytodet_retrain.", "").rpartition(" : ")[2].replace("\n", " ")
        raise RuntimeError(f"{path}: {'line %d: ' % line if line else ''}{said}") from None
    notes = []

    def bits(where: str, message: Any) -> int:
        data = message.retrain_data_quant_config.ulq_quantize
        if data.dst_type == 1:
            raise RuntimeError(f"{path}: {where}: retrain_data_quant_config asks for INT4, and what layers read has 8 bits here")
        if data.HasField("clip_max_min"):
            notes.append(f"clip_max_min of {where}: ranges start from calibration")
        w = message.retrain_weight_quant_config
        return 4 if w.arq_retrain.dst_type == 1 or w.ulq_retrain.dst_type == 1 else 8

    common = bits("the configuration", config)
    words = ["--weight-bits", str(common)]
    eight = []
    for layer in config.override_layer_configs:
        own = bits(layer.layer_name, layer) if layer.HasField("retrain_weight_quant_config") else common
        if own == 8 and common == 4:
            eight.append(layer.layer_name)
        elif own == 4 and common == 8:
            raise RuntimeError(f"{path}: {layer.layer_name} alone asks for INT4 weights: make INT4 the rule, and name the layers with INT8")
    if eight:
        words += ["--eight-bit-nodes", ",".join(eight)]
    arq = config.retrain_weight_quant_config.arq_retrain
    if arq.HasField("channel_wise") and not arq.channel_wise:
        words.append("--per-tensor")
    if config.skip_layers:
        words += ["--exclude-nodes", ",".join(config.skip_layers)]
    if config.skip_layer_types:
        words += ["--exclude-ops", ",".join(config.skip_layer_types)]
    return words, config.batch_num or None, notes


# ------------------------------------------------------------------------------------------------ the flow

def _program(*words: Any) -> None:
    program.run(*words, printed=False)


def _warn(text: str) -> None:
    print(f"cytodet: warning: {text}", file=sys.stderr)


def _chosen(images: str, keyword: Optional[str], folder: str) -> str:
    """The images, or a folder of links to those files whose names have the keyword."""
    if not os.path.exists(images):
        raise RuntimeError(f"{images}: no such file or folder")
    if not keyword:
        return images
    shutil.rmtree(folder, ignore_errors=True)
    count = 0
    for root, _, names in os.walk(images):
        for name in names:
            if keyword in name:
                target = os.path.join(folder, os.path.relpath(root, images), name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.symlink(os.path.abspath(os.path.join(root, name)), target)
                count += 1
    if not count:
        raise RuntimeError(f"{images}: no file has {keyword!r} in its name")
    return folder


def _claim(folder: str) -> None:
    """The folder is new, empty, or an earlier run's."""
    os.makedirs(folder, exist_ok=True)
    mark = os.path.join(folder, "config.json")
    if not os.listdir(folder):
        return
    try:
        with open(mark, encoding="utf-8") as file:
            if json.load(file).get("made_by") == "cytodet.retrain":
                return
    except (OSError, ValueError, AttributeError):
        pass
    raise Refused(f"{folder}: holds files that no retraining made: name another folder with -o")


def _model_of(o: argparse.Namespace, folder: str) -> str:
    """Path of the model file of the float network."""
    if not o.eval_model.endswith(".meta"):
        path: str = o.eval_model
        beside = os.path.splitext(path)[0] + ".json"
        if not path.endswith(".json") and os.path.exists(beside):
            path = beside
        if not path.endswith(".json"):
            raise Refused(f"{o.eval_model}: has no model file beside it, which says how images are read (docs/model_file.md)")
        return path
    if not o.ckpt or not o.model_file:
        raise Refused("--eval_model: a .meta needs --ckpt, and --model_file, which says how images are read")
    with open(o.model_file, encoding="utf-8") as file:
        model = json.load(file)
    name = os.path.splitext(os.path.basename(o.eval_model))[0]
    outputs = [*model.get("class_logits", []), *model.get("box_deltas", [])] or [model.get("output", "")]
    _program("freeze_graph", "--input_meta_graph", o.eval_model, "--input_checkpoint", o.ckpt, "--output_node_names",
                ",".join(outputs), "--output_graph", os.path.join(folder, f"{name}_origin.pb"))
    model["graph"] = f"{name}_origin.pb"
    path = os.path.join(folder, f"{name}_origin.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(model, file, indent=1)
    return path


def _name_of(o: argparse.Namespace) -> str:
    return str(os.path.splitext(os.path.basename(o.eval_model))[0])


def _with_graph(model: str, graph: str) -> str:
    """A model file beside the graph, as `model` but for it."""
    with open(model, encoding="utf-8") as file:
        made = json.load(file)
    made["graph"] = os.path.basename(graph)
    made.pop("operating_scores", None)
    path = os.path.splitext(graph)[0] + ".json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(made, file, indent=1)
    return path


def accuracy_of(model: str, images: str, truth: Optional[str]) -> dict[str, float]:
    """By the program: of a classification network top 1 and top 5, of a detector AP and AP50."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        _program("evaluate", "--model", model, "--images", images, *(["--truth", truth] if truth else []), "-o", report, "--quiet")
        with open(report, encoding="utf-8") as file:
            found = json.load(file)
    if truth:
        return {"AP": found["stats"]["AP"], "AP50": found["stats"]["AP50"]}
    scores = found["models"][0]
    return {"top 1 accuracy": scores["top1"], "top 5 accuracy": scores["top5"]}


def accuracy_lines(which: str, accuracy: dict[str, float]) -> str:
    return "".join(f"The {which} {name} = {100 * value:.4g}%.\n" for name, value in accuracy.items())


def _run(o: argparse.Namespace) -> int:
    folder = o.out
    if o.train_set == o.eval_set and not o.train_keyword and not o.eval_keyword:
        _warn(f"{o.train_set} is both trained and evaluated on: name a keyword for each")
    if o.train_model and o.train_model != o.eval_model:
        _warn("--train_model is not read: the network of --eval_model is trained, with its batch norms folded")
    for name in ("batch_num", "batch_size", "save_interval", "num_parallel_reads", "max_feeds"):
        if getattr(o, name) < 1:
            raise Refused(f"--{name}: must be at least 1")
    words, batch_num, notes = words_of_config(o.config_defination) if o.config_defination else ([], None, [])
    for note in notes:
        _warn(note)
    if o.weight_bits:
        words = ["--weight-bits", str(o.weight_bits)] + (words[2:] if words else [])
    _claim(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"made_by": "cytodet.retrain", **{k: v for k, v in vars(o).items() if v is not None}}, file, indent=1)
    train_set = _chosen(o.train_set, o.train_keyword, os.path.join(folder, "train_set"))
    eval_set = _chosen(o.eval_set, o.eval_keyword, os.path.join(folder, "eval_set"))
    model, name = _model_of(o, folder), _name_of(o)
    with open(model, encoding="utf-8") as file:
        graph = os.path.join(os.path.dirname(os.path.abspath(model)), json.load(file)["graph"])
    origin = accuracy_of(model, eval_set, o.eval_truth)
    images = max((batch_num or o.batch_num) * o.batch_size, min(o.train_iter * o.batch_size, o.max_feeds)) + o.held_back
    fake, feeds = os.path.join(folder, f"{name}_train.pb"), os.path.join(folder, "feeds")
    shutil.rmtree(feeds, ignore_errors=True)  # of an earlier run, which had other images perhaps
    labels = ["--truth", o.truth] if o.truth else []
    _program("quantize", model, "--images", train_set, "--max-images", images, *words, *labels,
                *(["--rounding", o.rounding] if o.rounding else []), "--fake-quant", "-o", fake, "--dump-feeds", feeds, "--quiet")
    trained = os.path.join(folder, f"{name}.pb")
    report = retraining.retrain(
        fake, trained, feeds, float_graph=graph if o.loss == "distillation" else None, loss=o.loss, learn=o.learn.split(","),
        train_iter=o.train_iter, batch_size=o.batch_size, learning_rate=o.learning_rate, momentum=o.momentum,
        weight_decay=o.weight_decay, save_interval=o.save_interval, held_back=o.held_back, repeat_count=o.repeat_count,
        buffer_size=o.buffer_size, num_parallel_reads=o.num_parallel_reads, checkpoints=folder, checkpoint_name=f"{name}_retrain",
        events=folder, seed=o.seed, threads=o.threads)
    if report.stopped:
        _warn(f"training was stopped: {report.stopped}; the best of its steps, {report.best_step}, is kept")
    _with_graph(model, trained)
    quantized = os.path.join(folder, f"{name}_quantized.pb")
    _program("quantize", os.path.splitext(trained)[0] + ".json", "-o", quantized, "--write-record", os.path.join(folder, "record.txt"),
                "--quiet")
    after = accuracy_of(os.path.splitext(quantized)[0] + ".json", eval_set, o.eval_truth)
    sys.stdout.write(accuracy_lines("origin model", origin) + accuracy_lines("model after retrain", after))
    return 0


def main(words: Optional[Sequence[str]] = None) -> int:
    o = _parser().parse_args(words)
    try:
        return _run(o)
    except (ValueError, RuntimeError, OSError) as error:
        print("cytodet: error: " + " ".join(str(error).split("\n")), file=sys.stderr)
        return 2 if isinstance(error, Refused) else 1
