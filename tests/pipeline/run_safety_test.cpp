// What a run folder's program never does: lose a file of others, or results; and how it goes on when it was stopped.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <csignal>

#include "core/settings.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/slide_files.h"
#include "tests/cpu_clock.h"
#include "tests/pipeline/batch_runs.h"

namespace cytodet::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kSafetyImage = kImages + "BloodImage_00007.jpg";

class RunSafety : public BatchRuns {
 protected:
  std::map<std::string, std::string> everything(const std::string& where) const {
    std::map<std::string, std::string> all;
    for (const auto& e : fs::recursive_directory_iterator(folder / where))
      if (e.is_regular_file()) all[fs::relative(e.path(), folder / where).string()] = read_file(e.path());
    return all;
  }
  // The run is refused before any work, and nothing is changed.
  std::string refusal(const std::string& out, const std::vector<std::string>& more) const {
    const auto before = everything(".");
    const Output o = run(command(out, more));
    EXPECT_EQ(o.code, 2) << o.err;
    EXPECT_EQ(o.errors().size(), 1u) << o.err;
    auto after = everything(".");
    for (const char* ours : {".stdout", ".stderr"}) after[ours] = before.contains(ours) ? before.at(ours) : "";
    for (const auto& [name, bytes] : before) EXPECT_EQ(after[name], bytes) << name;
    return o.err;
  }
};

TEST_F(RunSafety, ResultsBesideTheImagesLeaveTheUsersFiles) {
  fs::copy_file(kSafetyImage, folder / "a.jpg");
  put("a.csv", "patient,diagnosis\n");
  put("a.geojson", "{}");
  const std::string first = read_file(folder / "a.jpg");
  for (int i = 0; i < 2; ++i) {
    const Output o = run({"detect", "--model", kModel, path("a.jpg"), "-o", folder.string(), "--quiet"});
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(read_file(folder / "a.jpg"), first);
    EXPECT_EQ(read_file(folder / "a.csv"), "patient,diagnosis\n");
    EXPECT_EQ(read_file(folder / "a.geojson"), "{}");
  }
  put("b.json", "{\"shapes\": []}");
  fs::copy_file(kSafetyImage, folder / "b.jpg");
  for (const char* option : {"--resume", "--overwrite", "--quiet"})
    EXPECT_THAT(refusal(".", {path("b.jpg"), option}),
                AllOf(HasSubstr("b.json"), HasSubstr("b.jpg"), HasSubstr("not of this program")));
}

TEST_F(RunSafety, NoInputIsWrittenOverHoweverItIsSpelled) {
  fs::create_directory(folder / "in");
  fs::copy_file(kSource + "/tests/data/efficientdet/BloodImage_00007_input.png", folder / "in/a.png");
  EXPECT_THAT(refusal("in", {path("in/a.png"), "--overlay"}), AllOf(HasSubstr("a.png: results of"), HasSubstr("over an input")));
  fs::create_directory_symlink(folder / "in", folder / "link");
  EXPECT_THAT(refusal("link", {path("in/a.png"), "--overlay"}), HasSubstr("over an input"));
  fs::create_directory(folder / "hard");
  fs::create_hard_link(folder / "in/a.png", folder / "hard/a.png");
  EXPECT_THAT(refusal("hard", {path("in/a.png"), "--overlay"}), HasSubstr("over an input"));
  EXPECT_EQ(run(command("in", {path("in/a.png"), "--overlay", "--overlay-format", "jpg"})).code, 0);
  EXPECT_THAT(names(folder / "in"), ElementsAre("a.jpg", "a.json", "a.png", "boxes", "detections.json", "run.json"));
}

