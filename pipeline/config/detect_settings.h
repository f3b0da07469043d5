// How detection looks at images: keys of a run config and options of the commands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "exec/runtime/plan.h"
#include "tiling/background/background.h"
#include "tiling/merge/merge.h"
#include "tiling/regions/roi.h"
#include "tiling/slides/image_selection.h"
#include "tiling/tiles/grid.h"
#include "tiling/tiles/slide_geometry.h"

namespace cytodet::pipeline {

// Texts in files and on the command line: auto, image, slide.
enum class DetectMode {
  automatic,  // slide when pyramidal, damaged or longer than longest_whole_side() of the input; else image
  image,      // the whole image scaled down to the input
  slide       // tiles
};
// Throws UsageError with the known ones.
DetectMode mode_named(const std::string& name);
const char* name_of(DetectMode mode);
const char* name_of(Precision precision);  // "graph" or "bf16", see precision_named()

// A first look at a slide at a lower resolution: tiles in which it finds nothing are not run.
struct CascadeSettings {
  double scale = 0.5;   // of the working resolution, above 0 and below 1
  double score = 0.05;  // from which a box of the first look speaks for the tiles that it touches
  friend bool operator==(const CascadeSettings&, const CascadeSettings&) = default;
};
void fields(Fields& f, CascadeSettings& s);

struct DetectSettings {
  DetectMode mode = DetectMode::automatic;
  ImageSelection selection;  // of files that hold several images
  TilingSettings tiling;
  MergeSettings merge;
  BackgroundMethod background = BackgroundMethod::none;  // of slides
  std::string roi;                                       // regions of interest, see RoiSource; empty: all is looked at
  std::vector<std::string> roi_class, roi_ignore;        // of these classes, without these; see RoiChoice
  Origin origin = Origin::bounds;                        // of coordinates in GeoJSON, read and written
  std::string max_bad_tiles = "5%";  // a number of tiles, or a share of those run; a slide with more has failed
  int streams = 0;
  int threads_per_stream = 1;
  Precision precision = Precision::graph;
  std::vector<int> network_px;             // the network's input, width and height or one side; empty: as the graph was frozen
  std::optional<CascadeSettings> cascade;  // of slides
  std::optional<double> score;             // least score of a detection; none: the model file's
  bool raw_only = false;                   // for programs, not in files: fill DetectedImage::raw and leave merging to merge_raw
};
void fields(Fields& f, DetectSettings& s);
void check(const DetectSettings& s);
RoiChoice roi_choice(const DetectSettings& s);
// Errors of a key `where`.
void check_network_px(const std::vector<int>& px, const std::string& where);

// Most bad tiles of `tiles` that are tolerated. Throws UsageError when the text is neither a number nor a share.
int bad_tile_limit(const std::string& max_bad_tiles, int tiles);

}  // namespace cytodet::pipeline
