// Checkpoints that TensorFlow wrote (scripts/make_freeze_golden.py), whole and damaged.
#include "graph/io/tensorflow/checkpoint.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "core/file.h"
#include "graph/io/tensorflow/table_file.h"
#include "tests/error_of.h"
#include "tests/graph/cases.h"
#include "tests/graph/table_writer.h"

namespace cytodet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string saved_path(const std::string& below) { return (data("graph/saved") / below).string(); }

// A copy of a checkpoint's files that tests may damage.
class CopiedCheckpoint {
 public:
  explicit CopiedCheckpoint(const std::string& prefix)
      : folder_(std::filesystem::temp_directory_path() / ("checkpoint_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    for (const char* end : {".index", ".data-00000-of-00001"})
      std::filesystem::copy_file(prefix + end, this->prefix() + end, std::filesystem::copy_options::overwrite_existing);
  }
  ~CopiedCheckpoint() { std::filesystem::remove_all(folder_); }
  CopiedCheckpoint(const CopiedCheckpoint&) = delete;
  std::string prefix() const { return (folder_ / "net").string(); }
  std::string index() const { return prefix() + ".index"; }
  std::string values() const { return prefix() + ".data-00000-of-00001"; }
  static void flip(const std::string& file, size_t byte) {
    std::string bytes = read_file(file);
    bytes.at(byte) = static_cast<char>(bytes[byte] ^ 16);
    write_file(file, bytes);
  }

 private:
  std::filesystem::path folder_;
};

TEST(Checkpoint, EveryTypeHasTheValuesThatWereSaved) {
  const Checkpoint c(saved_path("types/all.ckpt"));
  const Case wanted = read_case(saved_path("types/case.json"));
  EXPECT_EQ(wanted.outputs.size(), 19u);
  for (const auto& [name, tensor] : wanted.outputs) EXPECT_EQ(difference(c.read(name), tensor), "") << name;
  const Tensor complex = c.read("complex64");
  EXPECT_EQ(complex.dtype(), DType::c64);
  const float numbers[] = {1, 2, 3, -4};
  // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bit for bit
  EXPECT_EQ(std::memcmp(complex.raw(), numbers, sizeof numbers), 0);
  EXPECT_EQ(c.read("complex128").bytes(), 16u);
  EXPECT_EQ(c.read("qint8").data<int8_t>()[0], -3);
  EXPECT_EQ(c.names().size(), wanted.outputs.size() + 3);
}

TEST(Checkpoint, SlicesAreJoined) {
  const Checkpoint c(saved_path("slices/parts.ckpt"));
  const Case wanted = read_case(saved_path("slices/case.json"));
  for (const auto& [name, tensor] : wanted.outputs) EXPECT_EQ(difference(c.read(name), tensor), "") << name;
  // Any part, across the parts that were stored.
  const Tensor part = c.read("grid", *parse_slice_request("7 5 2,4:1,3"));
  ASSERT_EQ(part.shape(), (Shape{4, 3}));
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 3; ++j)
      EXPECT_EQ(part.data<float>()[i * 3 + j], wanted.outputs.at("grid").data<float>()[(i + 2) * 5 + j + 1]);
  EXPECT_EQ(c.read("rows", *parse_slice_request("7 5 4,1:0,5")).data<float>()[0], wanted.outputs.at("grid").data<float>()[20]);
  EXPECT_THAT(error_of([&] { c.read("rows"); }), AllOf(HasSubstr("rows"), HasSubstr("do not cover")));
  EXPECT_THAT(error_of([&] { c.read("grid", *parse_slice_request("8 5 0,1:-")); }), HasSubstr("another network"));
}

TEST(Checkpoint, RequestsForSlicesAreChecked) {
  EXPECT_FALSE(parse_slice_request(""));
  EXPECT_EQ(parse_slice_request("3 4 1,2:-")->slice[1].length, 4);
  for (const char* text : {"x", "3", "3 1", "3 1,", "3 0,4", "3 4 0,1", "-3 0,1", "3 1,1:-", "9999999999999999999 0,1", "3 0,1 "})
    EXPECT_THAT(error_of([&] { parse_slice_request(text); }), HasSubstr("slice")) << text;
}

