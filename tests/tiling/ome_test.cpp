// OME-TIFFs by the planes they hold: one image, three channels of one, or what cannot be one.
#include "tiling/slides/formats/ome.h"

#include <gmock/gmock.h>
#include <tiffio.h>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/ome_images.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string ome_xml(const std::string& sizes, const std::string& inside = "") {
  return "<?xml version=\"1.0\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"><Image ID=\"Image:0\"><Pixels "
         "ID=\"Pixels:0\" PhysicalSizeX=\"0.25\" " +
         sizes + ">" + inside + "</Pixels></Image></OME>";
}

constexpr const char* kThreeChannels = "SizeC=\"3\" SizeZ=\"1\" SizeT=\"1\"";

// Images of one value each, the description in the first.
struct Sample {
  std::string xml;
  std::vector<int> values;  // one image each
  int samples = 1, bits = 8, photometric = PHOTOMETRIC_MINISBLACK, compression = COMPRESSION_NONE;
  int side = 48, last_side = 48;  // the last image's
};

class Ome : public ::testing::Test {
 protected:
  ScratchFolder scratch;
  std::string path = (scratch.path / "sample.ome.tif").string();

  const std::string& write(const Sample& s) {
    TIFF* t = TIFFOpen(path.c_str(), "w");
    for (size_t i = 0; i < s.values.size(); ++i) {
      const int side = i + 1 == s.values.size() && i > 0 ? s.last_side : s.side;
      TIFFSetField(t, TIFFTAG_IMAGEWIDTH, side);
      TIFFSetField(t, TIFFTAG_IMAGELENGTH, side);
      TIFFSetField(t, TIFFTAG_TILEWIDTH, 32);
      TIFFSetField(t, TIFFTAG_TILELENGTH, 32);
      TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, s.samples);
      TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, s.bits);
      TIFFSetField(t, TIFFTAG_PHOTOMETRIC, s.photometric);
      TIFFSetField(t, TIFFTAG_COMPRESSION, s.compression);
      TIFFSetField(t, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
      if (i == 0) TIFFSetField(t, TIFFTAG_IMAGEDESCRIPTION, s.xml.c_str());
      std::vector<uint8_t> tile(static_cast<size_t>(32 * 32 * s.samples * s.bits / 8), static_cast<uint8_t>(s.values[i]));
      for (int y = 0; y < side; y += 32)
        for (int x = 0; x < side; x += 32)
          TIFFWriteTile(t, tile.data(), static_cast<uint32_t>(x), static_cast<uint32_t>(y), 0, 0);
      TIFFWriteDirectory(t);
    }
    TIFFClose(t);
    return path;
  }
  std::vector<int> pixel(const Sample& s) {
    const Image image = read_whole(*open_slide(write(s)));
    const uint8_t* p = image.row(image.height / 2) + image.width / 2 * 3;
    return {p[0], p[1], p[2]};
  }
  std::string refused(const Sample& s) {
    return error_of([&] { open_slide(write(s)); });
  }
};

TEST_F(Ome, ThreeGrayChannelsAreOneImage) {
  EXPECT_EQ(pixel({ome_xml(kThreeChannels), {10, 120, 230}}), (std::vector{10, 120, 230}));
  EXPECT_EQ(pixel({ome_xml(kThreeChannels, "<TiffData/>"), {10, 120, 230}}), (std::vector{10, 120, 230}));
  const std::string reordered =
      R"(<TiffData IFD="0" FirstC="2"/><TiffData IFD="2" FirstC="0"><UUID FileName="a.tif">u</UUID></TiffData>)"
      R"(<TiffData FirstC="1" IFD="3" PlaneCount="1"><UUID FileName="a.tif">u</UUID></TiffData>)";
  EXPECT_EQ(pixel({ome_xml(kThreeChannels, reordered), {10, 120, 230, 40}}), (std::vector{230, 40, 10})) << "places are given";
  EXPECT_EQ(pixel({ome_xml(kThreeChannels, "<TiffData IFD='1' PlaneCount='3'/>"), {1, 10, 120, 230}}),
            (std::vector{10, 120, 230}));
  const std::unique_ptr<Slide> slide = open_slide(path);
  EXPECT_EQ(slide->format, "tiff");
  EXPECT_EQ(slide->levels.size(), 1u) << "channels are no levels";
  EXPECT_EQ(slide->levels[0].codec, "uncompressed in 3 channels");
  EXPECT_EQ(slide->mpp_x, 0.25);
}

