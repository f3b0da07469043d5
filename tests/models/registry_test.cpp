#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/file.h"
#include "core/settings.h"
#include "tests/paths.h"

namespace cytodet {
namespace {

using ::testing::HasSubstr;

const std::string kShipped = cytodet::source_dir() + "/models/efficientdet/efficientdet_d0_blood.json";

std::string error_of(const Json& json) {
  try {
    parse_model_file(json, "m.json");
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

TEST(ModelFamilies, EveryEntryIsWhole) {
  ASSERT_FALSE(families().empty());
  for (const ModelFamily& f : families()) {
    EXPECT_TRUE(f.name && *f.name && f.recognises && f.settings && f.check && f.make) << f.name;
    EXPECT_STREQ(f.settings()->family(), f.name);
    EXPECT_EQ(std::count_if(families().begin(), families().end(), [&](const auto& g) { return std::string(g.name) == f.name; }),
              1);
  }
}

TEST(ModelFamilies, FileWithoutTheKeyIsAnEfficientDet) {
  const ModelFile m = read_model_file(kShipped);
  EXPECT_EQ(m.family, "");
  EXPECT_STREQ(family_of(m).name, "efficientdet");
}

TEST(ModelFamilies, FilesAreWrittenBackByteForByte) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("families_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  Json with_family = read_json(kShipped);
  with_family["graph"] = "g.pb";
  const auto written_back = [&](const std::string& text) {
    write_file(folder / "m.json", text);
    write_model_file(read_model_file(folder / "m.json"), folder / "again.json");
    return read_file(folder / "again.json");
  };
  // Keys that were left out are written with their defaults, as ever; a file that was written by the program has all.
  const std::string old = written_back(with_family.dump(1));
  EXPECT_EQ(old.find("family"), std::string::npos);
  EXPECT_EQ(written_back(old), old);
  Json now = {{"family", "efficientdet"}};
  now.update(Json::parse(old));
  EXPECT_EQ(written_back(now.dump(1) + "\n"), now.dump(1) + "\n");
  std::filesystem::remove_all(folder);
}

TEST(ModelFamilies, UnknownFamilyNamesTheNearest) {
  Json json = read_json(kShipped);
  json["family"] = "efficientdat";
  EXPECT_THAT(error_of(json), HasSubstr("m.json: family: \"efficientdat\" is no known family of networks"));
  EXPECT_THAT(error_of(json), HasSubstr("did you mean efficientdet?"));
  json["family"] = 3;
  EXPECT_THAT(error_of(json), HasSubstr("m.json: family: must be a string"));
}

TEST(ModelFamilies, CopiesOfAModelFileAreIndependent) {
  ModelFile m = read_model_file(kShipped);
  const ModelFile copy = m;
  ASSERT_NE(copy.own.get(), nullptr);
  EXPECT_NE(copy.own.get(), m.own.get());
  EXPECT_EQ(write_settings(copy), write_settings(m));
}

}  // namespace
}  // namespace cytodet
