// Random run folders through plan, run (without a network), kill, resume and cleaning: no file of others is ever changed.
//
// Each case is a world of its own: inputs under awkward names, links, files of others under names of results, earlier runs,
// changes by the user between runs, and files that somebody puts there while a run is going on.
// CYTODET_RUN_FOLDERS=10000 tries so many; else as many as fit into some seconds.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>

#include "core/error.h"
#include "core/file.h"
#include "core/timing.h"
#include "pipeline/detect/run_writer.h"
#include "pipeline/results/result_names.h"
#include "tiling/slides/image_io.h"

namespace cytodet::test {
namespace {

namespace fs = std::filesystem;

constexpr int kKilled = 9, kRefused = 2, kDone = 0;
constexpr double kSeconds = 8;
const char* const kStems[] = {
    "S1",     "s1", "S1.coco", "a",     "run",    "Run",   "detections", "boxes", "CON", "x:y", "Pr\u00E4parat", "Pra\u0308parat",
    "Pr\xE4", "-x", ".h",      "50%41", "blank ", "a.b.c", "masks",      "scores"};
const char* const kSuffixes[] = {".json", ".csv", ".coco.json", ".geojson", ".png", ".jpg", ".summary.json", ".txt"};

// What stands at a path: a file's bytes, a link's target, or that it is a folder. Empty: nothing.
std::string standing(const fs::path& path) {
  std::error_code none;
  const fs::file_status s = fs::symlink_status(path, none);
  if (s.type() == fs::file_type::symlink) return "link to " + fs::read_symlink(path, none).string();
  if (s.type() == fs::file_type::directory) return "folder";
  if (s.type() != fs::file_type::regular) return {};
  std::ifstream in(path, std::ios::binary);
  return "file " + std::string(std::istreambuf_iterator<char>(in), {});
}

struct Step {
  std::vector<std::string> inputs;
  bool resume = false, overwrite = false;
  std::vector<std::string> forms;
  std::string settings;
  int kill_at = -1, put_at = -1;  // numbers of operations; -1: never
  fs::path put;                   // what somebody else makes then, if nothing has the name
};

class World {
 public:
  World(const fs::path& root, unsigned seed) : root_(root), random_(seed) {
    fs::remove_all(root_);
    fs::create_directories(root_);
    in_ = root_ / "in";
    out_ = chance(3) ? in_ : root_ / "out";
    fs::create_directories(in_);
    write_image(Image(2, 2), root_ / "a.png");
    image_ = read_file(root_ / "a.png");
    make_inputs();
    if (chance(2)) make_foreign(1 + below(3));
  }
  ~World() { fs::remove_all(root_); }

  void live() {
    const int steps = 1 + below(4);
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      perform(random_step());
      check_foreign();
      meddle();
    }
    Step last = random_step();
    last.kill_at = last.put_at = -1;
    last.resume = true;
    const int code = perform(last);
    check_foreign();
    if (code == kDone) check_whole(last);
  }

  static int refused, killed, done;

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool chance(int one_in) { return below(one_in) == 0; }

  // From now on this is somebody's, and must stay.
  void own(const fs::path& path) { foreign_[path] = standing(path); }

  void make_inputs() {
    const int count = 1 + below(4);
    for (int i = 0; i < count; ++i) {
      const fs::path file = in_ / (std::string(kStems[below(std::size(kStems))]) + (chance(3) ? ".PNG" : ".png"));
      if (!standing(file).empty()) continue;
      if (i > 0 && chance(5))
        fs::create_hard_link(inputs_[0], file);
      else if (i > 0 && chance(5))
        fs::create_symlink(inputs_[0], file);
      else
        std::ofstream(file) << image_ << random_();
      inputs_.push_back(file.string());
      own(file);
    }
  }

