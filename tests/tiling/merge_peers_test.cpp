// Merging against SAHI and ensemble-boxes (scripts/make_merge_methods_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/settings.h"
#include "tests/tiling/samples.h"
#include "tiling/merge/merge.h"

namespace cytodet {
namespace {

Detection detection_of(const Json& row) {
  return {{row[0].get<double>(), row[1].get<double>(), row[2].get<double>(), row[3].get<double>()},
          row[5].get<int>(),
          row[4].get<float>()};
}

bool near(const Detection& a, const Detection& b) {
  const double kPixel = 2e-3;  // ensemble-boxes works in floats, on a field of 1000 pixels
  return a.category == b.category && std::abs(a.score - b.score) < 1e-5 && std::abs(a.box.x0 - b.box.x0) < kPixel &&
         std::abs(a.box.y0 - b.box.y0) < kPixel && std::abs(a.box.x1 - b.box.x1) < kPixel &&
         std::abs(a.box.y1 - b.box.y1) < kPixel;
}

TEST(MergePeers, SameBoxes) {
  std::set<std::string> methods;
  int answers = 0;
  for (const Json& c : read_json(data_folder() / "tiling/merge/methods.json")) {
    std::vector<TileDetection> boxes;
    for (const Json& row : c["boxes"]) boxes.push_back({detection_of(row), 0, false});
    std::reverse(boxes.begin(), boxes.end());
    for (const Json& answer : c["answers"]) {
      SCOPED_TRACE(c["name"].get<std::string>() + " " + answer["method"].get<std::string>() + " " + answer["iou"].dump());
      MergeSettings s;
      Json settings = answer;
      settings.erase("merged");
      read_settings(settings, s, "answer");
      methods.insert(name_of(s.method));
      Detections ours = merge(boxes, s);
      ASSERT_EQ(ours.size(), answer["merged"].size());
      for (const Json& row : answer["merged"]) {
        const Detection theirs = detection_of(row);
        auto same = std::find_if(ours.begin(), ours.end(), [&](const Detection& d) { return near(d, theirs); });
        ASSERT_NE(same, ours.end()) << row.dump();
        ours.erase(same);
      }
      ++answers;
    }
  }
  EXPECT_GE(answers, 45);
  EXPECT_EQ(methods, (std::set<std::string>{"greedy_nmm", "nmm", "nms", "wbf"}));
}

}  // namespace
}  // namespace cytodet
