// Sample forms, stacks, pages and series against what tifffile and Pillow see (scripts/make_tiff_forms_golden.py): what is read
// has the right pixels, what is not is refused by name, and nothing of consequence is left out without a word.
#include <gmock/gmock.h>

#include <sstream>

#include "tests/tiling/samples.h"
#include "tiling/slides/formats/imagej.h"
#include "tiling/slides/formats/tiff_samples.h"
#include "tiling/slides/formats/xml_text.h"

namespace cytodet {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::filesystem::path forms() { return data_folder() / "tiling" / "forms"; }
std::filesystem::path field(const std::string& file) { return data_folder() / "field" / file; }

// "page=1;stretch=12", "-": nothing.
ImageSelection selection_of(const std::string& text) {
  ImageSelection s;
  std::istringstream parts(text == "-" ? "" : text);
  for (std::string part; std::getline(parts, part, ';');) {
    const size_t eq = part.find('=');
    const std::string key = part.substr(0, eq), value = part.substr(eq + 1);
    if (key == "series") s.series = std::stoi(value);
    if (key == "page") s.page = std::stoi(value);
    if (key == "plane") s.plane = std::stoi(value);
    if (key == "time") s.time = std::stoi(value);
    if (key == "channel") s.channel = value;
    if (key == "stretch") s.stretch = value;
  }
  check(s);
  return s;
}

std::string refused(const std::filesystem::path& file, const std::string& selection = "-") {
  return error_of([&] { open_slide(file, selection_of(selection)); });
}
std::unique_ptr<Slide> opened(const std::string& name, const std::string& selection = "-") {
  return open_slide(forms() / name, selection_of(selection));
}

TEST(TiffForms, PixelsAreThoseThatOtherReadersSee) {
  std::istringstream list(read_file(forms() / "list.txt"));
  std::string name, golden, selection;
  int width, height, tolerance, count = 0;
  while (list >> name >> golden >> selection >> width >> height >> tolerance) {
    SCOPED_TRACE(name + " " + selection);
    try {
      std::unique_ptr<Slide> slide = opened(name, selection);
      EXPECT_EQ(slide->width(), width);
      EXPECT_EQ(slide->height(), height);
      EXPECT_LE(largest_difference(read_whole(*slide).rgb, read_file(forms() / golden)), tolerance);
    } catch (const Error& e) {
      ADD_FAILURE() << e.what();
    }
    ++count;
  }
  EXPECT_GE(count, 60);
}

TEST(TiffForms, WhatIsNotReadIsRefusedByName) {
  EXPECT_THAT(refused(forms() / "complex.tif"), HasSubstr("64 bits complex"));
  EXPECT_THAT(refused(forms() / "complex.tif", "stretch=auto"), HasSubstr("not read")) << "no values make it an image";
  EXPECT_THAT(refused(forms() / "signed16.tif"), AllOf(HasSubstr("16 bits signed"), HasSubstr("--stretch")));
  EXPECT_THAT(refused(forms() / "signed8.tif"), HasSubstr("8 bits signed"));
  EXPECT_THAT(refused(forms() / "float32.tif"), AllOf(HasSubstr("32 bits float"), HasSubstr("--stretch")));
  EXPECT_THAT(refused(forms() / "gray32.tif"), HasSubstr("32 bits"));
  EXPECT_THAT(refused(forms() / "cielab.tif"), HasSubstr("CIE L*a*b*"));
  EXPECT_THAT(refused(forms() / "icclab.tif"), HasSubstr("ICC L*a*b*"));
  EXPECT_THAT(refused(forms() / "mask.tif"), HasSubstr("transparency mask"));
  EXPECT_THAT(refused(forms() / "loglum.tif"), HasSubstr("LogL"));
  EXPECT_THAT(refused(forms() / "odd.tif"), HasSubstr("photometric interpretation 777"));
}

TEST(TiffForms, SamplesThatAreNoColoursAreLeftOutWithAWord) {
  EXPECT_THAT(opened("rgb_unspecified.tif")->warnings, ElementsAre(HasSubstr("a sample of which")));
  EXPECT_THAT(opened("rgb_unassociated.tif")->warnings, IsEmpty());
  EXPECT_THAT(refused(forms() / "gray_samples.tif"), AllOf(HasSubstr("3 gray channels"), HasSubstr("--channel")));
  EXPECT_THAT(refused(forms() / "gray_planar.tif"), HasSubstr("3 gray channels"));
}

TEST(TiffForms, DataThatUseAFractionOfTheirBitsAreNoticed) {
  const auto warned = [](const std::string& name, const std::string& selection = "-") {
    return opened(name, selection)->warnings;
  };
  EXPECT_THAT(warned("camera12.tif"), ElementsAre(AllOf(HasSubstr("16 bits"), HasSubstr("is 4095"), HasSubstr("--stretch 12"))));
  EXPECT_THAT(warned("camera12.png"), ElementsAre(AllOf(HasSubstr("16 bits"), HasSubstr("--stretch 12"))));
  EXPECT_THAT(warned("dark8.tif"), ElementsAre(AllOf(HasSubstr("is 31"), HasSubstr("--stretch 5"))));
  EXPECT_THAT(warned("stated.tif"), ElementsAre(HasSubstr("the file states 4095")));
  EXPECT_EQ(opened("camera12.tif", "stretch=auto")->selection, "values 0 to 4095 as black to white");
  EXPECT_EQ(opened("camera12.png", "stretch=12")->selection, "values 0 to 4095 as black to white");
  EXPECT_EQ(opened("dark8.tif", "stretch=auto")->selection, "values 0 to 31 as black to white");
  for (const char* stretched : {"stretch=12", "stretch=auto"}) EXPECT_THAT(warned("camera12.tif", stretched), IsEmpty());
  for (const char* full : {"gray12.tif", "gray16.tif", "rgb10.tif", "gray4.tif", "white_is_zero16.tif"})
    EXPECT_THAT(warned(full), IsEmpty()) << full;
  EXPECT_THAT(open_slide(field("16-12bit/cam12.tif"))->warnings, ElementsAre(HasSubstr("is 4080")));
  EXPECT_THAT(open_slide(field("16-12bit/full16.tif"))->warnings, IsEmpty());
  const Image stretched = read_whole(*open_slide(field("16-12bit/cam12.tif"), selection_of("stretch=auto"))),
              full = read_whole(*open_slide(field("16-12bit/full16.tif")));
  EXPECT_LE(largest_difference(stretched.rgb, {full.rgb.begin(), full.rgb.end()}), 1);
}

TEST(TiffForms, OutsideOfAStretchedSlideIsWhite) {
  for (const char* name : {"dark8.tif", "camera12.tif", "camera12.png"}) {
    std::unique_ptr<Slide> slide = opened(name, "stretch=14");
    Image region(5, 5);
    slide->read(0, slide->width() + 3, 0, 5, 5, region.rgb.data());
    EXPECT_THAT(region.rgb, Each(255)) << name;
    slide->read_downsampled(0, slide->width() + 4, 0, 10, 10, 2, region.rgb.data());
    EXPECT_THAT(region.rgb, Each(255)) << name;
  }
}

TEST(TiffPages, PagesOfOneSizeAreRefusedWithTheirCount) {
  EXPECT_THAT(refused(field("09-imagej-pages/fields5.tif")), AllOf(HasSubstr("5 pages of 640 x 480"), HasSubstr("--page")));
  EXPECT_THAT(refused(field("09-imagej-pages/zstack_gray.tif")), HasSubstr("5 pages"));
  EXPECT_THAT(refused(forms() / "fields.tif"), HasSubstr("4 pages"));
  EXPECT_THAT(refused(forms() / "fields.tif", "page=8"), HasSubstr("there is no page 8"));
  EXPECT_THAT(refused(forms() / "fields_with_levels.tif"), AllOf(HasSubstr("3 pages"), HasSubstr("--page: 0, 2, 4 (")));
  EXPECT_EQ(opened("fields_with_levels.tif", "page=4")->levels.size(), 2u);
  const auto slide = opened("fields.tif", "page=2");
  ASSERT_EQ(slide->levels.size(), 2u) << "the third of the half size is the third page's";
  EXPECT_EQ(read_whole(*slide, 1).rgb, read_whole(*opened("fields.tif", "page=6")).rgb);
  EXPECT_THAT(slide->selection, HasSubstr("page 2 (of 8"));
}

TEST(TiffPages, TheLargestImageIsTakenAndOthersAreNamed) {
  const auto slide = opened("thumbnail_first.tif");
  EXPECT_EQ(slide->width(), 37);
  EXPECT_THAT(slide->warnings, ElementsAre(AllOf(HasSubstr("1 more image"), HasSubstr("20 x 20"), HasSubstr("--page 2"))));
  ASSERT_EQ(slide->contents.others.size(), 2u);
  EXPECT_EQ(slide->contents.others[0].kind, "thumbnail");
  EXPECT_EQ(opened("with_mask.tif")->contents.others.at(0).kind, "mask");
  EXPECT_THAT(opened("with_mask.tif")->warnings, IsEmpty());
}

TEST(TiffPages, ALabelIsNeitherTheSlideNorALevel) {
  const auto slide = opened("label_reduced.tif");
  EXPECT_EQ(slide->height(), 29) << "the macro is larger";
  ASSERT_EQ(slide->levels.size(), 2u);
  EXPECT_EQ(read_whole(*slide, 1).rgb, read_whole(*opened("label_reduced.tif", "page=2")).rgb);
  ASSERT_EQ(slide->contents.others.size(), 2u);
  EXPECT_EQ(slide->contents.others[0].kind, "label");
  EXPECT_EQ(slide->contents.others[1].kind, "macro");
  EXPECT_THAT(slide->warnings, IsEmpty());
}

TEST(TiffPages, AFileOfASetDoesNotStandForTheSet) {
  EXPECT_THAT(refused(forms() / "set_gray.ome.tif"),
              AllOf(HasSubstr("one of a set of OME-TIFFs, of which set.companion.ome says"), HasSubstr("--page")));
  EXPECT_THAT(opened("set_rgb.ome.tif")->warnings, ElementsAre(HasSubstr("the others are not analysed")));
}

TEST(TiffPages, FocalPlanesOfAnAperioSlide) {
  const auto path = field("15-multifocal-svs/z2.svs");
  const auto slide = open_slide(path);
  ASSERT_EQ(slide->levels.size(), 2u);
  EXPECT_EQ(slide->levels[0].width, 1280);
  EXPECT_EQ(slide->levels[1].width, 320);
  EXPECT_EQ(slide->levels[1].height, 240);
  EXPECT_NEAR(slide->mpp_x.value_or(0), 0.499, 1e-9);
  EXPECT_EQ(slide->contents.planes, 2);
  EXPECT_THAT(slide->selection, HasSubstr("focal plane 0 (of 2"));
  EXPECT_THAT(slide->warnings, ElementsAre(HasSubstr("2 focal planes")));
  const auto other = open_slide(path, selection_of("plane=1"));
  EXPECT_EQ(other->levels.size(), 2u);
  EXPECT_THAT(other->warnings, IsEmpty()) << "it was asked for";
  EXPECT_NE(read_whole(*slide, 1).rgb, read_whole(*other, 1).rgb);
  EXPECT_THAT(refused(path, "plane=2"), HasSubstr("2 focal planes; there is no number 2"));
  EXPECT_THAT(refused(forms() / "planes_jpeg2000.svs"), AllOf(HasSubstr("3 focal planes"), HasSubstr("compression 33005")));
}

TEST(TiffPages, LevelsOfOtherChannelsAreNoLevels) {
  const auto path = field("36-qptiff7/seven.qptiff");
  EXPECT_THAT(refused(path), AllOf(HasSubstr("QPTIFF of 7 gray channels"), HasSubstr("--channel, from 0 to 6")));
  for (const char* channel : {"channel=0", "channel=6"}) {
    const auto slide = open_slide(path, selection_of(channel));
    std::vector<int64_t> widths;
    for (const LevelInfo& l : slide->levels) widths.push_back(l.width);
    EXPECT_THAT(widths, ElementsAre(1280, 640, 320, 160, 80)) << channel;
  }
  EXPECT_THAT(refused(path, "channel=7"), HasSubstr("there is no channel \"7\""));
}

TEST(TiffPages, ChannelsOfImageJ) {
  const auto slide = open_slide(field("09-imagej-pages/composite.tif"));
  EXPECT_THAT(slide->selection, HasSubstr("channels 0, 1, 2 as red, green, blue"));
  EXPECT_EQ(slide->contents.channels, 3);
  EXPECT_THAT(slide->warnings, IsEmpty());
  EXPECT_THAT(refused(forms() / "ij_dyes.tif"), AllOf(HasSubstr("3 gray channels"), HasSubstr("look-up tables")));
  EXPECT_THAT(refused(forms() / "ij_grayscale.tif"), HasSubstr("mode=grayscale"));
  EXPECT_THAT(refused(forms() / "ij_frames.tif"), AllOf(HasSubstr("5 points in time"), HasSubstr("--time")));
  EXPECT_THAT(opened("ij_slices.tif")->warnings, ElementsAre(HasSubstr("5 focal planes; number 2")));
  EXPECT_THAT(refused(forms() / "ij_cut.tif"), HasSubstr("the file ends before image 4 of its stack"));
}

TEST(TiffPages, StacksAndDyesOfMicroscopes) {
  EXPECT_THAT(refused(forms() / "zeiss.lsm"),
              AllOf(HasSubstr("a Zeiss LSM of 2 gray channels, 2 focal planes"), HasSubstr("--channel")));
  EXPECT_THAT(refused(forms() / "metamorph.stk"), AllOf(HasSubstr("3 pages of 37 x 29"), HasSubstr("--page, from 0 to 2")));
  EXPECT_THAT(refused(forms() / "metamorph.stk", "page=3"), HasSubstr("there is no page 3"));
  const auto bright = opened("bright.qptiff");
  EXPECT_EQ(bright->levels.size(), 2u);
  EXPECT_THAT(bright->warnings, IsEmpty()) << "overview, label and thumbnail are named as such";
  ASSERT_EQ(bright->contents.others.size(), 3u);
  EXPECT_EQ(bright->contents.others[1].kind, "overview");
  EXPECT_THAT(refused(forms() / "dyes.qptiff"), HasSubstr("3 gray channels (DAPI, FITC, Cy3), not of one image"));
  EXPECT_EQ(opened("dyes.qptiff", "channel=DAPI")->levels.size(), 2u);
}

TEST(TiffPages, SeriesOfOme) {
  const auto slide = opened("series.ome.tif", "series=1");
  EXPECT_THAT(slide->selection, HasSubstr("series 1 (of 3, from 0) \"slide\""));
  EXPECT_EQ(slide->contents.planes, 5);
  EXPECT_THAT(refused(forms() / "series.ome.tif"), AllOf(HasSubstr("3 images"), HasSubstr("--series")));
  EXPECT_THAT(refused(forms() / "series.ome.tif", "series=3"), HasSubstr("there is no series 3"));
  const auto listed = list_contents(forms() / "series.ome.tif");
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->others.size(), 3u);
  EXPECT_THAT(listed->others[2].form, HasSubstr("3 gray channels (DAPI, FITC, Cy3)"));
  EXPECT_EQ(listed->others[2].option, "--series 2");
}