  fs::path result_path() {
    const int kind = below(10);
    if (kind == 0) return out_ / "run.json";
    if (kind == 1) return out_ / "run.journal";
    if (kind == 2) return out_ / "detections.json";
    ResultNames names;
    const std::string name = names.name_for(inputs_[static_cast<size_t>(below(static_cast<int>(inputs_.size())))]);
    if (kind == 3) return out_ / "boxes" / (name + ".boxes");
    if (kind == 4) return out_ / "masks" / (name + ".png");
    return out_ / (name + kSuffixes[below(std::size(kSuffixes))]);
  }

  void make_foreign(int count) {
    for (int i = 0; i < count; ++i) {
      const fs::path path = result_path();
      fs::create_directories(path.parent_path());
      if (!standing(path).empty()) continue;
      const int kind = below(8);
      if (kind == 0)
        fs::create_symlink(inputs_[0], path);
      else if (kind == 1)
        fs::create_symlink("nowhere", path);
      else if (kind == 2)
        fs::create_directory(path);
      else if (kind == 3)
        fs::create_hard_link(inputs_[0], path);
      else
        std::ofstream(path) << (kind == 4 ? "" : "{\"mine\": 1}\n");
      own(path);
    }
  }

  // What a user does between two runs.
  void meddle() {
    std::vector<fs::path> results;
    std::error_code none;
    for (const auto& e : fs::recursive_directory_iterator(out_, none))
      if (e.is_regular_file(none) && !foreign_.contains(e.path()) && e.path().string().find("/.cytodet-") == std::string::npos)
        results.push_back(e.path());
    const int kind = below(5);
    if (kind == 0 && chance(2)) make_foreign(1);
    if (chance(2)) move_away();
    if (results.empty()) return;
    const fs::path one = results[static_cast<size_t>(below(static_cast<int>(results.size())))];
    const bool state = one.filename() == "run.json" || one.filename() == "run.journal";
    if (kind == 1 && !state) {
      std::ofstream(one, std::ios::app) << "a note";
      own(one);
    } else if (kind == 2 && !state) {
      fs::remove(one);
    } else if (kind == 3 && !state) {
      fs::remove(one);
      std::ofstream(one) << "of the user";
      own(one);
    }
  }

  // Does what the refusal advises: moves files of others away.
  void move_away() {
    for (auto it = foreign_.begin(); it != foreign_.end();)
      if (std::find(inputs_.begin(), inputs_.end(), it->first.string()) == inputs_.end() && chance(2)) {
        fs::remove(it->first);
        it = foreign_.erase(it);
      } else {
        ++it;
      }
  }

  Step random_step() {
    Step s;
    for (const std::string& input : inputs_)
      if (!chance(4)) s.inputs.push_back(input);
    if (s.inputs.empty()) s.inputs.push_back(inputs_[0]);
    s.resume = chance(2);
    s.overwrite = chance(3);
    for (const char* form : {"csv", "coco", "geojson"})
      if (chance(2)) s.forms.push_back(form);
    s.settings = chance(4) ? "others" : "same";
    if (chance(2)) s.kill_at = below(30);
    if (chance(3)) s.put_at = below(20);
    s.put = result_path();
    return s;
  }

  // The run itself, with boxes that are made up.
  int run(const Step& step, const RunFiles::Hook& hook) const try {
    RunState state;
    state.version = "1";
    state.model.classes = {"a"};
    state.model.category_ids = {1};
    ResultNames names;
    for (const std::string& input : step.inputs) {
      ImageResult s;
      s.index = static_cast<int64_t>(state.inputs.size());
      s.path = input;
      s.name = names.name_for(input);
      s.image_id = s.index + 1;
      state.inputs.push_back(s);
    }
    const std::vector<std::string> hashes(state.inputs.size(), step.settings);
    InputFiles read;
    for (const std::string& input : step.inputs) read.add(input, "the input");
    RunConfig config;
    config.outputs = step.forms;
    FolderOptions options;
    options.resume = step.resume;
    options.overwrite = step.overwrite;
    RunFiles files(out_, hook);
    RunWriter writer(files, state, hashes, config, options);
    writer.begin(read);
    for (const size_t i : writer.todo()) {
      DetectedImage r;
      r.path = state.inputs[i].path;
      r.state = ImageState::done;
      r.width = r.height = 100;
      for (size_t d = 0; d < i + 1; ++d) r.detections.push_back({{1, 2, 3.5, 5}, 0, 0.5f});
      writer.finish(state.inputs[i], r);
    }
    writer.assemble();
    writer.end();
    return kDone;
  } catch (const Error&) {
    return kRefused;
  }

