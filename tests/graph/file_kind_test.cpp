// Files that people give as graphs and that are none: each is called what it is.
#include "graph/io/file_kind.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "core/error.h"
#include "graph/io/read_graph.h"
#include "graph/io/tensorflow/graph_def.h"
#include "tests/graph/cases.h"

namespace cytodet::test {
namespace {

std::string field(int number, const std::string& bytes) {
  std::string text;
  const int key = number << 3 | 2;
  if (key >= 128)
    text += static_cast<char>((key & 127) | 128), text += static_cast<char>(key >> 7);
  else
    text += static_cast<char>(key);
  return text + static_cast<char>(bytes.size()) + bytes;
}

struct Sample {
  const char* file;
  std::string bytes;
  const char* name;    // part of what it is called
  const char* advice;  // part of what to do
};
std::vector<Sample> samples() {
  const std::string version("\x08\x01", 2), onnx_version("\x08\x07", 2),
      graph = field(1, field(1, "x") + field(2, "Placeholder"));
  return {
      {"saved_model.pb", version + field(2, "meta"), "SavedModel", "freeze"},
      {"net.pb", version + field(2, "meta"), "SavedModel", "freeze"},
      {"model.ckpt.meta", field(1, "info") + field(2, graph) + field(3, "saver"), "meta graph", "freeze"},
      {"model.ckpt.index", std::string(60, 'k') + "\x57\xfb\x80\x8b\x24\x75\x47\xdb", "checkpoint", "freeze"},
      {"model.ckpt.data-00000-of-00001", std::string("\x01\x02\x03\x04", 4), "checkpoint", "freeze"},
      {"checkpoint", "model_checkpoint_path: \"model.ckpt\"\n", "checkpoint", "freeze"},
      {"model.h5", "\x89HDF\r\n\x1a\nrest", "Keras", "Keras"},
      {"model.keras", std::string("PK\x03\x04") + "..metadata.json..model.weights.h5", "Keras", "Keras"},
      {"model.pt", std::string("PK\x03\x04") + "archive/data.pkl", "PyTorch", "export"},
      {"model.tflite", std::string("\x1c\0\0\0TFL3rest", 12), "TensorFlow Lite", "export"},
      {"model.onnx", onnx_version + field(2, "pytorch") + field(7, "graph") + field(8, "opset"), "ONNX", "frozen"},
      {"model.pb", onnx_version + field(2, "pytorch") + field(7, "graph") + field(8, "opset"), "ONNX", "frozen"},
      {"net.pb", "\n<!DOCTYPE html><html>not found</html>", "web page", "download"},
      {"net.pb", "\xEF\xBB\xBF<html><body>", "web page", "download"},
      {"net.xml", "<?xml version=\"1.0\"?><net name=\"x\">", "OpenVINO", "export"},
      {"net.pb", "version https://x/spec/v1\noid sha256:12ab\nsize 12\n", "Git LFS pointer", "lfs pull"},
      {"net.json", "{\"graph\": \"net.pb\"}", "JSON", "model file"},
      {"net.pb.gz", "\x1f\x8b\x08", "gzip", "unpack"},
      {"net.pb", "\x89PNG\r\n\x1a\n", "PNG", "frozen graph"},
  };
}

TEST(FileKind, IsNamedWithWhatToDo) {
  for (const Sample& s : samples()) {
    const auto kind = other_kind(s.bytes, s.file);
    ASSERT_TRUE(kind) << s.file << ": " << s.name;
    EXPECT_NE(kind->name.find(s.name), std::string::npos) << s.file << ": " << kind->name;
    EXPECT_NE(kind->advice.find(s.advice), std::string::npos) << s.file << ": " << kind->advice;
  }
}

// A node's length is the second byte of a graph: it may be any character.
TEST(FileKind, AGraphIsOneWhateverItsFirstNodeIsLong) {
  for (const size_t length : {0x22, 0x3c, 0x5b, 0x7b}) {
    const std::string op = "Placeholder", node = field(1, std::string(length - op.size() - 4, 'x')) + field(2, op);
    ASSERT_EQ(node.size(), length);
    const auto kind = other_kind(field(1, node), "net.pb");
    EXPECT_FALSE(kind) << length << ": " << kind->name;
  }
}

TEST(FileKind, ReadGraphSaysIt) {
  const auto folder = std::filesystem::temp_directory_path() / ("file_kind_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "saved");
  std::ofstream(folder / "saved/saved_model.pb") << "\x08\x01\x12\x01m";
  std::ofstream(folder / "net.pb") << "<html>no such file</html>";
  for (const auto& [file, part] :
       {std::pair{"saved", "SavedModel"}, {"saved/saved_model.pb", "SavedModel"}, {"net.pb", "web page"}}) {
    try {
      read_graph(folder / file);
      ADD_FAILURE() << file;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
      EXPECT_FALSE(e.fix().empty());
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(FileKind, GraphsAreNotTakenForOthers) {
  for (const char* folder : {"graph/ops", "graph/conformance"})
    for (const std::string& name : case_names(data(folder))) {
      const std::string path = (data(folder) / name / "graph.pb").string();
      std::ifstream in(path, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      const auto kind = other_kind(bytes, path);
      EXPECT_FALSE(kind) << path << ": " << kind->name;
      const std::string text = encode_graph_text(parse_graph(bytes, path));
      EXPECT_FALSE(other_kind(text, "graph.pbtxt")) << path;
    }
}

}  // namespace
}  // namespace cytodet::test