TEST(TiffPages, ImagesWithoutChoiceRefuseOne) {
  const auto path = data_folder() / "tiling/formats/rgb.png";
  EXPECT_NO_THROW(open_slide(path, selection_of("page=0;")));
  EXPECT_THAT(refused(path, "page=1"), AllOf(HasSubstr("rgb.png"), HasSubstr("holds one page"), HasSubstr("--page")));
  EXPECT_THAT(refused(path, "channel=0"), HasSubstr("one colour image"));
  EXPECT_THAT(refused(data_folder() / "slides/blood-mosaic.tif", "channel=0"), HasSubstr("one colour image"));
}

TEST(ImageSelection, WhatCannotBeIsRefused) {
  const auto wrong = [](const std::string& text) { return error_of([&] { selection_of(text); }); };
  for (const char* good : {"-", "page=0", "channel=0,1,2", "channel=DAPI", "stretch=1", "stretch=32", "stretch=-5,1e4"})
    EXPECT_EQ(wrong(good), "") << good;
  for (const char* bad : {"page=-1", "page=1;plane=0", "channel=1,2", "stretch=0", "stretch=33", "stretch=2.5", "stretch=5,5",
                          "stretch=1,", "stretch=yes", "stretch=nan,3"})
    EXPECT_NE(wrong(bad), "") << bad;
}