  // In a process of its own, which may end at any operation.
  int perform(const Step& step) {
    const fs::path said = root_ / "put";
    const pid_t child = ::fork();
    if (child == 0) {
      int at = 0;
      const int code = run(step, [&](const std::string&) {
        if (at == step.kill_at) ::_exit(kKilled);
        if (at++ == step.put_at) put(step.put, said);
      });
      ::_exit(code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (fs::exists(said)) {
      foreign_[step.put] = "file put while the run is going on";
      fs::remove(said);
    }
    EXPECT_TRUE(WIFEXITED(status));
    const int code = WEXITSTATUS(status);
    (code == kKilled ? killed : code == kRefused ? refused : done) += 1;
    return code;
  }
  static void put(const fs::path& path, const fs::path& said) {
    if (!standing(path).empty() || standing(path.parent_path()).empty() || path.filename() == "run.json") return;
    std::ofstream(path) << "put while the run is going on";
    std::ofstream{said};
  }

  void check_foreign() const {
    for (const auto& [path, was] : foreign_) EXPECT_EQ(standing(path), was) << path;
  }

  // After a run to its end: what is ours is listed, and nothing else is left.
  void check_whole(const Step& step) const {
    const RunState s = RunFolder{out_}.read();
    std::set<fs::path> ours{out_ / "run.json"};
    for (const OwnFile& f : s.files) ours.insert(out_ / f.name);
    int finished = 0;
    for (const ImageResult& one : s.inputs) {
      finished += one.state == ImageState::done;
      for (const OwnFile& f : one.files) ours.insert(out_ / f.name);
    }
    EXPECT_GE(finished, step.put_at < 0 ? static_cast<int>(step.inputs.size()) : 0);
    for (const auto& e : fs::recursive_directory_iterator(out_)) {
      const bool folder = e.is_directory() && !e.is_symlink();
      if (folder)
        EXPECT_TRUE(e.path().filename() == "boxes" || e.path().filename() == "masks" || foreign_.contains(e.path())) << e.path();
      else
        EXPECT_TRUE(ours.contains(e.path()) || foreign_.contains(e.path())) << e.path();
    }
  }

  fs::path root_, in_, out_;
  std::mt19937 random_;
  std::string image_;  // bytes
  std::vector<std::string> inputs_;
  std::map<fs::path, std::string> foreign_;
};
int World::refused = 0, World::killed = 0, World::done = 0;

TEST(RunFolders, NoFileOfOthersIsEverChanged) {
  const char* wanted = std::getenv("CYTODET_RUN_FOLDERS");
  const int most = wanted ? std::atoi(wanted) : 10000;
  std::error_code none;
  const fs::path shared = "/dev/shm";
  const fs::path base = ::access(shared.c_str(), W_OK) == 0 ? shared : fs::temp_directory_path();
  const fs::path root = base / ("cytodet_run_folders_" + std::to_string(::getpid()));
  const Stopwatch watch;
  int tried = 0;
  for (; tried < most && (wanted || watch.ms() < 1000 * kSeconds) && !HasFailure(); ++tried) {
    SCOPED_TRACE("seed " + std::to_string(tried));
    World(root, static_cast<unsigned>(tried)).live();
  }
  std::printf("%d folders: %d runs done, %d refused, %d killed\n", tried, World::done, World::refused, World::killed);
  EXPECT_GT(tried, 20);
  EXPECT_GT(World::done, tried / 4);
  EXPECT_GT(World::refused, 0);
  EXPECT_GT(World::killed, 0);
}

}  // namespace
}  // namespace cytodet::test
