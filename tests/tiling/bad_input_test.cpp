// Files that cannot be read give one line that names them; no crash, no silent gray.
#include <gmock/gmock.h>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/image_io.h"

namespace cytodet {
namespace {

using testing::HasSubstr;

// Opens and reads all of level 0, in pieces; the message, with the file in front as callers put it.
std::string failure(const std::filesystem::path& path) {
  return error_of([&] {
    std::unique_ptr<Slide> slide = open_slide(path);
    Image piece(256, 256);
    try {
      for (int64_t y = 0; y < slide->height(); y += 256)
        for (int64_t x = 0; x < slide->width(); x += 256) slide->read(0, x, y, 256, 256, piece.rgb.data());
    } catch (const Error& e) {
      throw e.within(path.string());
    }
  });
}

void expect_one_line(const std::filesystem::path& path) {
  SCOPED_TRACE(path);
  testing::internal::CaptureStderr();
  const std::string what = failure(path);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "libraries must not print";
  EXPECT_TRUE(what.starts_with(path.string() + ": ")) << what;
  EXPECT_EQ(what.find('\n'), std::string::npos) << what;
  EXPECT_LT(what.size(), path.string().size() + 400) << what;
}

TEST(BadInput, EveryCorruptSampleIsRefused) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data_folder() / "corrupt")) {
    expect_one_line(entry.path());
    ++count;
  }
  EXPECT_GE(count, 11);
}

TEST(BadInput, NotAnImageAtAll) {
  ScratchFolder scratch;
  EXPECT_THAT(failure(scratch.path / "none.png"), HasSubstr("no such file"));
  EXPECT_THAT(failure(scratch.path), HasSubstr("is a directory"));
  write_file(scratch.path / "empty.svs", "");
  EXPECT_THAT(failure(scratch.path / "empty.svs"), HasSubstr("is empty"));
  write_file(scratch.path / "text.jpg", "hello, this is text\n");
  EXPECT_THAT(failure(scratch.path / "text.jpg"), HasSubstr("known: jpeg, png, bmp"));
  write_file(scratch.path / "slide.dcm", std::string(128, '\0') + "DICM" + std::string(200, '\2'));
  EXPECT_THAT(failure(scratch.path / "slide.dcm"), HasSubstr("is DICOM, which is not read; convert it to a tiled TIFF"));
}

// Every format, cut at several places, fails; the pixels that are there are not taken for an image.
TEST(BadInput, TruncatedFilesAreErrors) {
  ScratchFolder scratch;
  const char* names[] = {"rgb420.jpg",  "progressive.jpg", "cmyk.jpg",       "rgb.png",      "interlaced_rgba.png",
                         "palette.png", "rgb.bmp",         "top_down.bmp",   "os2.bmp",      "strip.tif",
                         "lzw.tif",     "deflate.tif",     "jpeg_ycbcr.tif", "jpeg_rgb.tif", "rgba.tif",
                         "planar.tif",  "packbits.tif"};
  for (const char* name : names) {
    const std::string whole = read_file(data_folder() / "tiling/formats" / name);
    for (double share : {0.02, 0.3, 0.6, 0.9}) {
      const auto path = scratch.path / (std::to_string(static_cast<int>(share * 100)) + name);
      write_file(path, std::string_view(whole).substr(0, static_cast<size_t>(static_cast<double>(whole.size()) * share)));
      expect_one_line(path);
    }
  }
}