TEST_F(Ome, ChannelsInJpegAreShrunkInsideTheCodec) {
  Sample s{ome_xml(kThreeChannels), {10, 120, 230}};
  s.compression = COMPRESSION_JPEG;
  const std::unique_ptr<Slide> slide = open_slide(write(s));
  Image small(16, 16);
  slide->read_downsampled(0, 0, 0, 32, 32, 2, small.rgb.data());
  for (int c = 0; c < 3; ++c) EXPECT_NEAR(small.row(8)[24 + c], s.values[static_cast<size_t>(c)], 2);
}

TEST_F(Ome, ChannelsOfAPyramid) {
  const std::unique_ptr<Slide> slide = open_slide(data_folder() / "tiling/formats/ome_channels.tif"),
                               rgb = open_slide(data_folder() / "tiling/formats/ome.tif");
  ASSERT_EQ(slide->levels.size(), 2u);
  for (int level = 0; level < 2; ++level) EXPECT_EQ(read_whole(*slide, level).rgb, read_whole(*rgb, level).rgb) << level;
  EXPECT_EQ(slide->mpp_x, rgb->mpp_x);
}

TEST_F(Ome, OnePlaneIsReadAsItIs) {
  const std::string one = ome_xml("SizeC=\"1\" SizeZ=\"1\" SizeT=\"1\"");
  EXPECT_EQ(pixel({one, {77}}), (std::vector{77, 77, 77}));
  Sample rgb{ome_xml(kThreeChannels), {90}, 3};
  rgb.photometric = PHOTOMETRIC_RGB;
  EXPECT_EQ(pixel(rgb), (std::vector{90, 90, 90}));
  rgb.values = {90, 91};
  EXPECT_EQ(pixel(rgb), (std::vector{90, 90, 90})) << "images behind, such as a label, are not its planes";
  rgb.xml =
      "<OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"><BinaryOnly MetadataFile=\"a.companion.ome\"/></OME>";
  EXPECT_THAT(refused(rgb), HasSubstr("2 pages of 48 x 48")) << "what they are to each other lies in another file";
  EXPECT_THAT(refused({rgb.xml, {77}}), HasSubstr("is one of a set of OME-TIFFs, of which a.companion.ome says what they are"));
  EXPECT_THAT(refused({"not OME", {77, 78}}), HasSubstr("2 pages of 48 x 48"));
}

TEST_F(Ome, WhatIsNotOneImageIsRefused) {
  const auto sizes = [](int c, int z, int t) {
    return ome_xml("SizeC=\"" + std::to_string(c) + "\" SizeZ=\"" + std::to_string(z) + "\" SizeT=\"" + std::to_string(t) + "\"");
  };
  EXPECT_THAT(refused({sizes(5, 1, 1), {1, 2, 3, 4, 5}}),
              AllOf(HasSubstr("sample.ome.tif: is an OME-TIFF of 5 gray channels, not of one image"),
                    HasSubstr("--channel, from 0 to 4")));
  EXPECT_THAT(refused({sizes(2, 4, 3), {1, 2}}), HasSubstr("2 gray channels, 4 focal planes, 3 points in time"));
  EXPECT_THAT(refused({sizes(1, 7, 1), {1, 2}}), HasSubstr("focal plane 4 of 7 should be image 4, and it holds 2"));
  EXPECT_THAT(refused({sizes(3, 1, 2), {1, 2, 3}}), HasSubstr("3 gray channels, 2 points in time"));
  EXPECT_THAT(refused({sizes(3, 1, 1), {1, 2, 3}, 1, 16}), HasSubstr("3 gray channels of 16 bits"));
  EXPECT_THAT(refused({sizes(3, 1, 1), {1}, 3}), HasSubstr("3 gray channels"));
  Sample rgb{sizes(3, 3, 1), {1, 2, 3}, 3};
  rgb.photometric = PHOTOMETRIC_RGB;
  EXPECT_EQ(pixel(rgb), (std::vector{2, 2, 2})) << "the middle one of three focal planes";
  rgb.xml = sizes(6, 1, 1);
  EXPECT_THAT(refused(rgb), HasSubstr("of 2 colour images as channels, not"));
}

