#include "graph/io/tensorflow/record_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/file.h"
#include "graph/io/tensorflow/example.h"
#include "tests/error_of.h"
#include "tests/graph/record_writer.h"
#include "tests/paths.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class RecordFiles : public ::testing::Test {
 protected:
  std::string put(const std::string& bytes) const {
    write_file(path, bytes);
    return path;
  }
  void TearDown() override { std::filesystem::remove(path); }
  const std::string path = (std::filesystem::temp_directory_path() / ("records_" + std::to_string(::getpid()))).string();
};

TEST_F(RecordFiles, GiveTheirRecords) {
  put(record("one") + record("") + record(std::string(100000, 'x')));
  EXPECT_TRUE(is_record_file(path));
  const std::vector<RecordPlace> places = list_records(path);
  ASSERT_EQ(places.size(), 3u);
  EXPECT_EQ(read_record(path, places[0]), "one");
  EXPECT_EQ(read_record(path, places[1]), "");
  EXPECT_EQ(read_record(path, places[2]), std::string(100000, 'x'));
}

TEST_F(RecordFiles, DamageIsNamedWithItsRecord) {
  const std::string whole = record("one") + record("two");
  for (size_t cut = 1; cut < record("two").size(); ++cut) {
    put(whole.substr(0, whole.size() - cut));
    EXPECT_THAT(error_of([&] { list_records(path); }), HasSubstr("record 1 at byte 19 is cut off")) << cut;
  }
  std::string length = whole;
  length[record("one").size()] ^= 1;
  put(length);
  EXPECT_THAT(error_of([&] { list_records(path); }), HasSubstr("record 1 at byte 19 has a wrong checksum of its length"));
  std::string data = whole;
  data[12] ^= 1;
  put(data);
  const std::vector<RecordPlace> places = list_records(path);
  EXPECT_THAT(error_of([&] { read_record(path, places[0]); }), HasSubstr("has a wrong checksum"));
  EXPECT_EQ(read_record(path, places[1]), "two");
  // A length of 2^60 with its right checksum.
  const std::string huge = little_endian(uint64_t{1} << 60, 8);
  put(huge + little_endian(masked_crc(crc32c(huge)), 4));
  EXPECT_THAT(error_of([&] { list_records(path); }), HasSubstr("is over the limit"));
}

TEST_F(RecordFiles, OthersAreNone) {
  EXPECT_FALSE(is_record_file(put("")));
  EXPECT_FALSE(is_record_file(put("image,label\na.png,3\n")));
  EXPECT_FALSE(is_record_file(path + "-missing"));
  EXPECT_FALSE(is_record_file("/"));
}

TEST(ImageExamples, NumbersArePackedOrNot) {
  for (const bool packed : {true, false}) {
    const ImageExample e = parse_image_example(image_example("jpeg bytes", 1000, packed), "a record");
    EXPECT_EQ(e.encoded, "jpeg bytes");
    EXPECT_EQ(e.label, 1000);
  }
}

TEST(ImageExamples, WrittenByTensorFlow) {
  const std::string file = source_dir() + "/tests/data/cells/some.tfrecord";
  const std::vector<RecordPlace> places = list_records(file);
  ASSERT_EQ(places.size(), 12u);
  for (size_t i = 0; i < places.size(); ++i) {
    const ImageExample e = parse_image_example(read_record(file, places[i]), "");
    EXPECT_EQ(e.label, static_cast<int64_t>(i / 4));
    EXPECT_THAT(e.encoded, ::testing::StartsWith("\xff\xd8"));
    EXPECT_THAT(e.filename, ::testing::EndsWith(".jpg"));
  }
}

TEST(ImageExamples, OtherRecordsAreRefused) {
  const auto problem = [](const std::string& bytes) { return error_of([&] { parse_image_example(bytes, "f, record 3"); }); };
  EXPECT_THAT(problem("\xff\xff\xff"), HasSubstr("f, record 3: is no tensorflow.Example"));
  EXPECT_THAT(problem(""), HasSubstr("f, record 3: has no image/encoded"));
  EXPECT_THAT(problem(field_of(1, feature("image/encoded", 1, field_of(1, "a") + field_of(1, "b")))),
              HasSubstr("has 2 values of image/encoded"));
}

}  // namespace
}  // namespace cytodet::test
