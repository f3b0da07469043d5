// KFB slides: every form that writers differ in, and damage. No scanner's file could be had; samples are made by KfbWriter and by
// scripts/make_tiling_golden.py, apart from each other.
#include <gmock/gmock.h>

#include "tests/tiling/kfb_writer.h"
#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

using testing::HasSubstr;

Image slide_part() {
  std::unique_ptr<Slide> s = open_slide(data_folder() / "slides/cmu-1-small-region.svs");
  Image image(231, 170);
  s->read(0, 900, 1200, image.width, image.height, image.rgb.data());
  return image;
}

void expect_levels(const std::filesystem::path& path, const std::vector<std::string>& expected, int tolerance = 0) {
  std::unique_ptr<Slide> slide = open_slide(path);
  EXPECT_EQ(slide->format, "kfb");
  ASSERT_EQ(slide->levels.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(slide->levels[i].downsample, 1 << i);
    EXPECT_LE(largest_difference(read_whole(*slide, static_cast<int>(i)).rgb, expected[i]), tolerance) << "level " << i;
  }
}

TEST(FormatsKfb, TheSampleMadeElsewhere) {
  const auto path = data_folder() / "tiling/kfb/sample.kfb";
  std::vector<std::string> levels;
  for (int i = 0; i < 3; ++i) levels.push_back(read_file(path.string() + "." + std::to_string(i) + ".rgb"));
  expect_levels(path, levels, 2);
  std::unique_ptr<Slide> slide = open_slide(path);
  EXPECT_EQ(slide->width(), 150);
  EXPECT_EQ(slide->height(), 100);
  EXPECT_NEAR(slide->mpp_x.value_or(0), 0.25, 1e-6);
  EXPECT_EQ(slide->mpp_source, "KFB header");
  EXPECT_EQ(slide->levels[0].tile_width, 64);
  EXPECT_EQ(slide->levels[0].codec, "JPEG");
}

TEST(FormatsKfb, EveryFormOfTheIndex) {
  ScratchFolder scratch;
  const Image image = slide_part();
  for (auto place : {KfbWriter::Place::stated, KfbWriter::Place::after_the_first, KfbWriter::Place::after_the_index})
    for (bool x_written : {true, false})
      for (bool whole : {true, false}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(place) << x_written << whole);
        KfbWriter writer;
        writer.place = place;
        writer.x_written = x_written;
        writer.whole_tiles = whole;
        write_file(scratch.path / "a.kfb", writer.write(image));
        expect_levels(scratch.path / "a.kfb", writer.expected);
      }
}

TEST(FormatsKfb, TilesLeftOutAreWhite) {
  ScratchFolder scratch;
  KfbWriter writer;
  writer.left_out = {0, 6, 13};
  write_file(scratch.path / "a.kfb", writer.write(slide_part()));
  expect_levels(scratch.path / "a.kfb", writer.expected);
}

TEST(FormatsKfb, ShrunkInsideTheCodec) {
  ScratchFolder scratch;
  KfbWriter writer;
  write_file(scratch.path / "a.kfb", writer.write(slide_part()));
  std::unique_ptr<Slide> s = open_slide(scratch.path / "a.kfb");
  Image full = read_whole(*s), want(116, 85), got(116, 85);
  downsample_by_mean(full, 2, want.rgb.data());
  s->read_downsampled(0, 0, 0, 231, 170, 2, got.rgb.data());
  double sum = 0;
  for (size_t i = 0; i < got.rgb.size(); ++i) sum += std::abs(int{got.rgb[i]} - int{want.rgb[i]});
  EXPECT_LT(sum / static_cast<double>(got.rgb.size()), 3.0);
}

struct Damage {
  const char* what;
  size_t at;          // byte to change, from the header's start; with in_index from the index's
  std::string bytes;  // put there
  const char* message;
  bool in_index = false;
};

