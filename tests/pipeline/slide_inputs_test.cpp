// Which files a folder of inputs stands for: slides that are folders, and slides that are not on this disk, are not left out in
// silence.
#include <gmock/gmock.h>

#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/list_inputs.h"
#include "tests/tiling/samples.h"

namespace cytodet {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

TEST(SlideInputs, FoldersOfOneSlideAreInputsThemselves) {
  ScratchFolder scratch;
  const fs::path in = scratch.path / "in", zarr = in / "S1.ome.zarr", mirax = in / "Case-1";
  fs::create_directories(zarr / "0");
  fs::create_directories(mirax);
  write_file(mirax / "Slidedat.ini", "[GENERAL]\n");
  EXPECT_THAT(expand_inputs({in.string()}), ElementsAre(zarr.string())) << "and data folders of other slides are not looked at";
  EXPECT_THAT(expand_inputs({zarr.string()}), ElementsAre(zarr.string()));
  EXPECT_THAT(expand_inputs({mirax.string()}), ElementsAre(mirax.string()));
}

TEST(SlideInputs, PartsOfASlideAreNoImages) {
  ScratchFolder scratch;
  const fs::path slide = scratch.path / "S1.vms", other = scratch.path / "other.jpg";
  write_file(slide, "[Virtual Microscope Specimen]\nImageFile=S1.jpg\nImageFile(1,0)=S1_1.jpg\nMapFile=map.jpg\n");
  for (const char* name : {"S1.jpg", "S1_1.jpg", "map.jpg", "other.jpg"}) write_file(scratch.path / name, "x");
  EXPECT_THAT(expand_inputs({scratch.path.string()}), ElementsAre(slide.string(), other.string()));
}

TEST(SlideInputs, APlaceholderOfICloudIsNotLeftOut) {
  ScratchFolder scratch;
  write_file(scratch.path / ".S2.svs.icloud", "bplist00");
  write_file(scratch.path / "._S2.svs", "x");
  write_file(scratch.path / ".hidden.svs", "x");
  EXPECT_THAT(expand_inputs({scratch.path.string()}), ElementsAre((scratch.path / ".S2.svs.icloud").string()));
}

}  // namespace
}  // namespace cytodet
