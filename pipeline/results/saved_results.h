// Results on disk, for the commands that show or convert them: a run folder, or a COCO results file from anywhere.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/result_images.h"
#include "pipeline/results/formats/output.h"
#include "pipeline/results/run_folder.h"

namespace cytodet::pipeline {

// What the results themselves do not say.
struct ResultsHints {
  std::string truth;                 // COCO ground truth: names of images and classes
  std::string slides;                // folder where the slides lie now, or the one slide: of results of one image, of the
                                     // image of its name, or of `image`
  std::optional<int64_t> image;      // the only image that is asked for
  std::vector<std::string> classes;  // names of category ids 1, 2, ...
  ImageSelection selection;          // of the slides' files; a run folder gives its own
  std::optional<double> score;       // from which boxes of all classes count
  std::string model;                 // model file whose operating_scores say which boxes count
};

class SavedResults {
 public:
  // Errors name the file: missing, no run folder, damaged.
  SavedResults(const std::filesystem::path& path, ResultsHints hints);

  const std::optional<RunState>& run() const { return run_; }  // of a run folder
  const std::filesystem::path& path() const { return path_; }
  const Classes& classes() const { return classes_; }
  const ImageSelection& selection() const { return hints_.selection; }  // that the slides were opened with

  // Which detections count: by the hints, else by the run, also by that whose detections.json this is; all of other files.
  const CountingScores& counting();

  // The images. A run folder has them in its order, in any state. A results file has one per image id, all "done", and a class
  // per category id; it is read whole, 40 bytes per box. UsageError when one slide is named and it is unclear which image it is.
  const std::vector<ImageResult>& images();
  Detections detections(const ImageResult& image);

  // Every detection of the done images in the order of the file, without holding them.
  void stream(const std::function<void(const ImageResult&, const Detection&)>& each);

  // The path of the image's slide; empty when it is not there.
  std::filesystem::path slide_file(const ImageResult& image) const;
  // With the slide opened when `pixels`, or left null when it is not there. Errors of a slide that is there are thrown.
  OutputImage output_image(const ImageResult& image, bool pixels) const;
  // Without the slide, but with the size, bounds and micrometres per pixel that its file says, where the results do not and it
  // is there; a run folder of this version gives all of what is done. A plain image is decoded only for its size. Errors of a
  // slide that is there are thrown.
  OutputImage measured_image(const ImageResult& image) const;
  // Without the slide, but with its bounds, which a slide's file is opened for where the results do not give them. `unknown`:
  // they are not known, and slides of this name may have some.
  OutputImage bounded_image(const ImageResult& image, bool* unknown) const;

 private:
  OutputImage output_image_at(const ImageResult& image, const std::filesystem::path& file) const;
  ImageResult state_of(int64_t image_id) const;
  void read_ids(const GroundTruth* truth);
  void name_images(const GroundTruth* truth);
  void add_named(int64_t id, const ImageRef& ref);
  int64_t image_of(const CocoResult& r);
  int64_t category_of(const CocoResult& r);
  void load();
  void choose_counting();
  std::vector<std::filesystem::path> places_below(const std::filesystem::path& folder, const std::string& path) const;
  std::filesystem::path alike_in(const std::filesystem::path& folder, const std::string& path) const;
  bool is_slide_of(const ImageResult& image) const;  // hints_.slides, a file
  void check_one_slide() const;

  std::filesystem::path path_;
  ResultsHints hints_;
  std::optional<RunState> run_;
  Classes classes_;
  std::map<int64_t, ImageResult> known_;         // by image id, from the ground truth or from names in a results file
  bool all_numbers_ = true;                      // of a results file: its ids are numbers that are taken as they are
  ResultImages images_;                          // else: what its elements say of their images,
  std::vector<int64_t> image_ids_;               // and whose they are
  std::map<std::string, int64_t> category_ids_;  // of category ids that are texts
  int64_t next_category_ = int64_t{1} << 40;
  bool loaded_ = false;
  std::vector<ImageResult> results_;
  CountingScores counting_;
  std::map<int64_t, double> counting_by_id_;         // of a results file: by category id
  mutable std::map<std::string, int> name_counts_;   // how many images are called so
  mutable std::shared_ptr<const PathIndex> listed_;  // files of the folder of slides
  std::map<int64_t, Detections> boxes_;              // of a results file
};

// Whether a run of these settings looked in regions of interest only.
bool has_regions(const Json& settings);
// "bounds" where they do not say.
Origin origin_of(const Json& settings);

// What is written about an image whose slide lies at `file` (empty: not at hand). Damaged parts of the slide are white. The run's
// micrometres per pixel go before the slide's, as they may have been set; those of a run of an earlier version count only where
// the slide does not give its own. Errors of opening are thrown.
OutputImage output_image_of(const ImageResult& image, const std::filesystem::path& file, const Classes& classes,
                            const ImageSelection& selection);

}  // namespace cytodet::pipeline