TEST(FormatsKfb, DamageIsNamed) {
  ScratchFolder scratch;
  KfbWriter writer;
  const std::string whole = writer.write(slide_part());
  const std::string most("\xff\xff\xff\x7f", 4), minus("\xff\xff\xff\xff", 4), zero(4, '\0');
  int64_t real_index;
  std::memcpy(&real_index, &whole[0x44], 8);
  const Damage cases[] = {
      {"fluorescence", 4, "KFBF", "fluorescence is not supported"},
      {"another codec", 0x20, "J2K ", "not JPEG"},
      {"absurd count", 0x10, most, "does not fit into the file"},
      {"negative count", 0x10, minus, "does not fit into the file"},
      {"no tiles", 0x10, zero, "does not fit into the file"},
      {"absurd width", 0x18, most, "pixels"},
      {"no height", 0x14, zero, "pixels"},
      {"tile side of 0", 0x58, zero, "tiles are 0 pixels wide"},
      {"absurd tile side", 0x58, most, "pixels wide"},
      {"index beyond the file", 0x44, std::string("\0\0\0\0\1\0\0\0", 8), "tile index is at byte"},
      {"index before the file", 0x44, std::string(8, '\xff'), "tile index is at byte"},
      {"index elsewhere", 0x44, std::string("\x70\0\0\0\0\0\0\0", 8), "does not start as one"},
      {"entry of another kind", 64, "abcd", "entry 1 of the tile index", true},
      {"tile too wide", 12, most, "does not fit the grid", true},
      {"tile of no height", 16, zero, "does not fit the grid", true},
      {"line off the grid", 8, std::string("\3\0\0\0", 4), "does not fit the grid", true},
      {"scale of nothing", 20, zero, "has scale", true},
      {"scale not a number", 20, std::string("\0\0\xc0\x7f", 4), "has scale", true},
      {"absurd tile size", 32, most, "beyond the file", true},
  };
  for (const Damage& d : cases) {
    SCOPED_TRACE(d.what);
    std::string bytes = whole;
    bytes.replace((d.in_index ? static_cast<size_t>(real_index) : 0) + d.at, d.bytes.size(), d.bytes);
    const auto path = scratch.path / "bad.kfb";
    write_file(path, bytes);
    const std::string what = error_of([&] { open_slide(path); });
    EXPECT_THAT(what, HasSubstr(d.message));
    EXPECT_TRUE(what.starts_with(path.string() + ": ")) << what;
  }
}

TEST(FormatsKfb, TruncatedFilesAreErrors) {
  ScratchFolder scratch;
  KfbWriter writer;
  const std::string whole = writer.write(slide_part());
  for (size_t length : {size_t{16}, size_t{0x5b}, size_t{0x5c}, whole.size() / 2, whole.size() - 1}) {
    write_file(scratch.path / "a.kfb", std::string_view(whole).substr(0, length));
    EXPECT_NE(error_of([&] { open_slide(scratch.path / "a.kfb"); }), "") << length;
  }
}

TEST(FormatsKfb, ADamagedTileSparesTheOthers) {
  ScratchFolder scratch;
  KfbWriter writer;
  std::string bytes = writer.write(slide_part());
  for (size_t i = KfbWriter::kHeader + 700; i < KfbWriter::kHeader + 900; ++i) bytes[i] = static_cast<char>(i * 31);
  write_file(scratch.path / "a.kfb", bytes);
  std::unique_ptr<Slide> s = open_slide(scratch.path / "a.kfb");
  Image tile(60, 60);
  const std::string what = error_of([&] { s->read(0, 0, 0, 60, 60, tile.rgb.data()); });
  EXPECT_TRUE(what.starts_with("level 0, stored tile at 0,0: damaged ")) << what;
  EXPECT_EQ(error_of([&] { s->read(0, 128, 64, 60, 60, tile.rgb.data()); }), "");
}

}  // namespace
}  // namespace cytodet
