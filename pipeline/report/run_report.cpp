#include "pipeline/report/run_report.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/settings.h"
#include "eval/coco.h"
#include "eval/ground_truth.h"
#include "pipeline/detect/score_detections.h"
#include "pipeline/detect/slide_labels.h"
#include "pipeline/report/html.h"
#include "pipeline/report/screening_section.h"
#include "pipeline/report/style.h"
#include "pipeline/results/formats/summary.h"
#include "tiling/draw/contact_sheet.h"
#include "tiling/draw/heat_map.h"
#include "tiling/draw/overlay.h"

namespace cytodet::pipeline {
namespace {

constexpr int kCropPx = 96;
constexpr double kDrawnScore = 0.4;  // least score in an image of results that say nothing of which boxes count

std::array<double, kStages.size()> parts_of(const StageTimes& s) {
  std::array<double, kStages.size()> parts{};
  for (size_t i = 0; i < kStages.size(); ++i) parts[i] = s.*kStages[i].seconds;
  return parts;
}

double sum(const StageTimes& s) {
  double total = 0;
  for (double p : parts_of(s)) total += p;
  return total;
}

class Report {
 public:
  Report(SavedResults& results, const ReportOptions& options) : results_(results), options_(options) {}

  std::string text() {
    const std::string title = results_.path().lexically_normal().string();
    out_ =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
        escape_html(title) + "</title>\n<style>" + std::string(kReportStyle) + "</style></head><body><main>\n<h1>" +
        escape_html(title) + "</h1>\n";
    for (const ImageResult& s : results_.images()) count(s);
    totals();
    if (!options_.truth.empty()) scores();
    slides();
    times();
    drawings();
    settings();
    return out_ + "</main></body></html>\n";
  }

 private:
  void heading(const char* text) { out_ += std::string("<h2>") + text + "</h2>\n"; }

  void count(const ImageResult& s) {
    ++states_[static_cast<size_t>(s.state)];
    Summary summary;
    for (const Detection& d : results_.detections(s)) {
      ++detections_;
      if (results_.counting().counts(d)) summary.add(d);
    }
    boxes_ += summary.boxes();
    tiles_ += s.tiles;
    for (size_t c = 0; c < summary.classes().size(); ++c) {
      if (per_class_.size() <= c) per_class_.resize(c + 1);
      per_class_[c] += summary.classes()[c].boxes;
    }
    summaries_.push_back(std::move(summary));
  }

  void totals() {
    out_ += "<ul class=\"totals\">";
    const auto item = [&](const std::string& value, const std::string& what) {
      out_ += "<li><b>" + value + "</b>" + what + "</li>";
    };
    for (const ImageState state : {ImageState::done, ImageState::failed, ImageState::skipped, ImageState::waiting})
      if (const int64_t n = states_[static_cast<size_t>(state)]; n || state == ImageState::done)
        item(grouped(n), std::string("slides ") + name_of(state));
    item(grouped(boxes_), "boxes");
    for (size_t c = 0; c < per_class_.size(); ++c)
      item(grouped(per_class_[c]), "<i style=\"background:" + css_colour(static_cast<int>(c)) + "\"></i>" + class_name(c));
    if (tiles_) item(grouped(tiles_), "tiles");
    if (results_.run() && results_.run()->timing.is_object()) {
      const Json& t = results_.run()->timing;
      for (const auto& [key, what] : {std::pair{"wall_s", "seconds"},
                                      {"images_per_s", "slides/s"},
                                      {"tiles_per_s", "tiles/s"},
                                      {"megapixels_per_s", "megapixels/s"},
                                      {"mm2_per_s", "mm&sup2;/s"}})
        if (auto it = t.find(key); it != t.end() && it->is_number()) item(rounded(it->get<double>(), 2), what);
    }
    out_ += "</ul>\n";
    if (!results_.counting().all())
      out_ += "<p>Boxes count " + escape_html(text_of(results_.counting(), results_.classes().names())) + "; of " +
              grouped(detections_) + " in all.</p>\n";
  }

  std::string class_name(size_t c) const {
    return escape_html(c < results_.classes().all().size() ? results_.classes().all()[c].name : "class " + std::to_string(c));
  }

