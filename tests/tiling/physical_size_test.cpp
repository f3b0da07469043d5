// How big a pixel is by what files say: every writer's unit, the order of trust, and what does not agree.
#include "tiling/slides/formats/physical_size.h"

#include <gmock/gmock.h>
#include <tiffio.h>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/ome.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::optional<double> imagej(const std::string& lines, float pixels_per_unit, uint16_t unit = 1) {
  const ChosenPixelSize c =
      tiff_pixel_size({"ImageJ=1.54f\nimages=1\n" + lines, {}, pixels_per_unit, pixels_per_unit, unit, 100});
  return c.size ? std::optional(c.size->x) : std::nullopt;
}

TEST(PixelSize, EveryUnitThatImageJWrites) {
  for (const char* unit : {"um", "micron", "microns", "\\u00B5m", "\\u00b5m", "\xc2\xb5m", "\xce\xbcm", "\xb5m", "micrometer"})
    EXPECT_EQ(imagej("unit=" + std::string(unit) + "\n", 4), 0.25) << unit;
  EXPECT_NEAR(imagej("unit=nm\n", 0.004F).value(), 0.25, 1e-6);
  EXPECT_NEAR(imagej("unit=mm\r\n", 4000).value(), 0.25, 1e-9);
  EXPECT_NEAR(imagej("unit=cm\n", 40000, RESUNIT_CENTIMETER).value(), 0.25, 1e-9);
  EXPECT_NEAR(imagej("unit=inch\n", 101600, RESUNIT_INCH).value(), 0.25, 1e-9);
  EXPECT_EQ(imagej("unit=um\n", 4, RESUNIT_INCH), 0.25) << "ImageJ believes its own unit";
  EXPECT_EQ(imagej("unit=pixel\n", 4), std::nullopt);
  EXPECT_EQ(imagej("", 4), std::nullopt);
  EXPECT_EQ(imagej("unit=um\n", 0), std::nullopt);
  const ChosenPixelSize c = tiff_pixel_size({"ImageJ=1.54f\nunit=um\nyunit=nm\n", {}, 4, 0.002F, 1, 100});
  EXPECT_EQ(c.size->x, 0.25);
  EXPECT_NEAR(c.size->y, 0.5, 1e-6);
}

TEST(PixelSize, AperioTextWhereverItStands) {
  const auto mpp = [](const std::string& text, int64_t width = 0) {
    const ChosenPixelSize c = tiff_pixel_size({text, {}, 0, 0, 1, width});
    return c.size ? std::optional(c.size->x) : std::nullopt;
  };
  EXPECT_EQ(mpp("Aperio Image Library v11\r\n320x240|AppMag = 20|MPP = 0.4970|Left = 3"), 0.497);
  EXPECT_EQ(mpp("Aperio|MPP=0,4970"), 0.497) << "a decimal comma";
  EXPECT_EQ(mpp("saved by another program|mpp = 0.4970"), 0.497);
  EXPECT_EQ(mpp("Aperio|MPPX = 0.4970"), std::nullopt);
  EXPECT_EQ(mpp("Aperio|MPP = 0"), std::nullopt);
  EXPECT_EQ(mpp("Aperio|MPP = -0.5"), std::nullopt);
  EXPECT_EQ(mpp("Aperio|MPP = x"), std::nullopt);
  EXPECT_EQ(mpp("Aperio v11\n2220x2968 -> 555x742 - ;old|MPP = 0.5", 555), 2.0) << "a level gives the finest level's";
  EXPECT_EQ(mpp("Aperio v11\n46920x33014 [0,100 46000x32814] (256x256) -> 11500x8203 JPEG;old|MPP = 0.5", 11500), 2.0);
  EXPECT_EQ(mpp("Aperio v11\n2220x2968 -> 555x742 - ;old|MPP = 0.5", 2220), 0.5);
  const ChosenPixelSize c = tiff_pixel_size({"", {"label 387x463", "Aperio|MPP = 0.4970"}, 0, 0, 1, 100});
  EXPECT_EQ(c.size->x, 0.497);
  EXPECT_EQ(c.size->source, "aperio.MPP of another image");
}

TEST(PixelSize, MetaMorphsCalibration) {
  const std::string text =
      R"(<MetaData><prop id="spatial-calibration-state" type="bool" value="on"/><prop id="spatial-calibration-x" type="float" )"
      R"(value="0.645"/><prop id="spatial-calibration-y" type="float" value="0.65"/><prop id="spatial-calibration-units" )"
      R"(type="string" value="um"/></MetaData>)";
  ChosenPixelSize c = tiff_pixel_size({text, {}, 72, 72, RESUNIT_INCH, 100});
  EXPECT_EQ(c.size->x, 0.645);
  EXPECT_EQ(c.size->y, 0.65);
  std::string off = text;
  off.replace(off.find("\"on\""), 4, "\"off\"");
  EXPECT_FALSE(tiff_pixel_size({off, {}, 72, 72, RESUNIT_INCH, 100}).size);
}

