// Pixels of every form of image against what Pillow, tifffile and OpenSlide see (scripts/make_tiling_golden.py).
#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <thread>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/ome.h"
#include "tiling/slides/image_io.h"
#include "tiling/tiles/grid.h"

namespace cytodet {
namespace {

TEST(Formats, ImagesOfEveryPixelForm) {
  const auto folder = data_folder() / "tiling" / "formats";
  std::istringstream list(read_file(folder / "list.txt"));
  std::string name;
  int width, height, tolerance, count = 0;
  while (list >> name >> width >> height >> tolerance) {
    SCOPED_TRACE(name);
    std::unique_ptr<Slide> slide = open_slide(folder / name);
    EXPECT_EQ(slide->width(), width);
    EXPECT_EQ(slide->height(), height);
    EXPECT_LE(largest_difference(read_whole(*slide).rgb, read_file(folder / (name + ".rgb"))), tolerance);
    ++count;
  }
  EXPECT_GE(count, 50);
}

TEST(Formats, RegionsOfSlides) {
  std::istringstream list(read_file(data_folder() / "tiling" / "regions" / "list.txt"));
  std::string name, golden;
  int level, x, y, side, tolerance, count = 0;
  size_t levels;
  int64_t width, height;
  while (list >> name >> level >> x >> y >> side >> tolerance >> golden >> width >> height >> levels) {
    SCOPED_TRACE(name + " " + golden);
    std::unique_ptr<Slide> slide = open_slide(data_folder() / "slides" / name);
    EXPECT_EQ(slide->width(), width);
    EXPECT_EQ(slide->height(), height);
    EXPECT_EQ(slide->levels.size(), levels);
    Image region(side, side);
    slide->read(level, x, y, side, side, region.rgb.data());
    EXPECT_LE(largest_difference(region.rgb, read_file(data_folder() / "tiling" / "regions" / golden)), tolerance);
    ++count;
  }
  EXPECT_GE(count, 12);
}

TEST(Formats, EveryEntryOpensASample) {
  const std::vector<std::string> samples = {
      "tiling/formats/rgb420.jpg",     "tiling/formats/rgb.png",  "tiling/formats/rgb.bmp", "slides/blood-mosaic.tif",
      "slides/cmu-1-small-region.svs", "tiling/svs/jpeg2000.svs", "tiling/kfb/sample.kfb"};
  std::set<std::string> opened;
  for (const std::string& s : samples) {
    const std::unique_ptr<Slide> slide = open_slide(data_folder() / s), measured = open_measured_slide(data_folder() / s);
    opened.insert(slide->format);
    EXPECT_EQ(measured ? measured->mpp_x : std::nullopt, slide->mpp_x) << s;
    EXPECT_EQ(!measured, slide->levels[0].codec == "whole image") << s << ": what is decoded whole is left alone";
  }
  for (const SlideFormat& row : slide_formats()) EXPECT_TRUE(opened.contains(row.name)) << row.name << " has no sample";
}

TEST(Formats, ContentDecidesNotTheExtension) {
  ScratchFolder scratch;
  const auto renamed = scratch.path / "image.svs";
  std::filesystem::copy_file(data_folder() / "tiling/formats/rgb.png", renamed);
  EXPECT_EQ(open_slide(renamed)->format, "png");
  const auto unicode = scratch.path / "lame \xF0\x9F\x98\x90.jpg";
  std::filesystem::copy_file(data_folder() / "slides/boxes.tiff", unicode);
  EXPECT_EQ(open_slide(unicode)->format, "tiff");
}

TEST(Formats, PhysicalSizeAndItsSource) {
  std::unique_ptr<Slide> svs = open_slide(data_folder() / "slides/cmu-1-small-region.svs");
  ASSERT_TRUE(svs->mpp_x);
  EXPECT_NEAR(*svs->mpp_x, 0.499, 1e-9);
  EXPECT_EQ(svs->mpp_source, "aperio.MPP");
  std::unique_ptr<Slide> mosaic = open_slide(data_folder() / "slides/blood-mosaic.tif");
  ASSERT_TRUE(mosaic->mpp_x);
  EXPECT_NEAR(*mosaic->mpp_x, 0.25, 1e-4);
  EXPECT_EQ(mosaic->mpp_source, "TIFF XResolution");
  EXPECT_FALSE(open_slide(data_folder() / "slides/boxes.tiff")->mpp_x) << "72 dots per inch is no scanner's";
  std::unique_ptr<Slide> ome = open_slide(data_folder() / "tiling/formats/ome.tif");
  ASSERT_TRUE(ome->mpp_x && ome->mpp_y);
  EXPECT_NEAR(*ome->mpp_x, 0.325, 1e-9);
  EXPECT_NEAR(*ome->mpp_y, 0.5, 1e-9);
  EXPECT_EQ(ome->mpp_source, "OME PhysicalSizeX");
  EXPECT_EQ(ome->levels.size(), 2u);
}

TEST(Formats, WhatWasLookedForInVainIsNamed) {
  TilingSettings s;
  s.mpp = 0.5;
  const auto why = [&](const std::string& sample) {
    std::unique_ptr<Slide> slide = open_slide(data_folder() / sample);
    slide->mpp_x.reset();
    return error_of([&] { make_grid(*slide, s); });
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(
      why("slides/boxes.tiff"),
      HasSubstr("looked for OME PhysicalSizeX, aperio.MPP, the unit of ImageJ or MetaMorph, TIFF XResolution finer than 12.7"));
  EXPECT_THAT(why("slides/cmu-1-small-region.svs"), HasSubstr("looked for aperio.MPP)"));
  EXPECT_THAT(why("tiling/svs/jpeg2000.svs"), HasSubstr("looked for openslide.mpp-x)"));
  EXPECT_THAT(why("tiling/kfb/sample.kfb"), HasSubstr("KFB header"));
  EXPECT_THAT(why("tiling/formats/rgb.png"), HasSubstr("plain images do not say"));
}

TEST(Formats, PixelSizeOfOmeXml) {
  const auto read = [](const std::string& attributes) {
    return ome_pixel_size(
        "<?xml version=\"1.0\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"><Image><Pixels " + attributes +
        " ID=\"Pixels:0\"><TiffData/></Pixels></Image></OME>");
  };
  const auto is = [](double x, double y) { return std::optional(std::array{x, y}); };
  EXPECT_EQ(read("PhysicalSizeX=\"0.25\" PhysicalSizeY=\"0.5\""), is(0.25, 0.5));
  EXPECT_EQ(read("PhysicalSizeX = '0.25'\n PhysicalSizeXUnit='\xc2\xb5m'"), is(0.25, 0.25));
  EXPECT_EQ(read("PhysicalSizeXUnit=\"mm\" PhysicalSizeX=\"2e-3\" PhysicalSizeY=\"3\" PhysicalSizeYUnit=\"&#181;m\""), is(2, 3));
  for (const char* none :
       {"", "PhysicalSizeX", "PhysicalSizeX=", "PhysicalSizeX=\"0.25", "PhysicalSizeX=\"\"", "PhysicalSizeX=\"0.25 \"",
        "PhysicalSizeX=\"-1\"", "PhysicalSizeX=\"nan\"", "PhysicalSizeX=\"1e999\"",
        "PhysicalSizeX=\"1\" PhysicalSizeXUnit=\"pixel\"", "XPhysicalSizeX=\"1\"", "PhysicalSizeX=\"1\" PhysicalSizeY=\"0\""})
    EXPECT_EQ(read(none), std::nullopt) << none;
  EXPECT_EQ(ome_pixel_size("<Pixels PhysicalSizeX=\"1\">"), std::nullopt) << "not OME's";
  EXPECT_EQ(ome_pixel_size("openmicroscopy.org/Schemas/ <Pixels"), std::nullopt);
}

TEST(Formats, OutsideOfASlideIsWhite) {
  for (const char* name : {"slides/blood-mosaic.tif", "slides/cmu-1-small-region.svs", "tiling/formats/rgb.png",
                           "tiling/formats/orientation6.tif"}) {
    std::unique_ptr<Slide> slide = open_slide(data_folder() / name);
    Image region(5, 5);
    slide->read(0, slide->width() + 3, slide->height() + 3, 5, 5, region.rgb.data());
    EXPECT_TRUE(std::all_of(region.rgb.begin(), region.rgb.end(), [](uint8_t v) { return v == 255; })) << name;
    slide->read(0, -5, -5, 5, 5, region.rgb.data());
    EXPECT_TRUE(std::all_of(region.rgb.begin(), region.rgb.end(), [](uint8_t v) { return v == 255; })) << name;
  }
}

TEST(Formats, ThreadsReadTheSamePixels) {
  for (const char* name : {"slides/blood-mosaic.tif", "slides/cmu-1-small-region.svs", "tiling/formats/orientation8.tif"}) {
    std::unique_ptr<Slide> slide = open_slide(data_folder() / name);
    const Image whole = read_whole(*slide);
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 12; ++i) {
          const int x = (i * 331 + t * 97) % whole.width, y = (i * 577 + t * 31) % whole.height;
          Image part(std::min(300, whole.width - x), std::min(200, whole.height - y));
          slide->read(0, x, y, part.width, part.height, part.rgb.data());
          for (int r = 0; r < part.height; ++r)
            wrong += !std::equal(part.row(r), part.row(r) + part.width * 3, whole.row(y + r) + x * 3);
        }
      });
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(wrong, 0) << name;
  }
}

TEST(Formats, WrittenImagesReadBack) {
  ScratchFolder scratch;
  Image image = read_whole(*open_slide(data_folder() / "tiling/formats/rgb.png"));
  write_image(image, scratch.path / "a.png");
  EXPECT_EQ(read_whole(*open_slide(scratch.path / "a.png")).rgb, image.rgb);
  write_image(image, scratch.path / "a.jpg");
  std::unique_ptr<Slide> jpeg = open_slide(scratch.path / "a.jpg");
  EXPECT_EQ(jpeg->format, "jpeg");
  EXPECT_EQ(jpeg->width(), image.width);
  EXPECT_NE(error_of([&] { write_image(image, scratch.path / "none" / "a.png"); }), "");
}

}  // namespace
}  // namespace cytodet