TEST(BadInput, DamagedStoredTileSparesTheOthers) {
  ScratchFolder scratch;
  std::string bytes = read_file(data_folder() / "slides/blood-mosaic.tif");
  // Level 0 comes first in the file: spoil the entropy-coded data of a few tiles near its start.
  for (size_t i = 60000; i < 90000; i += 7) bytes[i] = static_cast<char>(i * 31);
  const auto path = scratch.path / "spoilt.tif";
  write_file(path, bytes);
  std::unique_ptr<Slide> slide = open_slide(path);
  Image tile(256, 256);
  int bad = 0, good = 0;
  for (int64_t y = 0; y < slide->height(); y += 256)
    for (int64_t x = 0; x < slide->width(); x += 256) {
      const std::string what = error_of([&] { slide->read(0, x, y, 256, 256, tile.rgb.data()); });
      what.empty() ? ++good : ++bad;
      EXPECT_TRUE(what.empty() || what.starts_with("level 0, stored tile at ")) << what;
    }
  EXPECT_GT(bad, 0);
  EXPECT_GT(good, 150);
}

// OpenSlide's errors stick to its handle.
TEST(BadInput, AnUnreadableSlideFailsAgainAndAgainAndOthersLive) {
  const auto unreadable = (data_folder() / "corrupt/unreadable.svs").string();
  EXPECT_THAT(failure(unreadable), HasSubstr("level 0, stored tile at 0,0: damaged JPEG"));
  std::unique_ptr<Slide> bad = open_openslide(unreadable);
  Image tile(16, 16);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(error_of([&] { bad->read(0, 0, 0, 16, 16, tile.rgb.data()); }), HasSubstr("OpenSlide"));
  EXPECT_NO_THROW(open_slide(data_folder() / "slides/small.svs")->read(0, 0, 0, 16, 16, tile.rgb.data()));
}

TEST(BadInput, DamagedHeadersPrintNothing) {
  ScratchFolder scratch;
  const std::string whole = read_file(data_folder() / "slides/small.svs");
  int refused = 0;
  testing::internal::CaptureStderr();
  for (size_t at = 8; at < whole.size(); at += 5) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(~bytes[at]);
    write_file(scratch.path / "a.svs", bytes);
    refused += !failure(scratch.path / "a.svs").empty();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_GT(refused, 20);
}

TEST(BadInput, SizesOverTheLimitAreNamedBeforeMemoryIsTaken) {
  ScratchFolder scratch;
  std::string bmp = read_file(data_folder() / "tiling/formats/rgb.bmp"),
              png = read_file(data_folder() / "tiling/formats/rgb.png"),
              jpeg = read_file(data_folder() / "tiling/formats/gray.jpg");
  auto refused = [&](const char* name, const std::string& bytes) {
    write_file(scratch.path / name, bytes);
    return failure(scratch.path / name);
  };
  const std::string huge("\x00\x00\x01\x00", 4);
  EXPECT_THAT(refused("a.bmp", std::string(bmp).replace(18, 4, "\xff\xff\x00\x00", 4).replace(22, 4, "\xff\xff\x00\x00", 4)),
              HasSubstr("over the limit of 419430400 pixels"));
  EXPECT_THAT(refused("zero.bmp", std::string(bmp).replace(18, 4, std::string(4, '\0'))),
              HasSubstr("0 x 29 pixels holds nothing"));
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  EXPECT_THAT(refused("a.jpg", std::string(jpeg).replace(frame + 5, 4, "\xff\xdc\xff\xdc", 4)), HasSubstr("over the limit"));
  EXPECT_THAT(refused("b.jpg", std::string(jpeg).replace(frame + 5, 4, "\x40\x00\x40\x00", 4)), HasSubstr("cannot hold"));
  EXPECT_NE(refused("a.png", std::string(png).replace(16, 4, huge)), "");
}

TEST(BadInput, FormsThatAreNotSupportedSayWhatToDo) {
  ScratchFolder scratch;
  std::string bmp = read_file(data_folder() / "tiling/formats/rgb.bmp");
  bmp[30] = 1;
  write_file(scratch.path / "rle.bmp", bmp);
  EXPECT_THAT(failure(scratch.path / "rle.bmp"), HasSubstr("BMP with compression 1 is not supported; save it uncompressed"));
}

}  // namespace
}  // namespace cytodet