TEST(PixelSize, OmeInEveryUnit) {
  const auto size = [](const std::string& x, const std::string& unit) {
    const auto s = ome_pixel_size(R"(<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Pixels PhysicalSizeX=")" +
                                  x + R"(" PhysicalSizeXUnit=")" + unit + R"("/></OME>)");
    return s ? std::optional((*s)[0]) : std::nullopt;
  };
  EXPECT_EQ(size("0.25", ""), 0.25);
  EXPECT_NEAR(size("250", "nm").value(), 0.25, 1e-12);
  EXPECT_NEAR(size("2500", "\xc3\x85").value(), 0.25, 1e-12) << "angstrom";
  EXPECT_NEAR(size("0.00025", "mm").value(), 0.25, 1e-12);
  EXPECT_NEAR(size("0.00001", "in").value(), 0.254, 1e-12);
  EXPECT_EQ(size("0.25", "reference frame"), std::nullopt);
  EXPECT_EQ(size("0.25", "pixel"), std::nullopt);
}

TEST(PixelSize, AResolutionCountsWhereItIsFinerThanAScreens) {
  const auto size = [](float r, uint16_t unit) { return tiff_pixel_size({"", {}, r, r, unit, 100}).size; };
  EXPECT_NEAR(size(20040.1F, RESUNIT_INCH)->x, 1.26746, 1e-4);
  EXPECT_NEAR(size(20040.1F, RESUNIT_CENTIMETER)->x, 0.499, 1e-5);
  EXPECT_FALSE(size(72, RESUNIT_INCH));
  EXPECT_FALSE(size(300, RESUNIT_INCH));
  EXPECT_FALSE(size(20040, RESUNIT_NONE));
  EXPECT_FALSE(size(0, RESUNIT_INCH));
  EXPECT_FALSE(size(NAN, RESUNIT_INCH));
  EXPECT_FALSE(size(1e9F, RESUNIT_INCH));
}

TEST(PixelSize, SourcesThatDisagreeAreNamed) {
  // 0.499 in the text; the resolution is pixels per centimetre with the unit inch.
  ChosenPixelSize c = tiff_pixel_size({"Aperio|MPP = 0.499", {}, 20040.1F, 20040.1F, RESUNIT_INCH, 100});
  EXPECT_EQ(c.size->x, 0.499);
  EXPECT_THAT(c.warning, AllOf(HasSubstr("0.499 by aperio.MPP, but 1.267 by TIFF XResolution"),
                               HasSubstr("inch and centimetre are mixed up"), HasSubstr("--set-mpp")));
  EXPECT_EQ(tiff_pixel_size({"Aperio|MPP = 0.499", {}, 20040.1F, 20040.1F, RESUNIT_CENTIMETER, 100}).warning, "") << "they agree";
  EXPECT_EQ(tiff_pixel_size({"Aperio|MPP = 0.499", {}, 72, 72, RESUNIT_INCH, 100}).warning, "") << "a screen's says nothing";
  c = choose_pixel_size(std::vector<PixelSize>{{0.25, 0.25, "a"}, {0.25, 0.5, "b"}});
  EXPECT_THAT(c.warning, HasSubstr("0.25 by a, but 0.25 x 0.5 by b"));
  c = choose_pixel_size(std::vector<PixelSize>{{0.5, 0.5, "a"}, {12.6, 12.6, "b"}});
  EXPECT_THAT(c.warning, HasSubstr("25.4 times")) << c.warning;
}

TEST(PixelSize, UnusualSizesAreNamed) {
  const auto warning = [](double v) { return choose_pixel_size(std::vector<PixelSize>{{v, v, "a"}}).warning; };
  for (double usual : {0.05, 0.11, 0.25, 0.5, 1.0, 2.0, 5.3}) EXPECT_EQ(warning(usual), "") << usual;
  for (double wrong : {0.25 / 25.4, 0.5 / 25.4, 0.25 * 25.4, 12.6})
    EXPECT_THAT(warning(wrong), HasSubstr("unusual for a microscope")) << wrong;
}

