"""Compares a descriptor set (protoc --descriptor_set_out) with TensorFlow's descriptors; see check_proto."""
import sys

from google.protobuf import descriptor_pb2
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2, tensor_bundle_pb2, trackable_object_graph_pb2
from tensorflow.python.training import checkpoint_state_pb2

WHOLE = "graph_def.proto"  # its messages have all fields
OURS, THEIRS = ".cytodet.proto.", ".tensorflow."


def fields(message):
    # The old and the new proto3 compilers differ in names given to options only; numbers, types and labels are the wire form.
    return {f.name: (f.number, f.type, f.label, f.type_name.replace(OURS, THEIRS), len(message.oneof_decl) and f.HasField("oneof_index") and message.oneof_decl[f.oneof_index].name)
            for f in message.field}


def flatten(messages, enums, prefix, out):
    for m in messages:
        out[prefix + m.name] = fields(m)
        flatten(m.nested_type, m.enum_type, prefix + m.name + ".", out)
    for e in enums:
        out[prefix + e.name] = {v.name: v.number for v in e.value}


def theirs():
    out, seen = {}, set()

    def walk(file):
        if file.name in seen:
            return
        seen.add(file.name)
        p = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(p)
        flatten(p.message_type, p.enum_type, "", out)
        for d in file.dependencies:
            walk(d)

    for root in (graph_pb2, example_pb2, saved_model_pb2, tensor_bundle_pb2, trackable_object_graph_pb2, checkpoint_state_pb2):
        walk(root.DESCRIPTOR)
    return out


def main():
    files = descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[1], "rb").read())
    ours, whole, tf = {}, {}, theirs()
    for f in files.file:
        flatten(f.message_type, f.enum_type, "", ours)
        if f.name == WHOLE:
            flatten(f.message_type, f.enum_type, "", whole)
    wrong = [f"{name}: unknown to TensorFlow" for name in ours if name not in tf]
    wrong += [f"{name}.{field}: differs" for name in ours if name in tf for field in ours[name]
              if ours[name][field] != tf[name].get(field)]
    wrong += [f"{name}.{field}: is missing" for name in whole if name in tf for field in tf[name] if field not in whole[name]]
    for w in wrong:
        print(w)
    print(f"{len(ours)} messages and enums, {sum(map(len, ours.values()))} fields and values, {len(wrong)} differ")
    return 1 if wrong else 0


sys.exit(main())