  void scores() {
    heading("Scores");
    GroundTruth truth = read_ground_truth(options_.truth);
    ScoreOptions score_options;
    if (options_.max_dets > 0)
      score_options.max_dets = {std::min(1, options_.max_dets), std::min(10, options_.max_dets), options_.max_dets};
    DetectionSet set = results_.run() ? to_set(RunFolder{results_.path()}, *results_.run(), truth)
                                      : read_detections(results_.path(), truth, paths_beside(results_.path()));
    RoiChoice choice = options_.roi_choice;
    const std::string roi = regions(choice);
    keep_in_roi(roi, places(truth), truth, set, choice);
    ScoredImages images;
    if (results_.run())
      images = scored_images(*results_.run(), truth);
    else if (const std::optional<RunState> run = run_beside(results_.path()))
      images = scored_images(*run, truth);
    if (!options_.roi.empty()) images.mm2.clear();  // of other regions than those of the run
    if (options_.max_dets == 0) follow_slides(score_options, set, images);
    const Scores s = score(truth, set, score_options);
    const auto figure = [](double v) { return v < 0 ? std::string("&ndash;") : rounded(v, 4); };
    std::vector<std::vector<std::string>> rows;
    for (const ClassScores& k : s.classes)
      rows.push_back({escape_html(k.name), grouped(k.truths), figure(k.ap), figure(k.ap50), figure(k.ap75), figure(k.ar),
                      figure(k.voc2010)});
    rows.push_back({"<b>all</b>", grouped(static_cast<int64_t>(truth.size())), figure(s.stats[0]), figure(s.stats[1]),
                    figure(s.stats[2]), figure(s.stats[8]), figure(s.voc2010)});
    out_ += "<p>COCO's figures against " + escape_html(options_.truth) + ", at most " +
            std::to_string(score_options.max_dets.back()) + " boxes per image and class" +
            (roi.empty() ? "" : "; inside the regions of " + escape_html(roi) + " only") + ".</p>\n" +
            table({"class", "truths", "AP", "AP50", "AP75", "AR", "VOC AP"}, rows) + precision_recall_svg(s);
    for (const std::string& w : s.warnings) out_ += "<p class=\"warning\">" + escape_html(w) + "</p>\n";
    figures(truth, set, images, score_options);
  }

  void figures(const GroundTruth& truth, const DetectionSet& set, const ScoredImages& images, const ScoreOptions& scored) {
    heading("Screening and counting");
    ScreeningOptions o;
    o.score = scored;
    o.bootstrap = options_.bootstrap;
    o.mm2 = images.mm2;
    o.operating_scores = scores_of_categories(truth, results_.counting(), results_.classes());
    if (!options_.slide_labels.empty()) o.labels = read_slide_labels(options_.slide_labels, truth);
    if (results_.counting().all()) out_ += "<p>The results do not say which boxes count: those of at least 0.4 do here.</p>\n";
    out_ += screening_section(screen(truth, set, o));
  }

  // The bounds of the run's slides, or for a results file of the slides at hand.
  RoiPlaces places(const GroundTruth& truth) const {
    const Origin of_run = results_.run() ? origin_of(results_.run()->settings) : Origin::bounds;
    const Origin origin = options_.origin.value_or(of_run);
    if (results_.run()) return places_of(*results_.run(), origin);
    std::vector<std::string> files = files_beside(truth, options_.truth);
    for (const ImageResult& s : results_.images())
      if (const auto file = results_.slide_file(s); !file.empty()) files.push_back(file.string());
    return places_of(origin, files);
  }

  std::string regions(RoiChoice& choice) const {
    if (!options_.roi.empty() || !results_.run()) return options_.roi;
    const Json detect = results_.run()->settings.value("detect", Json::object());
    const auto names = [&](const char* key) {
      const auto found = detect.find(key);
      return found != detect.end() && found->is_array() ? found->get<std::vector<std::string>>() : std::vector<std::string>();
    };
    choice = {names("roi_class"), names("roi_ignore")};
    const auto roi = detect.find("roi");
    return roi != detect.end() && roi->is_string() ? roi->get<std::string>() : "";
  }

