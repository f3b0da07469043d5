// Every entry of the table of formats reads its sample; what no entry reads is refused with what is read.
#include "graph/io/read_graph.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "core/error.h"
#include "graph/io/file_kind.h"
#include "tests/graph/cases.h"

namespace cytodet::test {
namespace {

namespace fs = std::filesystem;

// Paths that the entry of this name recognises, and how many files are read for each.
struct GraphSample {
  std::string path;
  size_t files;
};
std::multimap<std::string, GraphSample> graph_samples() {
  const std::string saved = data("graph/saved").string();
  return {{"a SavedModel", {saved + "/keras/saved_model", 3}},
          {"a SavedModel", {saved + "/keras/saved_model/saved_model.pb", 3}},
          {"a meta graph with its checkpoint", {saved + "/slim/model.ckpt-7.meta", 4}},
          {"a checkpoint with its meta graph", {saved + "/slim/model.ckpt-7", 4}},
          {"a checkpoint with its meta graph", {saved + "/slim/model.ckpt-7.index", 4}},
          {"a checkpoint with its meta graph", {saved + "/slim", 4}},
          {"an ONNX model", {data("graph/onnx/net_resnet/model.onnx").string(), 1}},
          {"a TensorFlow Lite model", {data("graph/tflite/net_float/model.tflite").string(), 1}},
          {"a frozen GraphDef", {saved + "/slim/frozen.pb", 1}},
          {"a frozen GraphDef", {saved + "/slim/graph.pbtxt", 1}}};
}

TEST(ReadGraph, EveryFormatReadsItsSamples) {
  const auto samples = graph_samples();
  for (const GraphFormat& format : graph_formats()) {
    const auto [begin, end] = samples.equal_range(format.name);
    ASSERT_NE(begin, end) << format.name << " has no sample";
    for (auto it = begin; it != end; ++it) {
      const auto& [path, files] = it->second;
      const auto kind = kind_at(path);
      for (const GraphFormat& other : graph_formats())
        EXPECT_EQ(other.recognises(kind), &other == &format) << path << " by " << other.name;
      EXPECT_GT(format.read(path, {}).size(), 0) << path;
      EXPECT_EQ(read_graph(path).size(), format.read(path, {}).size()) << path;
      EXPECT_EQ(files_of_graph(path).size(), files) << path;
    }
  }
}

TEST(ReadGraph, OtherKindsAreRefusedWithWhatIsRead) {
  const auto folder = fs::temp_directory_path() / ("read_graph_" + std::to_string(::getpid()));
  fs::create_directories(folder / "net.mlpackage");
  std::ofstream(folder / "net.h5", std::ios::binary) << "\x89HDF\r\n\x1a\n";
  for (const auto& [file, what] : {std::pair{"net.h5", "is HDF5"}, {"net.mlpackage", "is a Core ML network"}}) {
    EXPECT_EQ(files_of_graph(folder / file), std::vector{folder / file});
    try {
      read_graph(folder / file);
      ADD_FAILURE() << file;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), ::testing::HasSubstr((folder / file).string()));
      EXPECT_THAT(e.what(), ::testing::HasSubstr(what));
      for (const GraphFormat& format : graph_formats()) EXPECT_THAT(e.fix(), ::testing::HasSubstr(format.name)) << file;
    }
  }
  fs::remove_all(folder);
}

// A field of a protobuf message with bytes, its length in two or three bytes where it needs them.
std::string long_field(int number, const std::string& bytes) {
  std::string text(1, static_cast<char>(number << 3 | 2));
  size_t n = bytes.size();
  for (; n >= 128; n >>= 7) text += static_cast<char>((n & 127) | 128);
  return text + static_cast<char>(n) + bytes;
}

// The end of the file, read behind its first 64 KiB, holds fields of a node, which are no fields of a meta graph.
TEST(ReadGraph, WhatLiesBehindTheFirst64KiBIsNotTakenForItsEnd) {
  const std::string last = long_field(1, "a") + long_field(2, "Identity") + long_field(3, "b");
  const auto first = [&](size_t device) {
    return long_field(1, long_field(1, "b") + long_field(2, "Placeholder") + long_field(4, std::string(device, 'd')));
  };
  const size_t wanted = (64 << 10) + 48 - last.size();
  const std::string bytes = first(wanted - (first(60000).size() - 60000)) + long_field(1, last);
  ASSERT_EQ(bytes.size(), wanted + 2 + last.size());
  const auto file = fs::temp_directory_path() / ("read_graph_" + std::to_string(::getpid()) + ".pb");
  std::ofstream(file, std::ios::binary) << bytes;
  EXPECT_FALSE(kind_at(file)) << kind_at(file)->name;
  EXPECT_EQ(read_graph(file).size(), 2);
  fs::remove(file);
}

}  // namespace
}  // namespace cytodet::test
