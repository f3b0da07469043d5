"""Compares a descriptor set (protoc --descriptor_set_out) with ONNX's descriptors; see check_proto."""
import sys

from google.protobuf import descriptor_pb2
import onnx

Field = descriptor_pb2.FieldDescriptorProto


def fields(messages, prefix=""):
    out = {}
    for m in messages:
        # Enumerations are read as the numbers that they are.
        out[prefix + m.name] = {f.name: (f.number, Field.TYPE_INT32 if f.type == Field.TYPE_ENUM else f.type,
                                         f.label == Field.LABEL_REPEATED, f.type_name.split(".")[-1] if f.type == Field.TYPE_MESSAGE else "")
                                for f in m.field}
        out.update(fields(m.nested_type, prefix + m.name + "."))
    return out


def main():
    ours = fields(descriptor_pb2.FileDescriptorSet.FromString(open(sys.argv[1], "rb").read()).file[0].message_type)
    theirs = descriptor_pb2.FileDescriptorProto()
    onnx.onnx_ml_pb2.DESCRIPTOR.CopyToProto(theirs)
    theirs = fields(theirs.message_type)
    wrong = [f"{m}.{f}: differs" for m in ours for f in ours[m] if theirs.get(m, {}).get(f) != ours[m][f]]
    for w in wrong:
        print(w)
    print(f"ONNX: {len(ours)} messages, {sum(map(len, ours.values()))} fields, {len(wrong)} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
