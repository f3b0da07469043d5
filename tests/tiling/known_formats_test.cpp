// Files that claim, by name or content, to be of a format that is not read or whose parts are missing: one error that says so.
#include "tiling/slides/formats/known_formats.h"

#include <gmock/gmock.h>

#include <set>
#include <sstream>

#include "core/path_match.h"
#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

const fs::path kFieldFolder = data_folder() / "field";

std::string refusal(const fs::path& path) {
  testing::internal::CaptureStderr();
  std::string what = error_of([&] { open_slide(path); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "libraries must not print";
  EXPECT_TRUE(what.empty() || what.starts_with(path.string() + ": ")) << what;
  EXPECT_EQ(what.find('\n'), std::string::npos) << what;
  EXPECT_LT(what.size(), path.string().size() + 400) << what;
  return what;
}

// A folder with a preview X.mrxs and what is put into the folder X beside it.
struct Mirax {
  ScratchFolder scratch;
  fs::path file, data;
  explicit Mirax(const std::string& name = "X.mrxs") : file(scratch.path / name), data(scratch.path / file.stem()) {
    fs::copy_file(data_folder() / "tiling/formats/rgb420.jpg", file);
  }
  Mirax& put(const std::string& name, const std::string& bytes = "x") {
    fs::create_directories(data);
    write_file(data / name, bytes);
    return *this;
  }
};

constexpr const char* kSlidedat =
    "\xef\xbb\xbf[GENERAL]\r\nSLIDE_VERSION = 01.02\r\n[HIERARCHICAL]\r\nINDEXFILE = Index.dat\r\n[DATAFILE]\r\nFILE_COUNT = "
    "2\r\n"
    "FILE_0 = Data0000.dat\r\nFILE_1 = Data0001.dat\r\n";

TEST(KnownFormats, MiraxWithoutItsFolderNamesTheFolder) {
  EXPECT_THAT(refusal(kFieldFolder / "29-mrxs-alone/Case-17.mrxs"),
              HasSubstr("MIRAX slide whose folder Case-17 beside it is missing"));
}

TEST(KnownFormats, MiraxWithAnIncompleteFolderNamesWhatItLacks) {
  EXPECT_THAT(refusal(kFieldFolder / "29-mrxs-alone/Case-18.mrxs"), HasSubstr("folder Case-18 lacks Slidedat.ini"));
  EXPECT_THAT(refusal(kFieldFolder / "29-mrxs-alone/CASE-19.MRXS"), HasSubstr("folder CASE-19 lacks Index.dat, Data0000.dat"));
  Mirax m;
  m.put("Slidedat.ini", kSlidedat).put("Data0000.dat");
  EXPECT_THAT(refusal(m.file), HasSubstr("folder X lacks Index.dat, Data0001.dat; copy the slide with its whole folder"));
  m.put("Index.dat");
  EXPECT_THAT(refusal(m.file), HasSubstr("folder X lacks Data0001.dat;"));
  m.put("DATA0001.DAT");
  EXPECT_THAT(refusal(m.file), HasSubstr("lacks Data0001.dat (there is DATA0001.DAT: rename it)"));
  m.put("Data0001.dat");
  EXPECT_THAT(refusal(m.file), AllOf(HasSubstr("OpenSlide"), Not(HasSubstr("lacks")))) << "complete, but nonsense within";
}

TEST(KnownFormats, MiraxInUpperCaseSaysThatTheNameMustChange) {
  Mirax m("X.MRXS");
  m.put("Slidedat.ini", kSlidedat).put("Data0000.dat").put("Data0001.dat").put("Index.dat");
  EXPECT_THAT(refusal(m.file), HasSubstr("knows .mrxs in lower case only; rename it to X.mrxs"));
  Mirax folder("Y.mrxs");
  fs::create_directories(folder.scratch.path / "y");
  EXPECT_THAT(refusal(folder.file), HasSubstr("folder Y is called y here"));
}

TEST(KnownFormats, OlympusOverviewIsNotTheSlide) {
  EXPECT_THAT(refusal(kFieldFolder / "30-vsi-overview/Image_01.vsi"),
              AllOf(HasSubstr("Olympus slide (VSI), which is not read"), HasSubstr("_Image_01_/stack1/frame_t.ets")));
  EXPECT_FALSE(list_contents(kFieldFolder / "30-vsi-overview/Image_01.vsi")) << "no page of it is to be chosen";
  ScratchFolder scratch;
  const auto copy = [&](const std::string& name) {
    fs::copy_file(kFieldFolder / "30-vsi-overview/Image_01.vsi", scratch.path / name);
    return scratch.path / name;
  };
  EXPECT_THAT(refusal(copy("alone.VSI")), HasSubstr("belong in the folder _alone_ beside it, which is missing"));
  fs::copy(kFieldFolder / "30-vsi-overview/_Image_01_", scratch.path / "_renamed_", fs::copy_options::recursive);
  const fs::path renamed = copy("renamed.tif");
  EXPECT_THAT(refusal(renamed), HasSubstr("_renamed_/stack1/frame_t.ets"));
  copy("renamed.vsi");
  EXPECT_EQ(refusal(renamed), "") << "a TIFF beside the .vsi was exported from it";
  EXPECT_THAT(refusal(scratch.path / "_renamed_/stack1/frame_t.ets"), HasSubstr("(ETS), which is not read"));
}

TEST(KnownFormats, HamamatsuTextNamesTheMissingImages) {
  ScratchFolder scratch;
  const fs::path file = scratch.path / "s.vms";
  write_file(file, "[Virtual Microscope Specimen]\nNoLayers=1\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMapFile=m.jpg\n");
  write_file(scratch.path / "a.jpg", "x");
  EXPECT_THAT(refusal(file), HasSubstr("lacks b.jpg, m.jpg; copy the slide with all image files"));
  write_file(scratch.path / "s.vmu", "[Uncompressed Virtual Microscope Specimen]\nImageFile=p.ngr\n");
  EXPECT_THAT(refusal(scratch.path / "s.vmu"), HasSubstr("lacks p.ngr"));
  write_file(file, "[Virtual Microscope Specimen]\n");
  EXPECT_THAT(refusal(file), HasSubstr("names no image files"));
}

// Every format, by its magic under a strange name and by each of its names with other content.
TEST(KnownFormats, EveryUnreadFormatIsNamedByContentAndByName) {
  ScratchFolder scratch;
  int count = 0;
  const std::string image = read_file(data_folder() / "tiling/formats/rgb.png");
  for (const KnownFormat& f : known_formats()) {
    if (f.use != FormatUse::unread) continue;
    SCOPED_TRACE(f.name);
    EXPECT_STRNE(f.advice, "");
    for (const Magic& m : f.magic) {
      if (m.bytes.empty()) continue;
      write_file(scratch.path / "a.svs", std::string(m.offset, 'z') + std::string(m.bytes) + std::string(2000, 'z'));
      EXPECT_THAT(refusal(scratch.path / "a.svs"), AllOf(HasSubstr(*f.what ? f.what : f.name), HasSubstr(f.advice)));
      ++count;
    }
    std::istringstream extensions(f.extensions);
    for (std::string e; extensions >> e;) {
      std::transform(e.begin(), e.end(), e.begin(), [](unsigned char c) { return std::toupper(c); });
      const fs::path file = scratch.path / ("a." + e);
      write_file(file, image);
      EXPECT_THAT(refusal(file), HasSubstr(e == "VSI" ? "Olympus" : *f.what ? f.what : f.name));
      ++count;
    }
  }
  EXPECT_GT(count, 100);
}

TEST(KnownFormats, SomeContentsAreImagesWhateverTheirName) {
  int alone = 0;
  for (const KnownFormat& f : known_formats())
    for (const Magic& m : f.magic) {
      if (m.bytes.empty()) continue;
      std::string head = std::string(m.offset, 'z') + std::string(m.bytes);
      head.resize(kFormatHead, '\0');
      EXPECT_EQ(holds_image({reinterpret_cast<const uint8_t*>(head.data()), head.size()}), f.alone) << f.name;
      alone += f.alone;
    }
  EXPECT_GT(alone, 10);
  const std::string text = "BM is how this text begins";
  EXPECT_FALSE(holds_image({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
}

TEST(KnownFormats, NamesOfVendorsAreNoNamesForOtherContent) {
  ScratchFolder scratch;
  for (const char* e : {"ndpi", "scn", "bif", "svslide", "kfb", "NDPI"})
    for (const char* content : {"tiling/formats/rgb420.jpg", "slides/boxes.tiff"}) {
      const fs::path file = scratch.path / (std::string("a.") + e);
      fs::copy_file(data_folder() / content, file, fs::copy_options::overwrite_existing);
      EXPECT_THAT(refusal(file), HasSubstr(std::string("is called .") + e + ", as ")) << content;
    }
}

TEST(KnownFormats, APlainImageUnderTheNameOfASlideIsWarnedOf) {
  ScratchFolder scratch;
  const auto warnings = [&](const std::string& sample, const std::string& name) {
    fs::copy_file(data_folder() / sample, scratch.path / name);
    return open_slide(scratch.path / name)->warnings;
  };
  EXPECT_THAT(warnings("tiling/formats/rgb420.jpg", "a.svs"),
              testing::Contains(HasSubstr("is called .svs, as Aperio SVS files are, and holds a plain JPEG image")));
  EXPECT_THAT(warnings("tiling/formats/rgb420.jpg", "a.JPEG"), testing::IsEmpty());
  EXPECT_THAT(warnings("slides/boxes.tiff", "b.svs"), testing::Not(testing::Contains(HasSubstr("is called"))));
}

TEST(KnownFormats, WhatServersAndDisksLeaveBehind) {
  ScratchFolder scratch;
  const auto said = [&](const std::string& name, const std::string& bytes) {
    write_file(scratch.path / name, bytes);
    return refusal(scratch.path / name);
  };
  EXPECT_THAT(said("a.svs", "\n <!DOCTYPE html>\n<html><body>Not found"), HasSubstr("is a web page (HTML), not a slide"));
  EXPECT_THAT(said("b.tif", "\xef\xbb\xbf<HTML>"), HasSubstr("is a web page (HTML), not a slide"));
  EXPECT_THAT(said("c.ndpi", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"),
              HasSubstr("is an XML text, not a slide"));
  EXPECT_THAT(said("d.svs", "{\"message\": \"Bad credentials\"}"), HasSubstr("is a JSON text, not a slide"));
  EXPECT_THAT(said("e.ome", "<?xml?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"/>"),
              HasSubstr("is the companion of OME-TIFFs"));
  EXPECT_THAT(said("f.svs", std::string(4096, '\0')), HasSubstr("begins with nothing but zeros"));
  EXPECT_THAT(said("._g.svs", std::string("\0\x05\x16\x07", 4) + std::string(100, '\0')), HasSubstr("AppleDouble"));
  EXPECT_THAT(said("h.svs", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"), HasSubstr("git lfs pull"));
  EXPECT_THAT(said("i.svs.crdownload", read_file(data_folder() / "slides/small.svs")), HasSubstr("is an unfinished download"));
  EXPECT_THAT(said("j.svs", std::string(1001, 'q')), HasSubstr("(it is called .svs, as Aperio SVS files are)"));
}

// core/path_match, which cannot see this table, has a list of its own.
TEST(KnownFormats, NamesAreMatchedWithoutTheExtensionOfEveryImage) {
  const std::set<std::string> documents{"pdf", "mp4", "mov", "avi", "h5", "hdf5"};
  for (const KnownFormat& f : known_formats()) {
    std::istringstream extensions(f.extensions);
    for (std::string e; extensions >> e;)
      if (called_as_slide("S1." + e) && !documents.contains(e)) {
        EXPECT_EQ(without_image_extension("S1." + e), "S1") << e;
      }
  }
}

TEST(KnownFormats, PiecesOfSplitFilesAreNamed) {
  ScratchFolder scratch;
  const std::string whole = read_file(data_folder() / "slides/boxes.tiff");
  const auto put = [&](const std::string& name, const std::string& bytes) {
    write_file(scratch.path / name, bytes);
    return scratch.path / name;
  };
  const size_t half = whole.size() / 2;
  const std::pair<const char*, const char*> names[] = {
      {"a.svs.001", "a.svs.002"}, {"b.TIF.09", "b.TIF.10"}, {"c.tif.aa", "c.tif.ab"}};
  for (const auto& [first, second] : names) {
    put(first, whole.substr(0, half));
    put(second, whole.substr(half));
    for (const char* name : {first, second})
      EXPECT_THAT(refusal(scratch.path / name),
                  AllOf(HasSubstr("is a piece of a split file, "), HasSubstr("join all pieces first")))
          << name;
  }
  for (const char* name : {"x.svs.aa", "x.svs.part2", "x.z01", "x.png.0003"})
    EXPECT_THAT(refusal(put(name, "no image")), HasSubstr("is a piece of a split file, x.")) << name << ", alone";
  for (const char* name : {"n.tif.001", "n.tif.002"}) put(name, whole);
  EXPECT_EQ(refusal(scratch.path / "n.tif.001"), "") << "whole images that are numbered";
  EXPECT_EQ(refusal(scratch.path / "n.tif.002"), "");
  EXPECT_EQ(refusal(put("report.001", whole)), "") << "no piece of an image by its name";
}

TEST(KnownFormats, ATiffWithoutItsDirectoryIsCutOff) {
  ScratchFolder scratch;
  const std::string whole = read_file(data_folder() / "slides/boxes.tiff");
  std::string cut = whole.substr(0, 600);
  cut.replace(4, 4, std::string("\xf0\xf0\0\0", 4));
  if (cut[0] == 'M') cut.replace(4, 4, std::string("\0\0\xf0\xf0", 4));
  write_file(scratch.path / "cut.tif", cut);
  EXPECT_THAT(refusal(scratch.path / "cut.tif"),
              HasSubstr("cut off: its directory lies at byte 61680 and the file ends at byte 600"));
}

TEST(KnownFormats, FoldersOfOneSlideAreNamed) {
  ScratchFolder scratch;
  fs::create_directories(scratch.path / "S1.ome.zarr/0");
  EXPECT_THAT(refusal(scratch.path / "S1.ome.zarr"), HasSubstr("folder of OME-Zarr, which is not read"));
  Mirax m;
  m.put("Slidedat.ini", kSlidedat);
  EXPECT_THAT(refusal(m.data), HasSubstr("data folder of a MIRAX slide; name X.mrxs"));
  EXPECT_TRUE(is_slide_folder(m.data));
  EXPECT_FALSE(is_slide_folder(m.scratch.path));
  EXPECT_TRUE(called_as_slide("a/S1.ZARR"));
  EXPECT_TRUE(called_as_slide("S1.Ndpi"));
  EXPECT_FALSE(called_as_slide("a.zip"));
  EXPECT_FALSE(called_as_slide("svs"));
}

}  // namespace
}  // namespace cytodet