TEST_F(RunSafety, NeitherGroundTruthNorConfigNorRegionsAreWrittenOver) {
  fs::create_directory(folder / "out");
  fs::copy_file(kImages + "val.json", folder / "out/detections.json");
  EXPECT_THAT(refusal("out", {kSafetyImage, "--truth", path("out/detections.json")}), HasSubstr("over the ground truth"));
  fs::remove(folder / "out/detections.json");
  const Json config{{"model", kModel}, {"inputs", {kSafetyImage}}};
  put("out/run.json", config.dump());
  const Output o = run(command("out", {"--config", path("out/run.json")}));
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(read_file(folder / "out/run.json"), config.dump());
  fs::remove(folder / "out/run.json");
  const std::string region = R"([{"class":"roi","x":0,"y":0,"w":600,"h":400}])";
  put("out/BloodImage_00007.json", region);
  EXPECT_THAT(refusal("out", {kSafetyImage, "--roi", path("out/BloodImage_00007.json")}), HasSubstr("over the regions"));
}

TEST_F(RunSafety, AFileThatTheUserChangedAfterTheRunIsNotReplaced) {
  const std::string in = slides(1);
  ASSERT_EQ(run(command("out", {in, "--outputs", "csv"})).code, 0);
  const std::string csv = names(folder / "slides")[0].substr(0, 16) + ".csv";
  put("out/" + csv, read_file(folder / "out" / csv) + "a note\n");
  EXPECT_THAT(refusal("out", {in, "--outputs", "csv"}), HasSubstr("or was changed since"));
  const Output o = run(command("out", {in}));
  EXPECT_EQ(o.code, 0) << "it would not be written";
  EXPECT_THAT(o.err, HasSubstr("is left as it is"));
  EXPECT_THAT(read_file(folder / "out" / csv), HasSubstr("a note"));
}

TEST_F(RunSafety, RunJsonListsTheFilesOfTheRun) {
  ASSERT_EQ(run(command("out", {slides(2), "--outputs", "csv,summary", "--overlay"})).code, 0);
  std::vector<std::string> listed{"run.json"};
  const RunState s = state("out");
  for (const OwnFile& f : s.files) listed.push_back(f.name);
  for (const ImageResult& one : s.inputs)
    for (const OwnFile& f : one.files) {
      listed.push_back(f.name);
      EXPECT_EQ(static_cast<int64_t>(fs::file_size(folder / "out" / f.name)), f.bytes);
    }
  std::vector<std::string> there;
  for (const auto& [name, bytes] : everything("out")) there.push_back(name);
  EXPECT_THAT(listed, ::testing::UnorderedElementsAreArray(there));
  Json j = read_json(folder / "out/run.json");
  j["files"][0]["name"] = "../a";
  put("out/run.json", j.dump());
  EXPECT_THAT(run({"report", path("out"), "-o", path("r.html")}).err, HasSubstr("no name of a file of the run"));
}

TEST_F(RunSafety, ARunOfAVersionWithoutAListIsReplacedOnlyWhereItsContentProvesIt) {
  const std::string in = slides(1);
  ASSERT_EQ(run(command("out", {in, "--outputs", "csv"})).code, 0);
  Json j = read_json(folder / "out/run.json");
  j.erase("files");
  for (Json& i : j["inputs"]) i.erase("files");
  put("out/run.json", j.dump());
  EXPECT_THAT(refusal("out", {in}), HasSubstr("--overwrite"));
  EXPECT_EQ(run(command("out", {in, "--resume"})).code, 0) << "its slides are kept";
  put("out/run.json", j.dump());
  EXPECT_EQ(run(command("out", {in, "--outputs", "csv", "--overwrite"})).code, 0);
  put("out/run.json", j.dump());
  const std::string csv = names(folder / "slides")[0].substr(0, 16) + ".csv";
  put("out/" + csv, "patient\n");
  EXPECT_THAT(refusal("out", {in, "--outputs", "csv", "--overwrite"}), HasSubstr(csv));
}

