// export, merge and run give files names that no user typed: a file of somebody else under such a name stays.
#include "pipeline/results/folder_manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"
#include "core/settings.h"
#include "tests/error_of.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class FolderManifestTest : public ProgramTest {
 protected:
  void detections() const {
    put("found.json", R"([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
                          {"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.25}])");
  }
  void write_listed(const std::string& name, const std::string& content) const {
    FolderManifest manifest(folder);
    manifest.list_what_is_written();
    write_file(folder / name, content);
  }
  std::vector<std::string> exporting(std::vector<std::string> more = {}) const {
    std::vector<std::string> a{"export", path("found.json"), "-o", path("forms") + "/", "--format", "csv"};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  }
};

TEST_F(FolderManifestTest, ListedFilesAreOursUntilTheyAreChanged) {
  put("a.csv", "1");
  EXPECT_THAT(error_of([&] { FolderManifest(folder).require_ours({"a.csv"}); }), HasSubstr("a.csv: stands there already"));
  FolderManifest(folder).require_ours({"b.csv"});
  write_listed("a.csv", "1");
  FolderManifest(folder).require_ours({"a.csv"});
  put("a.csv", "2");
  EXPECT_THAT(error_of([&] { FolderManifest(folder).require_ours({"a.csv"}); }), HasSubstr("a.csv"));
}

TEST_F(FolderManifestTest, LineThatWasCutShortListsNothing) {
  write_listed("a.csv", "1");
  const std::string manifest = read_file(folder / FolderManifest::kName);
  write_file(folder / FolderManifest::kName, manifest.substr(0, manifest.size() / 2));
  EXPECT_THAT(error_of([&] { FolderManifest(folder).require_ours({"a.csv"}); }), HasSubstr("a.csv"));
}

// A kill may come at any moment: what has its name is listed.
TEST_F(FolderManifestTest, FilesAreListedBeforeTheyTakeTheirNames) {
  const BeforePlacing kill([&](const std::filesystem::path&, const std::filesystem::path& name) {
    EXPECT_FALSE(std::filesystem::exists(name));
    EXPECT_THAT(read_file(folder / FolderManifest::kName), HasSubstr("a.csv"));
    throw Error("", "killed");
  });
  EXPECT_THAT(error_of([&] { write_listed("a.csv", "1"); }), HasSubstr("killed"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.csv"));
}

TEST_F(FolderManifestTest, FilesElsewhereAreNotListed) {
  FolderManifest manifest(folder);
  manifest.list_what_is_written();
  std::filesystem::create_directory(folder / "below");
  write_file(folder / "below/a.csv", "1");
  EXPECT_FALSE(std::filesystem::exists(folder / FolderManifest::kName));
}

TEST_F(FolderManifestTest, DumpedGraphsLeaveFilesOfOthers) {
  const std::string graph = kSource + "/tests/data/graph/lenet_frozen.pb", dump = path("stages");
  const std::vector<std::string> command{"optimize",           graph,        "-o", path("out.pb"), "--stop-after",
                                         "strip_unused_nodes", "--dump-dir", dump};
  ASSERT_EQ(run(command).code, 0);
  EXPECT_EQ(run(command).code, 0) << "its own files are replaced";
  std::string first;
  for (const auto& entry : std::filesystem::directory_iterator(dump))
    if (entry.path().extension() == ".pb") first = entry.path().string();
  ASSERT_NE(first, "");
  write_file(first, "mine");
  const Output o = run(command);
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr(first + ": stands there already"));
  EXPECT_EQ(read_file(first), "mine");
  std::vector<std::string> over = command;
  over.push_back("--overwrite");
  EXPECT_EQ(run(over).code, 0);
  EXPECT_NE(read_file(first), "mine");
}

TEST_F(FolderManifestTest, LinksAreOthers) {
  put("real.csv", "1");
  std::filesystem::create_symlink("real.csv", folder / "a.csv");
  EXPECT_THAT(error_of([&] { FolderManifest(folder).require_ours({"a.csv"}); }), HasSubstr("a.csv"));
}

TEST_F(FolderManifestTest, ExportIntoAFolderLeavesFilesOfOthers) {
  detections();
  ASSERT_EQ(run(exporting()).code, 0);
  EXPECT_EQ(run(exporting()).code, 0) << "its own files are replaced";
  const std::vector<std::string> made = names(folder / "forms");
  ASSERT_EQ(made.size(), 2u);
  write_file(folder / "forms" / made[0], "mine");
  const Output o = run(exporting());
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr(made[0] + ": stands there already"));
  EXPECT_EQ(read_file(folder / "forms" / made[0]), "mine");
  EXPECT_EQ(run(exporting({"--overwrite"})).code, 0);
  EXPECT_NE(read_file(folder / "forms" / made[0]), "mine");
}

TEST_F(FolderManifestTest, MergeIntoAFolderLeavesFilesOfOthers) {
  std::filesystem::create_directories(folder / "in");
  const std::string a = put("in/s1.json", R"([{"x":0,"y":0,"w":10,"h":10,"p":0.5}])"),
                    b = put("in/s2.json", R"([{"x":5,"y":5,"w":1,"h":1,"p":1}])");
  std::filesystem::create_directories(folder / "out");
  put("out/s2.json", "mine");
  const std::vector<std::string> merging{"merge", a, b, "-o", path("out")};
  const Output o = run(merging);
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("s2.json: stands there already"));
  EXPECT_EQ(names(folder / "out"), std::vector<std::string>{"s2.json"}) << "nothing is written";
  std::vector<std::string> anyway = merging;
  anyway.push_back("--overwrite");
  EXPECT_EQ(run(anyway).code, 0);
  EXPECT_EQ(run(merging).code, 0) << "its own files are replaced";
}

TEST_F(FolderManifestTest, RunLeavesFilesOfOthersBesideItsFolders) {
  Json config = read_json(kSource + "/configs/blood_d0.json");
  config["model"] = kModel;
  config["inputs"] = {kSource + "/tests/data/efficientdet/BloodImage_00007_input.png"};
  config.erase("truth");
  config["output"] = path("out");
  config["quantize"] = {{"images", kSource + "/tests/data/efficientdet"}};
  std::filesystem::create_directories(folder / "out");
  put("out/ranges.json", "mine");
  const Output o = run({"run", put("config.json", config.dump())});
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, HasSubstr("ranges.json: stands there already"));
  EXPECT_EQ(names(folder / "out"), std::vector<std::string>{"ranges.json"}) << "refused before any work";
}

}  // namespace
}  // namespace cytodet::test