TEST_F(Ome, WhatXmlReportsWronglyIsNamed) {
  const auto with = [](const std::string& inside) { return Sample{ome_xml(kThreeChannels, inside), {1, 2, 3}}; };
  EXPECT_THAT(refused({ome_xml(kThreeChannels), {1, 2}}), HasSubstr("channel 3 of 3 should be image 3, and it holds 2"));
  EXPECT_THAT(refused(with("<TiffData IFD=\"4294967295\" PlaneCount=\"3\"/>")), HasSubstr("should be image 4294967296"));
  EXPECT_THAT(refused(with("<TiffData IFD=\"0\"/>")), HasSubstr("does not say where each of its images lies"));
  EXPECT_THAT(refused(with("<TiffData IFD=\"-1\"/>")), HasSubstr("gives no number by IFD"));
  EXPECT_THAT(
      refused(with(R"(<TiffData IFD="0"><UUID FileName="a"/></TiffData><TiffData IFD="0"><UUID FileName="b"/></TiffData>)")),
      HasSubstr("in several files"));
  const auto piece = [&](const std::string& own) {
    std::string xml = ome_xml("SizeC=\"1\" SizeZ=\"1\" SizeT=\"1\"",
                              "<TiffData IFD=\"0\"><UUID FileName=\"first.tif\">urn:uuid:1</UUID></TiffData>");
    return xml.insert(xml.find("<OME") + 4, " UUID=\"urn:uuid:" + own + "\"");
  };
  EXPECT_EQ(pixel({piece("1"), {7}}), (std::vector{7, 7, 7})) << "renamed since";
  EXPECT_THAT(refused({piece("2"), {7}}), HasSubstr("first.tif")) << "a piece of a set, without the image";
  EXPECT_THAT(refused({ome_xml("SizeC=\"0\" SizeZ=\"1\" SizeT=\"1\""), {1, 2}}), HasSubstr("not say what they are"));
  Sample uneven = with("");
  uneven.last_side = 40;
  EXPECT_THAT(refused(uneven), HasSubstr("3 channels that differ in size"));
}

TEST_F(Ome, ImagesOfOmeXml) {
  const auto is = [](const std::string& sizes, uint32_t c, uint32_t z, uint32_t t) {
    const auto images = ome_images(ome_xml(sizes));
    return images.size() == 1 && images[0].channels == c && images[0].depths == z && images[0].times == t;
  };
  EXPECT_TRUE(is("SizeC='4'\nSizeZ=\"4294967295\" SizeT=\"2\"", 4, 4294967295, 2));
  for (const char* none :
       {"", "SizeC=\"1\" SizeZ=\"1\"", "SizeC=\"1\" SizeZ=\"1\" SizeT=\"0\"", "SizeC=\"a\" SizeZ=\"1\" SizeT=\"1\"",
        "SizeC=\"4294967296\" SizeZ=\"1\" SizeT=\"1\"", "SizeC=\"1 \" SizeZ=\"1\" SizeT=\"1\""})
    EXPECT_TRUE(ome_images(ome_xml(none)).empty()) << none;
  OmeImage image;
  image.channels = 2;
  image.depths = 3;
  image.order = "XYZCT";
  EXPECT_EQ(OmePlaces(image).at(1, 2, 0).directory, 5u);
  image.order = "XYCZT";
  EXPECT_EQ(OmePlaces(image).at(1, 2, 0).directory, 5u);
  EXPECT_EQ(OmePlaces(image).at(1, 0, 0).directory, 1u);
  image.data = {{0, 1, 0, 7, 2, "b.tif", "", ""}};
  EXPECT_EQ(OmePlaces(image).at(1, 1, 0).directory, 8u);
  EXPECT_EQ(OmePlaces(image).at(1, 1, 0).file, "b.tif");
  EXPECT_FALSE(OmePlaces(image).at(0, 0, 0).directory);
}

}  // namespace
}  // namespace cytodet