TEST_F(RunSafety, NamesThatAreNotUtf8WorkThroughout) {
  fs::create_directory(folder / "in");
  fs::copy_file(kSafetyImage, folder / "in/Pr\xE4parat.jpg");
  fs::copy_file(kImages + "BloodImage_00015.jpg", folder / "in/plain.jpg");
  ASSERT_EQ(run(command("out", {path("in")})).code, 0);
  EXPECT_EQ(state("out").inputs[0].path, path("in/Pr\xE4parat.jpg"));
  const Output o = run({"detect", "--model", kModel, path("in"), "-o", path("out"), "--resume"});
  EXPECT_THAT(o.err, HasSubstr("2 slides are kept"));
  EXPECT_EQ(run({"export", path("out"), "-o", path("csv/"), "--format", "csv,crops"}).code, 0);
  EXPECT_THAT(names(folder / "csv"), ElementsAre("Pr%E4parat.crops.png", "Pr%E4parat.csv", "plain.crops.png", "plain.csv"));
  EXPECT_EQ(run({"report", path("out"), "-o", path("r.html")}).code, 0);
  for (const char* i : {"1", "2"})
    EXPECT_EQ(run(command(std::string("s") + i, {path("in"), "--shard", std::string(i) + "/2"})).code, 0);
  EXPECT_EQ(run({"collect", path("s1"), path("s2"), "-o", path("joined")}).code, 0);
  expect_equal("out", "joined");
  // As a version before this one left it.
  fs::rename(folder / "out/boxes/Pr%E4parat.boxes", folder / "out/boxes/Pr\xE4parat.boxes");
  fs::rename(folder / "out/Pr%E4parat.json", folder / "out/Pr\xE4parat.json");
  Json j = read_json(folder / "out/run.json");
  j["inputs"][0]["name"] = "Pr\uFFFDparat";
  j["inputs"][0].erase("path_bytes");
  put("out/run.json", j.dump());
  EXPECT_EQ(state("out").inputs[0].path, path("in/Pr\xE4parat.jpg"));
  EXPECT_EQ(run({"export", path("out"), "-o", path("again/"), "--format", "csv"}).code, 0);
  EXPECT_EQ(read_file(folder / "again/plain.csv"), read_file(folder / "csv/plain.csv"));
}

TEST_F(RunSafety, NamesAreKeptApartOnDisksThatTakeThemForOne) {
  fs::create_directory(folder / "in");
  for (const char* name : {"S1.jpg", "s1.png", "Run.jpg", "2024 10:30.jpg"}) fs::copy_file(kSafetyImage, folder / "in" / name);
  std::string longest;
  for (int i = 0; i < 81; ++i) longest += "\u75C5";
  fs::copy_file(kSafetyImage, folder / "in" / (longest + ".jpg"));
  ASSERT_EQ(run(command("out", {path("in"), "--outputs", "geojson.gz,csv,summary"})).code, 0);
  const std::vector<std::string> boxes = names(folder / "out/boxes");
  ASSERT_EQ(boxes.size(), 5u);
  EXPECT_THAT(boxes, ::testing::IsSupersetOf({"2024 10%3A30.boxes", "Run_picture.boxes", "S1.boxes", "s1_2.boxes"}));
}

TEST_F(RunSafety, ASlideIsRecognisedByItsContent) {
  const std::string in = slides(3);
  ASSERT_EQ(run(command("out", {in})).code, 0);
  const auto again = [&](const std::string& inputs) {
    return run({"detect", "--model", kModel, inputs, "-o", path("out"), "--resume"}).err;
  };
  EXPECT_THAT(again(in + "/."), HasSubstr("3 slides are kept"));
  EXPECT_THAT(again(fs::relative(in).string()), HasSubstr("3 slides are kept"));
  fs::create_directory_symlink(in, folder / "link");
  EXPECT_THAT(again(path("link")), HasSubstr("3 slides are kept"));
  fs::rename(in, folder / "moved");
  EXPECT_THAT(again(path("moved")), HasSubstr("3 slides are kept"));
  for (const auto& e : fs::directory_iterator(folder / "moved"))
    fs::last_write_time(e.path(), fs::last_write_time(e.path()) - std::chrono::hours(1));
  EXPECT_THAT(again(path("moved")), HasSubstr("3 slides are kept"));
  const std::string one = names(folder / "moved")[0];
  fs::rename(folder / "moved" / one, folder / "away");
  EXPECT_THAT(run({"detect", "--model", kModel, path("moved/" + one), "-o", path("out"), "--resume"}).err,
              HasSubstr("1 slides are kept"))
      << "results of a slide that is away stay";
  fs::rename(folder / "away", folder / "moved" / one);
  EXPECT_THAT(again(path("moved")), HasSubstr("3 slides are kept"));
  const std::string another = one == "BloodImage_00007.jpg" ? "BloodImage_00015.jpg" : "BloodImage_00007.jpg";
  fs::copy_file(kImages + another, folder / "moved" / one, fs::copy_options::overwrite_existing);
  EXPECT_THAT(again(path("moved")), HasSubstr("2 slides are kept from an earlier start, 1 to do (1 changed)"));
  const Output o = run({"detect", "--model", kModel, path("moved"), "-o", path("out"), "--resume", "--score", "0.5"});
  EXPECT_THAT(o.err, HasSubstr("0 slides are kept from an earlier start, 3 to do (3 with other settings)"));
}