TEST(Checkpoint, AFlippedBitNamesFileAndTensor) {
  CopiedCheckpoint copy(saved_path("types/all.ckpt"));
  const Checkpoint whole(copy.prefix());
  CopiedCheckpoint::flip(copy.values(), static_cast<size_t>(whole.find("fc/w")->offset) + 5);
  const Checkpoint c(copy.prefix());
  EXPECT_THAT(error_of([&] { c.read("fc/w"); }), AllOf(HasSubstr(copy.values()), HasSubstr("\"fc/w\""), HasSubstr("checksum")));
  EXPECT_EQ(c.read("fc/b").data<float>()[0], 0.5f) << "other tensors are whole";
  CopiedCheckpoint::flip(copy.values(), static_cast<size_t>(whole.find("all/string")->offset) + 12);
  EXPECT_THAT(error_of([&] { c.read("all/string"); }), HasSubstr("all/string"));
}

TEST(Checkpoint, EveryFlippedBitOfAnIndexIsFound) {
  const std::string bytes = read_file(saved_path("slices/parts.ckpt.index"));
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    if (damaged.substr(bytes.size() - 48, 40) != bytes.substr(bytes.size() - 48, 40)) continue;  // has no checksum
    EXPECT_NE(error_of([&] { Checkpoint("x", damaged); }), "") << at;
  }
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_NE(error_of([&] { Checkpoint("x", bytes.substr(0, n)); }), "") << n;
}

TEST(Checkpoint, MissingAndShortFilesAreNamed) {
  CopiedCheckpoint copy(saved_path("types/all.ckpt"));
  const Checkpoint c(copy.prefix());
  std::filesystem::resize_file(copy.values(), 100);
  EXPECT_THAT(error_of([&] { c.read("global_step"); }), AllOf(HasSubstr(copy.values()), HasSubstr("cut off")));
  std::filesystem::remove(copy.values());
  EXPECT_THAT(error_of([&] { c.read("fc/w"); }), AllOf(HasSubstr(copy.values()), HasSubstr("is missing")));
  EXPECT_THAT(error_of([&] { c.read("fc/x"); }), AllOf(HasSubstr("no tensor \"fc/x\""), HasSubstr("fc/w")));
  std::filesystem::copy_file(copy.index(), copy.prefix());
  std::filesystem::remove(copy.index());
  EXPECT_THAT(error_of([&] { Checkpoint version_1(copy.prefix()); }), AllOf(HasSubstr(copy.prefix()), HasSubstr("version 1")));
  std::filesystem::remove(copy.prefix());
  EXPECT_THAT(error_of([&] { Checkpoint gone(copy.prefix()); }), HasSubstr(copy.index()));
}

TEST(Checkpoint, EntriesThatCannotBeAreRefused) {
  const std::string header("\x08\x01\x1a\x02\x08\x01", 6);
  const auto refused = [&](const std::vector<std::pair<std::string, std::string>>& entries) {
    return error_of([&] { Checkpoint("p", table_of(entries)).read("t"); });
  };
  EXPECT_THAT(refused({{"", header}, {"t", "\x08\x01\x12\x04\x12\x02\x08\x03\x28\x0c"}}), HasSubstr("is missing"));
  EXPECT_THAT(refused({{"t", header}}), HasSubstr("version 2"));
  EXPECT_THAT(refused({{"", std::string("\x08\x00", 2)}}), HasSubstr("version 2"));
  EXPECT_THAT(refused({{"", header + "\x10\x01"}}), HasSubstr("big-endian"));
  EXPECT_THAT(refused({{"", header}, {"t", "\x08\x01\x18\x05"}}), AllOf(HasSubstr("\"t\""), HasSubstr("outside")));
  EXPECT_THAT(refused({{"", header}, {"t", "\x08\x01\x20" + varint(~0ull)}}), HasSubstr("outside"));
  EXPECT_THAT(refused({{"", header}, {"t", "\x08\x01\x12\x0b\x12\x09\x08" + varint(1ull << 62)}}), HasSubstr("\"t\""));
  EXPECT_THAT(refused({{"", header}, {"t", "\xff\xff"}}), HasSubstr("cannot be read"));
  EXPECT_THAT(error_of([&] { Checkpoint("p", table_of({{"", header}}, 1)); }), HasSubstr("compressed"));
  EXPECT_THAT(error_of([&] { read_table_file(table_of({{"b", ""}, {"a", ""}}), "t.index"); }), HasSubstr("order of keys"));
}

}  // namespace
}  // namespace cytodet::test