TEST(ImageJ, DescriptionOfAStack) {
  const auto s = imagej_stack("ImageJ=1.53t\nimages=30\r\nchannels=3\nslices=5\nframes=2\nmode=composite\n");
  ASSERT_TRUE(s);
  EXPECT_EQ(s->images, 30);
  EXPECT_EQ(s->channels * 100 + s->slices * 10 + s->frames, 352);
  EXPECT_EQ(s->mode, "composite");
  EXPECT_EQ(imagej_stack("ImageJ=\nimages=7\n")->slices, 7) << "a stack is one of slices";
  EXPECT_EQ(imagej_stack("ImageJ=\nimages=-7\nchannels=x\nslices=99999999999\n")->images, 1);
  EXPECT_FALSE(imagej_stack("images=7"));
  EXPECT_THAT(imagej_colours({}, {}, false), IsEmpty());
}

TEST(TiffSamples, PackedValuesOfAnyBits) {
  TiffLayout form;
  form.bits = 12;
  const uint8_t row[] = {0x12, 0x3f, 0xff, 0x00, 0x10};
  double values[3];
  unpack_samples(form, row, 3, values);
  EXPECT_THAT(values, ElementsAre(0x123, 0xfff, 0x001));
}

TEST(TiffSamples, OneSampleOfColoursIsItsOwn) {
  TiffLayout form;
  form.photometric = 2;
  form.samples = 3;
  EXPECT_EQ(sample_reading(form, -1, {}).by, SampleReading::By::library);
  const SampleReading green = sample_reading(form, 1, {});
  EXPECT_EQ(green.by, SampleReading::By::own) << "a library would give all three";
  EXPECT_THAT(green.samples, ElementsAre(1));
}

TEST(XmlText, TagsAndTheirAttributes) {
  std::string_view xml = "<?xml version='1.0'?><!-- <a> --><ome:Image Name = \"x\"/><Pixels SizeC='3'>t</Pixels>";
  EXPECT_EQ(text_of("<a><Name> DAPI </Name></a>", "Name"), "DAPI");
  EXPECT_EQ(text_of("<a><Names>1</Names></a>", "Name"), "");
  EXPECT_EQ(attribute(next_tag(xml, "Image").value_or(""), "Name"), "x");
  EXPECT_EQ(attribute(next_tag(xml, "Pixels").value_or(""), "SizeC"), "3");
  EXPECT_FALSE(next_tag(xml, "Pixels"));
}

}  // namespace
}  // namespace cytodet