TEST_F(RunSafety, TheHashOfASlideCoversItsCompanions) {
  put("S.mrxs", "preview");
  fs::create_directory(folder / "S");
  put("S/Data0000.dat", std::string(100000, 'x'));
  put("S/Slidedat.ini", "ini");
  EXPECT_EQ(companions_of(folder / "S.mrxs").size(), 2u);
  const std::string hash = slide_identity(folder / "S.mrxs").hash;
  EXPECT_FALSE(hash.empty());
  put("S/Data0000.dat", std::string(99999, 'x') + "y");
  EXPECT_NE(slide_identity(folder / "S.mrxs").hash, hash);
  put("S/Data0000.dat", std::string(100000, 'x'));
  EXPECT_EQ(slide_identity(folder / "S.mrxs").hash, hash);
  put("H.vms", "[Virtual Microscope Specimen]\r\nImageFile=H.jpg\r\nMapFile=none.jpg\r\n");
  put("H.jpg", "pixels");
  EXPECT_THAT(companions_of(folder / "H.vms"), ElementsAre(folder / "H.jpg"));
  // Ten gigabytes, of which little is looked at.
  const int fd = ::open(path("huge.tif").c_str(), O_WRONLY | O_CREAT, 0600);
  ASSERT_EQ(::ftruncate(fd, int64_t{10} << 30), 0);
  ::close(fd);
  const CpuClock clock;
  EXPECT_FALSE(slide_identity(folder / "huge.tif").hash.empty());
  EXPECT_LT(clock.seconds(), 2);
}

