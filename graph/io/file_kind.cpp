#include "graph/io/file_kind.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <vector>

#include "core/ascii.h"
#include "core/stray_text.h"
#include "graph/io/byte_cursor.h"

namespace cytodet::graph {
namespace {

constexpr const char* kExport = "export the network to a frozen TensorFlow graph (.pb)";

bool starts(std::string_view bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() && bytes.substr(at, magic.size()) == magic;
}

std::string_view without_blanks(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const size_t at = text.find_first_not_of(" \t\r\n");
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

// No control characters but blanks in its first bytes. A GraphDef may begin as JSON does, with a line feed and a length that is a
// brace, but has the key of a node's op soon, which is one.
bool is_text(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 512);
  return std::all_of(head.begin(), head.end(), [](unsigned char c) { return c >= ' ' || (c >= '\t' && c <= '\r'); });
}

bool holds(std::string_view bytes, std::string_view part, size_t within = 64 << 10) {
  return bytes.substr(0, within).find(part) != std::string_view::npos;
}

// The fields of a protobuf message's top level, number and wire type of each: at most `max`, and those before the first byte that
// is none.
struct Field {
  uint64_t number;
  int wire;
};
std::vector<Field> top_fields(std::string_view bytes, size_t max = 4096) {
  std::vector<Field> fields;
  ByteCursor cursor(bytes);
  while (!cursor.done() && fields.size() < max) {
    uint64_t key = 0, value = 0, length = 0;
    if (!cursor.varint(key) || key >> 3 == 0) break;
    const Field f{key >> 3, static_cast<int>(key & 7)};
    if (f.wire == 3 || f.wire == 4 || f.wire > 5) break;
    if (f.wire == 0 && !cursor.varint(value)) break;
    if (f.wire == 2 && !cursor.varint(length)) break;
    if (f.wire == 1) length = 8;
    if (f.wire == 5) length = 4;
    fields.push_back(f);
    if (!cursor.skip(length)) break;
  }
  return fields;
}

bool any(const std::vector<Field>& fields, uint64_t number, int wire) {
  return std::any_of(fields.begin(), fields.end(), [&](Field f) { return f.number == number && f.wire == wire; });
}

// TensorFlow's SavedModel begins with a schema version (field 1, a number) and its meta graphs (field 2); ONNX with a version
// too, and holds a graph (7) and operator sets (8). A GraphDef's field 1 is its nodes; a meta graph has fields 1 and 2 as well,
// and a saver in field 3, where a GraphDef has a number.
std::optional<FileKind> protobuf_kind(std::string_view bytes, const std::string& extension) {
  const std::vector<Field> fields = top_fields(bytes);
  if (fields.empty()) return std::nullopt;
  if (any(fields, 1, 0)) {
    if (any(fields, 7, 2) || extension == ".onnx") return FileKind{"an ONNX model", kExport, ReadableKind::onnx};
    if (any(fields, 2, 2))
      return FileKind{"a SavedModel, with its variables beside it", kFreezeAdvice, ReadableKind::saved_model};
  }
  if (any(fields, 1, 2) && any(fields, 2, 2) && (any(fields, 3, 2) || extension == ".meta"))
    return FileKind{"a meta graph of a checkpoint (.meta): its variables lie in other files", kFreezeAdvice,
                    ReadableKind::meta_graph};
  if (any(fields, 1, 2) && any(fields, 100, 2)) return FileKind{"a Caffe network", kExport};
  return std::nullopt;
}

std::optional<FileKind> zip_kind(std::string_view bytes, std::string_view tail, const std::string& extension) {
  auto names = [&](std::string_view part) { return holds(bytes, part) || holds(tail, part); };
  if (extension == ".keras" || names("model.weights.h5"))
    return FileKind{"a Keras model (.keras)", "load it in Keras, then freeze its function to a GraphDef"};
  if (names("data.pkl") || extension == ".pt" || extension == ".pth") return FileKind{"a PyTorch model", kExport};
  if (names("saved_model.pb")) return FileKind{"a zipped SavedModel", kFreezeAdvice};
  return FileKind{"a zip archive", "unpack it and name the graph in it"};
}

std::optional<FileKind> text_kind(std::string_view bytes, const std::string& extension) {
  const std::string_view text = without_blanks(bytes);
  const std::string head = lower_ascii(text.substr(0, 512));
  if (const std::optional<StrayText> stray = stray_text(bytes)) return FileKind{stray->name, stray->advice};
  if (head.starts_with("<?xml") || head.starts_with("<net"))
    return head.find("<net") != std::string::npos || extension == ".xml" ? FileKind{"XML, as OpenVINO's networks are", kExport}
                                                                         : FileKind{"XML", kExport};
  if (text.starts_with("saved_model_schema_version:") || text.starts_with("meta_graphs {"))
    return FileKind{"a SavedModel, with its variables beside it", kFreezeAdvice, ReadableKind::saved_model};
  if (text.starts_with("meta_info_def {"))
    return FileKind{"a meta graph of a checkpoint: its variables lie in other files", kFreezeAdvice, ReadableKind::meta_graph};
  if (head.starts_with("model_checkpoint_path:"))
    return FileKind{"the list of a folder's checkpoints", kFreezeAdvice, ReadableKind::checkpoint};
  if ((text.starts_with("{") || text.starts_with("[")) && is_text(text))
    return FileKind{"JSON", "name the graph (.pb or .pbtxt); a model file is a .json with the graph's name in \"graph\""};
  return std::nullopt;
}

struct Magic {
  size_t at;
  std::string_view bytes;
  const char *name, *advice;
  ReadableKind readable = ReadableKind::none;
};
const Magic kMagics[] = {
    {0, "\x89HDF\r\n\x1a\n", "HDF5, as Keras saves models and weights (.h5)",
     "load it in Keras, then freeze its function to a GraphDef"},
    {4, "TFL3", "a TensorFlow Lite model", kExport, ReadableKind::tflite},
    {0, "\x89PNG\r\n", "a PNG image", "name a frozen graph"},
    {0, "\xff\xd8\xff", "a JPEG image", "name a frozen graph"},
    {0, std::string_view("II*\0", 4), "a TIFF image", "name a frozen graph"},
    {0, std::string_view("MM\0*", 4), "a TIFF image", "name a frozen graph"},
    {0, "\x93NUMPY", "a NumPy array", "name a frozen graph"},
    {0, "\x80\x02", "a Python pickle, as old PyTorch models are", kExport},
    {0, "\x80\x03", "a Python pickle", kExport},
    {0, "\x80\x04", "a Python pickle", kExport},
    {0, "\x80\x05", "a Python pickle", kExport},
    {0, "\x1f\x8b", "gzip-compressed", "unpack it first"},
    {0, "BZh", "bzip2-compressed", "unpack it first"},
    {0,
     std::string_view("\xfd"
                      "7zXZ\0",
                      6),
     "xz-compressed", "unpack it first"},
    {0, "\x28\xb5\x2f\xfd", "Zstandard-compressed", "unpack it first"},
    {0, "7z\xbc\xaf", "a 7-Zip archive", "unpack it and name the graph in it"},
    {257, "ustar", "a tar archive", "unpack it and name the graph in it"},
    {0,
     "\x7f"
     "ELF",
     "a program or shared library", "name a frozen graph"},
};

// The table format of checkpoints ends in a footer of 48 bytes with a number of its own.
bool is_table(std::string_view tail) { return tail.size() >= 48 && tail.ends_with("\x57\xfb\x80\x8b\x24\x75\x47\xdb"); }

std::optional<FileKind> kind_by_name(const std::filesystem::path& path, const std::string& extension) {
  const std::string name = path.filename().string();
  if (name.find(".data-") != std::string::npos && name.find("-of-") != std::string::npos)
    return FileKind{"the values of a checkpoint's variables", kFreezeAdvice, ReadableKind::checkpoint};
  if (extension == ".pt" || extension == ".pth") return FileKind{"a PyTorch model", kExport};
  if (extension == ".prototxt" || extension == ".caffemodel") return FileKind{"a Caffe network", kExport};
  if (extension == ".weights" || extension == ".cfg") return FileKind{"a Darknet network", kExport};
  if (extension == ".mlmodel") return FileKind{"a Core ML network", kExport};
  if (extension == ".engine" || extension == ".plan") return FileKind{"a TensorRT engine, made for one graphics card", kExport};
  return std::nullopt;
}

// The first 64 KiB of a file, and its last 48 bytes, where it is longer than both.
struct FileEnds {
  std::string head, tail;
};
FileEnds ends_of(const std::filesystem::path& path) {
  constexpr std::streamsize kHead = 64 << 10, kTail = 48;
  std::ifstream in(path, std::ios::binary);
  FileEnds ends{std::string(kHead, '\0'), {}};
  in.read(ends.head.data(), kHead);
  ends.head.resize(static_cast<size_t>(in.gcount()));
  if (in.gcount() < kHead) return ends;
  in.clear();
  ends.tail.resize(kTail);
  in.seekg(-kTail, std::ios::end);
  in.read(ends.tail.data(), kTail);
  return ends;
}

}  // namespace

std::optional<FileKind> other_kind(std::string_view bytes, const std::filesystem::path& path, std::string_view tail) {
  const std::string extension = lower_ascii(path.extension().string());
  if (tail.empty()) tail = bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 64 << 10));
  if (is_table(tail)) return FileKind{"the index of a checkpoint's variables (.index)", kFreezeAdvice, ReadableKind::checkpoint};
  for (const Magic& m : kMagics)
    if (starts(bytes, m.bytes, m.at)) return FileKind{m.name, m.advice, m.readable};
  if (starts(bytes, "PK\x03\x04")) return zip_kind(bytes, tail, extension);
  if (extension == ".tflite" && bytes.size() < 8)
    return FileKind{"a TensorFlow Lite model", kExport, ReadableKind::tflite};  // cut off
  if (const auto kind = text_kind(bytes, extension)) return kind;
  if (const auto kind = protobuf_kind(bytes, extension)) return kind;
  return kind_by_name(path, extension);
}

std::optional<FileKind> folder_kind(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) return std::nullopt;
  for (const char* name : {"saved_model.pb", "saved_model.pbtxt"})
    if (fs::exists(folder / name, ignored))
      return FileKind{"the folder of a SavedModel", kFreezeAdvice, ReadableKind::saved_model};
  if (fs::exists(folder / "checkpoint", ignored))
    return FileKind{"a folder of checkpoints", kFreezeAdvice, ReadableKind::checkpoint};
  if (lower_ascii(folder.extension().string()) == ".mlpackage") return FileKind{"a Core ML network", kExport};
  return std::nullopt;
}

std::optional<FileKind> kind_at(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return folder_kind(path);
  if (std::filesystem::is_regular_file(path, ignored)) {
    const FileEnds ends = ends_of(path);
    return other_kind(ends.head, path, ends.tail);
  }
  if (std::filesystem::is_regular_file(path.string() + ".index", ignored))
    return FileKind{"a checkpoint", kFreezeAdvice, ReadableKind::checkpoint};
  return std::nullopt;
}

}  // namespace cytodet::graph