  // Micrometres per pixel: one figure, or "x &times; y" where they differ.
  static std::string mpp_text(const OutputImage& p) {
    if (!p.mpp_x || !p.mpp_y) return "";
    const std::string x = rounded(*p.mpp_x, 4), y = rounded(*p.mpp_y, 4);
    return x == y ? x : x + " &times; " + y;
  }

  void slides() {
    heading("Slides");
    std::vector<std::string> head = {"slide", "state", "size, px", "&micro;m/px", "tiles", "boxes"};
    for (size_t c = 0; c < per_class_.size(); ++c) head.push_back(class_name(c));
    head.insert(head.end(), {"boxes/mm&sup2;", "seconds"});
    std::vector<std::vector<std::string>> rows;
    bool unknown_area = false;
    for (size_t i = 0; i < results_.images().size(); ++i)
      rows.push_back(slide_row(results_.images()[i], summaries_[i], unknown_area));
    out_ += table(head, rows, 2);
    if (options_.density_area != DensityOf::regions || has_regions(results_.run() ? results_.run()->settings : Json()))
      out_ += "<p>Boxes per mm&sup2; are of the area of " + density_text() + ".</p>\n";
    if (unknown_area)
      out_ += "<p class=\"warning\">* of the area of the whole slide: the run does not give the area of its " +
              std::string(name_of(options_.density_area)) + ".</p>\n";
  }

  // `unknown_area` becomes true where the density is marked as that of the whole slide.
  std::vector<std::string> slide_row(const ImageResult& s, const Summary& summary, bool& unknown_area) const {
    const bool done = s.done();
    std::string state = state_cell(s);
    OutputImage image = results_.output_image(s, false);
    try {
      image = results_.measured_image(s);
    } catch (const Error& e) {
      state += state_reason(e.what());
    }
    std::vector<std::string> row = {
        escape_html(s.name),
        state,
        image.width > 0 ? grouped(image.shown_width()) + " &times; " + grouped(image.shown_height()) : "",
        mpp_text(image),
        s.tiles ? grouped(s.tiles) : "",
        done ? grouped(summary.boxes()) : ""};
    for (size_t c = 0; c < per_class_.size(); ++c)
      row.push_back(!done ? "" : grouped(c < summary.classes().size() ? summary.classes()[c].boxes : 0));
    const auto area = density_area(image, options_.density_area);
    const bool dense = done && area && area->mm2 > 0;
    row.push_back(dense ? rounded(static_cast<double>(summary.boxes()) / area->mm2, 1) + (area->unknown ? "*" : "") : "");
    unknown_area |= dense && area->unknown;
    row.push_back(sum(s.times) > 0 ? rounded(sum(s.times), 2) : "");
    return row;
  }

  static std::string state_reason(const std::string& text) {
    return "<br><span class=\"reason\">" + escape_html(text) + "</span>";
  }
  // The state of a slide, and below it what is to be known of it.
  static std::string state_cell(const ImageResult& s) {
    const char* kind = s.done() ? "good" : s.failed() ? "bad" : "soft";
    std::string cell = std::string("<span class=\"") + kind + "\">" + escape_html(name_of(s.state)) + "</span>";
    if (!s.reason.empty())
      cell += state_reason(s.reason);
    else if (!s.damage.empty())
      cell += state_reason(damage_text(s));
    if (!s.selection.empty()) cell += state_reason(s.selection);
    for (const std::string& w : s.warnings) cell += state_reason(w);
    if (!s.mpp_warning.empty()) cell += state_reason(s.mpp_warning);
    return cell;
  }

  std::string density_text() const {
    if (options_.density_area == DensityOf::tiles) return "the tiles that were run, inside the regions of interest";
    return options_.density_area == DensityOf::slide ? "the slide" : "the regions of interest";
  }