TEST_F(RunSafety, AStoppedBatchGoesOn) {
  const std::string in = slides(12);
  ASSERT_EQ(run(command("whole", {in})).code, 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    fs::remove_all(folder / "out");
    const pid_t child = start(command("out", {in, "--streams", "1"}));
    for (int i = 0; i < 6000 && names(folder / "out/boxes").empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::kill(child, signal);
    const Output o = wait(child);
    EXPECT_EQ(o.code, 128 + signal) << o.err;
    const RunState s = state("out");
    EXPECT_EQ(s.count(ImageState::done) + s.count(ImageState::waiting), 12);
    EXPECT_EQ(static_cast<size_t>(s.count(ImageState::done)), names(folder / "out/boxes").size()) << "run.json says what is done";
    for (const auto& e : fs::directory_iterator(folder / "out")) EXPECT_NE(e.path().filename().string()[0], '.') << e.path();
    EXPECT_EQ(run(command("out", {in, "--resume"})).code, 0);
    expect_equal("whole", "out");
  }
}

// The first signal is a wish to stop, the second ends the process wherever it is.
TEST_F(RunSafety, ASecondSignalLeavesNothingUnfinished) {
  const std::string in = slides(12);
  for (const int ms : {0, 1, 3, 10, 30}) {
    const std::string out = "out" + std::to_string(ms);
    const pid_t child = start(command(out, {in, "--outputs", "csv,geojson", "--mask-image", "--background", "otsu"}));
    for (int i = 0; i < 6000 && names(folder / out / "boxes").empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::kill(child, SIGTERM);
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    ::kill(child, SIGTERM);
    const Output o = wait(child);
    EXPECT_TRUE(o.code == 128 + SIGTERM || o.code == 0) << o.code << o.err;
    for (const auto& e : fs::directory_iterator(folder / out)) EXPECT_NE(e.path().filename().string()[0], '.') << e.path();
    EXPECT_EQ(run(command(out, {in, "--outputs", "csv,geojson", "--mask-image", "--background", "otsu", "--resume"})).code, 0);
  }
}

TEST_F(RunSafety, AFullDiskStopsTheBatchAndResumingGoesOn) {
  const std::string in = slides(12);
  fs::create_directory(folder / "disk");
  const pid_t child = ::fork();
  if (child == 0) {  // a small disk of its own; what is seen of it is copied out
    const bool mounted = (::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                          ::mount("none", path("disk").c_str(), "tmpfs", 0, "size=128k") == 0);
    if (!mounted) ::_exit(77);
    const Output o = run(command("disk/out", {in, "--outputs", "geojson,csv"}));
    put("said.txt", std::to_string(o.code) + "\n" + o.err + o.out);
    fs::copy(folder / "disk/out", folder / "first", fs::copy_options::recursive);
    ::mount("none", path("disk").c_str(), nullptr, MS_REMOUNT, "size=64m");
    const Output resumed = run(command("disk/out", {in, "--outputs", "geojson,csv", "--resume"}));
    fs::copy(folder / "disk/out", folder / "second", fs::copy_options::recursive);
    ::_exit(resumed.code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "may not mount a disk here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const std::string said = read_file(folder / "said.txt");
  EXPECT_TRUE(said.starts_with("3\n")) << said;
  size_t messages = 0;
  for (size_t at = said.find("cytodet: "); at != std::string::npos; at = said.find("cytodet: ", at + 1)) ++messages;
  EXPECT_EQ(messages, 1u) << said;
  EXPECT_THAT(said, AllOf(HasSubstr("No space left on device"), HasSubstr("of 12 slides done"), HasSubstr("--resume")));
  EXPECT_THAT(said, HasSubstr(" waiting; ")) << "the table";
  const RunState first = state("first");
  EXPECT_GT(first.count(ImageState::done), 0);
  EXPECT_GT(first.count(ImageState::waiting), 5);
  const size_t done = static_cast<size_t>(first.count(ImageState::done)), boxes = names(folder / "first/boxes").size();
  EXPECT_TRUE(boxes == done || boxes == done + 1) << done << " " << boxes << ": run.json may be what did not fit any more";
  ASSERT_EQ(run(command("whole", {in, "--outputs", "geojson,csv"})).code, 0);
  expect_equal("whole", "second");
}

TEST_F(RunSafety, AFullDiskStopsAnExportWithOneMessage) {
  fs::create_directory(folder / "disk");
  const std::vector<std::string> exporting{
      "export", kSource + "/tests/data/eval/synthetic200_dt.json", "-o", path("disk/out/"), "--format", "csv"};
  const pid_t child = ::fork();
  if (child == 0) {
    const bool mounted = (::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                          ::mount("none", path("disk").c_str(), "tmpfs", 0, "size=256k") == 0);
    if (!mounted) ::_exit(77);
    const Output o = run(exporting);
    put("said.txt", o.err);
    for (const std::string& name : names(folder / "disk/out"))
      if (name.ends_with(".part")) ::_exit(78);
    ::mount("none", path("disk").c_str(), nullptr, MS_REMOUNT, "size=64m");
    ::_exit(run(exporting).code != 0 ? 79 : o.code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "may not mount a disk here";
  EXPECT_EQ(WEXITSTATUS(status), 1);
  const std::string said = read_file(folder / "said.txt");
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_THAT(said, AllOf(HasSubstr("No space left on device; the export stops with "), HasSubstr(" files written; free some")));
}

TEST_F(RunSafety, AFolderThatHasGoneStopsTheBatch) {
  const std::string in = slides(12);
  const pid_t child = start(command("out", {in, "--streams", "1"}));
  for (int i = 0; i < 6000 && names(folder / "out/boxes").empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  fs::rename(folder / "out", folder / "taken");
  const Output o = wait(child);
  EXPECT_TRUE(o.code == 3 || o.code == 0) << o.err;
  if (o.code == 3) {
    EXPECT_EQ(o.errors().size(), 1u) << o.err;
    EXPECT_THAT(o.err, HasSubstr("the batch stops with"));
  }
}

}  // namespace
}  // namespace cytodet::test
