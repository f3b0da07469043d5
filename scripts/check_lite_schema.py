"""Compares graph/io/tflite/lite_model.fbs with TensorFlow Lite's own schema, as its Python classes have it: numbers of enumerations,
slots, types and defaults of fields. check_lite_schema.py FILE.fbs, with the python of `scripts/oracle_env tensorflow`."""
import inspect
import re
import sys

from tensorflow.lite.python import schema_py_generated as theirs

SOURCE = inspect.getsource(theirs)
SCALARS = {"Int8": "byte", "Uint8": "ubyte", "Int32": "int", "Uint32": "uint", "Int64": "long", "Uint64": "ulong", "Bool": "bool",
           "Float32": "float"}


def camel(name):
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def slots_of(table):
    """{field in camel case: (slot, type, default)}; "" where the type is no scalar."""
    found = re.findall(rf"^def {table}Add(\w+)\(builder, \w+\):\s+builder\.Prepend(\w+)Slot\((\d+), .*?, ([-\w.]+)\)$", SOURCE, re.M)
    return {name: (int(slot), SCALARS.get(kind, ""), float(default)) for name, kind, slot, default in found}


def enum_problems(name, body):
    own = getattr(theirs, name)
    for key, value in re.findall(r"(\w+)\s*=\s*(\d+)", body):
        if getattr(own, key, None) != int(value):
            yield f"{name}.{key} is {getattr(own, key, None)}"


def table_problems(name, body, enums):
    own, place = slots_of(name), 0
    for field, kind, default, marks in re.findall(r"(\w+):(\[?\w+\]?)(?: = (\w+))?(?: \(([^)]*)\))?;", body):
        union = kind == "BuiltinOptions"
        stated = re.search(r"id: (\d+)", marks)
        slot = int(stated.group(1)) if stated else place
        place = slot + 1
        if "deprecated" in marks:
            continue
        got = own.get(camel(field))
        wanted = "" if kind.startswith("[") or union or kind[0].isupper() and kind not in enums or kind == "string" else enums.get(kind, kind)
        value = float({"true": 1, "": 0}.get(default, default))
        if got is None or got[:2] != (slot, wanted) or got[2] != value:
            yield f"{name}.{field}: {(slot, wanted, value)}, theirs {got}"


def main():
    text = re.sub(r"//.*", "", open(sys.argv[1]).read())
    enums = {n: k for n, k in re.findall(r"enum (\w+)\s*:\s*(\w+)", text)}
    wrong, count = [], 0
    for name, body in re.findall(r"enum (\w+)\s*:\s*\w+\s*{([^}]*)}", text) + re.findall(r"union (\w+)\s*{([^}]*)}", text):
        wrong += enum_problems(name, body)
        count += 1
    for name, body in re.findall(r"table (\w+)\s*{([^}]*)}", text):
        wrong += table_problems(name, body, enums)
        count += 1
    for w in wrong:
        print(w)
    print(f"TensorFlow Lite: {count} enumerations and tables, {len(wrong)} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