  void times() {
    double max_seconds = 0;
    StageTimes all;
    for (const ImageResult& s : results_.images()) {
      max_seconds = std::max(max_seconds, sum(s.times));
      for (const Stage& stage : kStages) all.*stage.seconds += s.times.*stage.seconds;
    }
    if (max_seconds <= 0) return;
    heading("Time");
    out_ += "<p>Seconds per stage, summed over threads.</p><p class=\"key\">";
    const auto totals = parts_of(all);
    for (size_t i = 0; i < kStages.size(); ++i)
      out_ += "<span>" + stage_key(i) + " " + kStages[i].name + " " + rounded(totals[i], 2) + "</span>";
    out_ += "</p>\n";
    std::vector<std::vector<std::string>> rows;
    for (const ImageResult& s : results_.images())
      if (sum(s.times) > 0)
        rows.push_back({escape_html(s.name), stacked_bar(parts_of(s.times), max_seconds), rounded(sum(s.times), 2)});
    out_ += table({"slide", "", "seconds"}, rows, 2);
  }

  void drawings() {
    std::string figures;
    int shown = 0, left = 0;
    for (const ImageResult& s : results_.images()) {
      const auto file = results_.slide_file(s);
      if (!s.done() || file.empty()) continue;
      if (shown >= options_.thumbnails) {
        ++left;
        continue;
      }
      ++shown;
      figures += "<h3>" + escape_html(s.name) + "</h3>\n";
      try {
        figures += drawings_of(s);
      } catch (const Error& e) {
        figures += "<p class=\"warning\">" + escape_html(e.what()) + "</p>\n";
      }
    }
    if (!shown) return;
    heading("Pictures");
    out_ += (results_.counting().all() ? "<p>Boxes of at least " + rounded(kDrawnScore, 2) + ".</p>\n"
                                       : "<p>Boxes that count.</p>\n") +
            figures;
    if (left) out_ += "<p>" + std::to_string(left) + " more slides are not shown.</p>\n";
  }

  // The slide with its boxes, where they are densest, and the top-scoring boxes of each class.
  std::string drawings_of(const ImageResult& s) {
    const OutputImage image = results_.output_image(s, true);
    const std::vector<std::string> names = results_.classes().names();
    Detections boxes = results_.detections(s);
    const CountingScores& counting = results_.counting();
    std::erase_if(boxes, [&](const Detection& d) {
      return counting.all() ? static_cast<double>(d.score) < kDrawnScore : !counting.counts(d);
    });
    HeatMap heat(image.width, image.height, image.bounds);
    std::optional<ContactSheet> sheet;
    if (options_.crops) sheet.emplace(ContactSheetOptions{.per_class = options_.crops, .side_px = kCropPx});
    for (const Detection& d : boxes) {
      heat.add(d.box);
      if (sheet) sheet->add(d);
    }
    const auto figure = [&](const Image& drawing, const std::string& what) {
      return "<figure>" + embed_image(drawing, s.name + ", " + what) + "<figcaption>" + what + "</figcaption></figure>\n";
    };
    std::string text = "<div class=\"pictures\">" +
                       figure(draw_overlay(*image.slide, boxes, names, {0, options_.thumbnail_px}), "boxes") +
                       figure(heat.draw(image.slide.get(), options_.thumbnail_px), "density") + "</div>\n";
    if (sheet && !boxes.empty())
      text += "<div class=\"sheet\">" + figure(sheet->draw(*image.slide, names), "top-scoring boxes of each class") + "</div>\n";
    return text;
  }

  void settings() {
    if (!results_.run()) return;
    heading("Settings");
    const RunState& r = *results_.run();
    out_ += "<p>cytodet " + escape_html(r.version) + ", " + escape_html(r.isa) + "; model " + escape_html(r.model.file) + " " +
            escape_html(r.model.hash) + "; graph " + escape_html(r.model.graph_hash) + "; settings " +
            escape_html(r.settings_hash) + "</p>\n<pre>" +
            escape_html(r.settings.dump(1, ' ', false, Json::error_handler_t::replace)) + "</pre>\n";
  }

  SavedResults& results_;
  const ReportOptions& options_;
  std::string out_;
  std::array<int64_t, 4> states_{};  // slides by ImageState
  int64_t boxes_ = 0, detections_ = 0, tiles_ = 0;
  std::vector<int64_t> per_class_;
  std::vector<Summary> summaries_;
};

}  // namespace

std::string html_report(SavedResults& results, const ReportOptions& options) { return Report(results, options).text(); }

}  // namespace cytodet::pipeline
