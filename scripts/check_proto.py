"""Compares a descriptor set (protoc --descriptor_set_out) with TensorFlow's descriptors; see check_proto."""
import sys

from google.protobuf import descriptor_pb2
from tensorflow.core.framework import graph_pb2

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

    walk(graph_pb2.DESCRIPTOR)
    return out


def main():
    files = descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[1], "rb").read())
    ours, tf = {}, theirs()
    for f in files.file:
        flatten(f.message_type, f.enum_type, "", ours)
    wrong = [f"{name}: {'unknown to TensorFlow' if name not in tf else 'differs'}" for name, fields in ours.items() if tf.get(name) != fields]
    for w in wrong:
        print(w)
    print(f"{len(ours)} messages and enums, {sum(map(len, ours.values()))} fields and values, {len(wrong)} differ")
    return 1 if wrong else 0


sys.exit(main())
