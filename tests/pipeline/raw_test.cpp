// What tiles found can be merged again without a network, as if the detector had had the other settings.
#include <gtest/gtest.h>

#include "pipeline/detect/image_pipeline.h"
#include "tests/pipeline/program.h"

namespace cytodet::test {
namespace {

class Raw : public ::testing::Test {
 protected:
  static DetectedImage found(const DetectSettings& s, SuppressionMethod suppression) {
    ModelFile model = load_model(kModel);
    model.suppression.method = suppression;
    Detector detector(with_settings(model, s), {.streams = 1});
    DetectReport r = detect(detector, {kSource + "/tests/data/slides/blood-mosaic.tif"}, s);
    EXPECT_EQ(r.images[0].reason, "");
    return r.images[0];
  }
};

TEST_F(Raw, MergesAsADetectorWithOtherSettings) {
  DetectSettings low;
  low.tiling.scale = 0.5;
  low.tiling.tile_px = 1280;
  low.score = 0.1;
  DetectSettings low_raw = low;
  low_raw.raw_only = true;
  DetectSettings high = low;
  high.score = 0.35;
  high.merge.method = MergeMethod::nms;
  high.merge.iou = 0.3;
  for (const SuppressionMethod suppression : {SuppressionMethod::hard, SuppressionMethod::gaussian}) {
    const DetectedImage a = found(low, suppression), b = found(high, suppression), r = found(low_raw, suppression);
    EXPECT_GT(b.tiles, 1);
    EXPECT_TRUE(b.raw.empty());
    EXPECT_TRUE(r.detections.empty());
    EXPECT_EQ(a.detections, merge_raw(r.raw, r.tiled, low)) << name_of(suppression);
    EXPECT_EQ(b.detections, merge_raw(r.raw, r.tiled, high)) << name_of(suppression);
    EXPECT_LT(b.detections.size(), a.detections.size());
    EXPECT_FALSE(b.detections.empty());
  }
}

TEST_F(Raw, CutFollowsTheDistanceToInnerEdges) {
  DetectSettings s;
  const Detection whole{{100, 0, 140, 40}, 0, 0.5f}, part{{100, 2, 120, 40}, 0, 0.9f};
  const std::vector<RawDetection> raw{{whole, 0, 50}, {part, 1, 3}};
  EXPECT_EQ(merge_raw(raw, true, s), Detections{whole}) << "the part touches an inner edge and gives way";
  s.merge.edge_px = 2;
  EXPECT_EQ(merge_raw(raw, true, s), (Detections{part, whole})) << "no part any more: neither overlaps the other by half";
  EXPECT_EQ(merge_raw(raw, false, s), (Detections{whole, part})) << "as found";
}

}  // namespace
}  // namespace cytodet::test