TEST(PixelSize, ReadFromFiles) {
  struct Case {
    const char* file;
    double x, y;
    const char* source;
  };
  for (const Case& c : {Case{"field/12-single-strip/ij_cal.tif", 0.25, 0.25, "ImageJ unit"},
                        Case{"field/19-nonsquare-mpp/x05_y025.tif", 0.5, 0.25, "TIFF XResolution"},
                        Case{"field/27-aperio-strips/core.tif", 0.497, 0.497, "aperio.MPP"},
                        Case{"field/27-aperio-strips/core_tiled.tif", 0.497, 0.497, "aperio.MPP"},
                        Case{"field/27-aperio-strips/vips_inch.tif", 1.26746, 1.26746, "TIFF XResolution"},
                        Case{"slides/cmu-1-small-region.svs", 0.499, 0.499, "aperio.MPP"}}) {
    const auto slide = open_slide(data_folder() / c.file);
    ASSERT_TRUE(slide->mpp_x) << c.file;
    EXPECT_NEAR(*slide->mpp_x, c.x, 1e-5) << c.file;
    EXPECT_NEAR(*slide->mpp_y, c.y, 1e-5) << c.file;
    EXPECT_EQ(slide->mpp_source, c.source) << c.file;
    EXPECT_EQ(slide->mpp_warning, "") << c.file;
  }
}

TEST(PixelSize, PlainImagesReportAFineResolution) {
  const auto bytes = [](const std::string& text) {
    return std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  };
  const auto png = [&](const std::string& density) {
    const std::string header("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0crc.", 33);
    return image_pixel_size(bytes(header + std::string("\0\0\0\x09pHYs", 8) + density + "crc."));
  };
  // 4,000,000 and 2,000,000 pixels per metre.
  const auto fine = png(std::string("\0\x3d\x09\0\0\x1e\x84\x80\1", 9));
  ASSERT_TRUE(fine.size);
  EXPECT_EQ(fine.size->x, 0.25);
  EXPECT_EQ(fine.size->y, 0.5);
  EXPECT_EQ(fine.size->source, "PNG pHYs");
  EXPECT_FALSE(png(std::string("\0\0\x0b\x13\0\0\x0b\x13\1", 9)).size) << "72 dots per inch";
  EXPECT_FALSE(png(std::string("\0\x3d\x09\0\0\x1e\x84\x80\0", 9)).size) << "no unit";
  const auto jpeg = [&](char unit, const std::string& density) {
    return image_pixel_size(
        bytes(std::string("\xff\xd8\xff\xe0\0\x10JFIF\0\1\2", 13) + std::string(1, unit) + density + std::string(2, '\0')));
  };
  EXPECT_EQ(jpeg(2, "\x9c\x40\x9c\x40").size->x, 0.25) << "40,000 per centimetre";
  EXPECT_EQ(jpeg(1, "\x63\x9c\x63\x9c").size->x, 25400.0 / 25500);
  EXPECT_FALSE(jpeg(1, std::string("\0\x48\0\x48", 4)).size);
  EXPECT_FALSE(jpeg(0, "\x9c\x40\x9c\x40").size);
  std::string bmp = "BM" + std::string(52, '\0');
  bmp[14] = 40;
  bmp.replace(38, 8, std::string("\0\x09\x3d\0\0\x09\x3d\0", 8));
  EXPECT_EQ(image_pixel_size(bytes(bmp)).size->x, 0.25);
  for (size_t cut = 0; cut < bmp.size(); ++cut) EXPECT_FALSE(image_pixel_size(bytes(bmp.substr(0, cut))).size);
  EXPECT_FALSE(open_slide(data_folder() / "bccd/BloodImage_00007.jpg")->mpp_x);
}

// Two strips, what the file says on the second image only.
TEST(PixelSize, ReadFromTheTextOfAnotherPage) {
  const ScratchFolder folder;
  const std::string file = (folder.path / "a.tif").string();
  TIFF* tiff = TIFFOpen(file.c_str(), "w");
  const std::vector<uint8_t> gray(64 * 64, 200);
  for (const char* text : {"", "Aperio Image Library|MPP = 0.4970"}) {
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, 64);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, 64);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 64);
    if (*text) TIFFSetField(tiff, TIFFTAG_SUBFILETYPE, FILETYPE_REDUCEDIMAGE);
    if (*text) TIFFSetField(tiff, TIFFTAG_IMAGEDESCRIPTION, text);
    TIFFWriteEncodedStrip(tiff, 0, const_cast<uint8_t*>(gray.data()), static_cast<tmsize_t>(gray.size()));
    TIFFWriteDirectory(tiff);
  }
  TIFFClose(tiff);
  const auto slide = open_slide(file);
  EXPECT_EQ(slide->mpp_x, 0.497);
  EXPECT_EQ(read_whole(*slide).rgb[0], 200) << "the first image is still the one that is read";
}

}  // namespace
}  // namespace cytodet
