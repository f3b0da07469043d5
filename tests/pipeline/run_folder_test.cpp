// The files of a run folder: what is written is read back, what is damaged is refused.
#include "pipeline/results/run_folder.h"

#include <gmock/gmock.h>

#include "core/settings.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

using ::testing::HasSubstr;

class RunFolderTest : public ProgramTest {
 protected:
  template <class Run>
  static std::string error_of(Run run) {
    try {
      run();
    } catch (const Error& e) {
      return e.what();
    }
    return {};
  }
  static RunState sample() {
    RunState s;
    s.version = "1";
    s.settings = {{"detect", {{"mode", "auto"}}}};
    s.model = {"m.json", "1", "m.pb", "2", {"a", "b"}, {1, 5}};
    s.inputs.resize(3);
    for (size_t i = 0; i < 3; ++i) {
      s.inputs[i].name = "s" + std::to_string(i);
      s.inputs[i].path = "slides/s" + std::to_string(i) + ".svs";
      s.inputs[i].image_id = static_cast<int64_t>(i) + 10;
      s.inputs[i].index = static_cast<int64_t>(i);
    }
    s.inputs[0].state = s.inputs[2].state = ImageState::done;
    s.inputs[1].state = ImageState::failed;
    s.inputs[1].reason = "slides/s1.svs: is empty";
    s.inputs[0].mpp = 0.25;
    s.inputs[0].times.network = 1.5;
    return s;
  }
};

TEST_F(RunFolderTest, StateIsReadBack) {
  RunFolder f{folder};
  const RunState s = sample();
  f.write(s);
  const RunState r = f.read();
  EXPECT_EQ(write_settings(r), write_settings(s));
  EXPECT_EQ(r.count(ImageState::done), 2);
  EXPECT_EQ(r.inputs[0].mpp, 0.25);
  EXPECT_EQ(r.settings["detect"]["mode"], "auto");
  EXPECT_THAT(run_table(r), HasSubstr("slides/s1.svs: is empty"));
  EXPECT_THAT(run_table(r), HasSubstr("2 done, 1 failed, 0 skipped"));
}

TEST_F(RunFolderTest, TheTableHasALineForEachSlideWhateverItIsCalled) {
  RunState s = sample();
  const std::string before = run_table(s);
  s.inputs[0].name = "a\n\x1b[31mred\r\x7f";
  const std::string table = run_table(s);
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), std::count(before.begin(), before.end(), '\n'));
  EXPECT_EQ(table.find_first_of("\x1b\r\x7f"), std::string::npos);
}

TEST_F(RunFolderTest, DamagedStateIsRefused) {
  RunFolder f{folder};
  EXPECT_THAT(error_of([&] { f.read(); }), HasSubstr("holds no run.json"));
  auto refused = [&](const std::function<void(Json&)>& change, const char* why) {
    Json j = write_settings(sample());
    change(j);
    put("run.json", j.dump());
    EXPECT_THAT(error_of([&] { f.read(); }), ::testing::AllOf(HasSubstr("run.json"), HasSubstr(why)));
  };
  refused([](Json& j) { j["inputs"][1]["name"] = "../../etc/passwd"; }, "is no name");
  refused([](Json& j) { j["inputs"][1]["name"] = ".."; }, "is no name");
  refused([](Json& j) { j["inputs"][0]["state"] = "doing"; }, "no state of a slide");
  refused([](Json& j) { j["inputs"][0]["detections"] = -1; }, "negative");
  refused([](Json& j) { j["model"]["category_ids"] = {1}; }, "differ in length");
  refused([](Json& j) { j["shard"]["index"] = 3; }, "shard");
  refused([](Json& j) { j["more"] = 3; }, "more");
  put("run.json", "{");
  EXPECT_THAT(error_of([&] { f.read(); }), HasSubstr("not valid JSON"));
}

TEST_F(RunFolderTest, BoxesAreExactAndHoldNoTimes) {
  BoxesHeader h;
  h.slide = sample().inputs[0];
  Detections d{{{0.1, 0.2, 1e6 / 3, 7}, 1, 0.9f}, {{-3, 2, 5, 2}, 0, 0.1f}};
  write_boxes(h, d, folder / "a.boxes");
  h.slide.times.network = 99;
  h.slide.image_id = 99;
  write_boxes(h, d, folder / "b.boxes");
  EXPECT_EQ(read_file(folder / "a.boxes"), read_file(folder / "b.boxes"));
  BoxesReader reader(folder / "a.boxes");
  EXPECT_EQ(reader.header().slide.detection_count, 2);
  Detections back;
  for (Detection one; reader.next(one);) back.push_back(one);
  EXPECT_EQ(back, d);
}

TEST_F(RunFolderTest, DamagedBoxesAreRefused) {
  BoxesHeader h;
  h.slide = sample().inputs[0];
  write_boxes(h, {{{0, 0, 1, 1}, 0, 0.5f}}, folder / "a.boxes");
  const std::string whole = read_file(folder / "a.boxes");
  auto read = [&](const std::string& bytes) {
    put("b.boxes", bytes);
    return error_of([&] {
      BoxesReader r(folder / "b.boxes");
      for (Detection d; r.next(d);) {
      }
    });
  };
  EXPECT_EQ(read(whole), "");
  EXPECT_THAT(error_of([&] { BoxesReader r(folder / "none.boxes"); }), HasSubstr("none.boxes"));
  EXPECT_THAT(read(""), HasSubstr("has no header"));
  EXPECT_THAT(read(whole.substr(0, whole.size() - 1)), HasSubstr("is cut short"));
  EXPECT_THAT(read(whole + "x"), HasSubstr("is cut short"));
  EXPECT_THAT(read("{}\n" + std::string(40, 'x')), HasSubstr("is no name"));
  std::string turned = whole;
  turned.replace(turned.size() - 40, 8, std::string("\0\0\0\0\0\0\0\x40", 8));  // x0 = 2 > x1
  EXPECT_THAT(read(turned), HasSubstr("a box that cannot be"));
  std::string many = whole;
  many.replace(many.find("\"detections\":1"), 14, "\"detections\":9999999999999");
  EXPECT_THAT(read(many), HasSubstr("is cut short"));
}

TEST_F(RunFolderTest, DetectionsAreAssembledInTheOrderOfTheList) {
  RunFolder f{folder};
  const RunState s = sample();
  std::filesystem::create_directory(folder / "boxes");
  for (size_t i : {size_t{2}, size_t{0}}) {
    BoxesHeader h;
    h.slide = s.inputs[i];
    write_boxes(h, {{{1, 2, 3.5, 5}, static_cast<int>(i) / 2, 0.5f}}, f.boxes(s.inputs[i]));
  }
  assemble_detections(f, s, f.detections_json());
  EXPECT_EQ(read_file(f.detections_json()),
            "[\n{\"image_id\":10,\"category_id\":1,\"bbox\":[1.000,2.000,2.500,3.000],\"score\":0.5},\n"
            "{\"image_id\":12,\"category_id\":5,\"bbox\":[1.000,2.000,2.500,3.000],\"score\":0.5}\n]\n");
}

}  // namespace
}  // namespace cytodet::test
