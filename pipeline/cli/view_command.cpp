// view: a slide with its boxes, in a browser.
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/messages.h"
#include "eval/ground_truth.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/selection_flags.h"
#include "pipeline/results/saved_results.h"
#include "pipeline/view/view_server.h"

namespace cytodet::pipeline {
namespace {

struct ViewOptions {
  std::string subject, results;
  HttpOptions http;
  double seconds = 0;
  ResultsHints hints;
  SelectionFlags selection;
};

bool holds_results(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) || path.extension() == ".json";
}

ViewSlide view_of(SavedResults& results, const ImageResult& s, const std::filesystem::path& file) {
  ViewSlide v{s.name,         file.string(),       s.width, s.height, s.mpp, s.detection_count, s.state,
              damage_text(s), results.selection(), s.mpp_y, s.bounds};
  try {
    const OutputImage image = results.measured_image(s);
    v.width = image.width;
    v.height = image.height;
    v.mpp = image.mpp_x;
    v.mpp_y = image.mpp_y;
    v.bounds = image.bounds;
  } catch (const Error& e) {
    print_warning(e.what());
    v.path.clear();
  }
  if (v.width < 1 || v.height < 1)
    for (const Detection& d : results.detections(s)) {
      v.width = std::max(v.width, static_cast<int64_t>(d.box.x1) + 1);
      v.height = std::max(v.height, static_cast<int64_t>(d.box.y1) + 1);
    }
  v.width = std::max<int64_t>(1, v.width);
  v.height = std::max<int64_t>(1, v.height);
  return v;
}

// The boxes of each slide's ground truth, as classes of the results; of slides that it lacks none.
std::function<std::vector<TruthBox>(size_t)> truth_of_slides(const std::string& file, const std::vector<ImageResult>& states,
                                                             SavedResults& results) {
  const auto truth = std::make_shared<const GroundTruth>(read_ground_truth(file));
  std::vector<std::string> paths;
  for (const ImageResult& s : states) paths.push_back(s.path);
  std::vector<int> image_of = truth->images_of(paths).name_of;
  for (size_t i = 0; i < states.size(); ++i)
    if (image_of[i] < 0 && !results.run()) image_of[i] = truth->image_index(states[i].image_id);
  std::vector<int> class_of;  // by category
  for (const GroundTruthCategory& c : truth->categories) {
    class_of.push_back(-1);
    const auto& all = results.classes().all();
    for (size_t k = 0; k < all.size(); ++k)
      if (all[k].name == c.name || (class_of.back() < 0 && all[k].id == c.id)) class_of.back() = static_cast<int>(k);
  }
  return [truth, image_of, class_of](size_t slide) {
    std::vector<TruthBox> boxes;
    for (size_t a = 0; a < truth->size(); ++a) {
      const int category = class_of[static_cast<size_t>(truth->category[a])];
      if (truth->image[a] != image_of.at(slide) || category < 0) continue;
      const double* b = &truth->boxes[4 * a];
      boxes.push_back({{b[0], b[1], b[0] + b[2], b[1] + b[3]}, category, truth->crowd[a] != 0});
    }
    return boxes;
  };
}

std::unique_ptr<ViewServer> server_of_results(const std::string& path, const ResultsHints& hints) {
  auto results = std::make_shared<SavedResults>(path, hints);
  std::vector<ViewSlide> slides;
  std::vector<ImageResult> states;
  int missing = 0;
  for (const ImageResult& s : results->images()) {
    if (!s.done()) continue;
    const std::filesystem::path file = results->slide_file(s);
    missing += file.empty();
    slides.push_back(view_of(*results, s, file));
    states.push_back(s);
  }
  if (slides.empty()) throw Error(path, "holds no image that is done", "see run.json");
  if (missing)
    std::fprintf(stderr,
                 "cytodet: warning: %d of %zu slides are not at hand, boxes alone are shown; name their folder by --slides\n",
                 missing, slides.size());
  const std::string title = std::filesystem::path(path).lexically_normal().string();
  auto server = std::make_unique<ViewServer>(
      title, std::move(slides), results->classes(), [results, states](size_t i) { return results->detections(states.at(i)); },
      results->counting());
  if (!hints.truth.empty())
    server->set_truth([results, states, truth = truth_of_slides(hints.truth, states, *results)](size_t i) {
      return pack_truth(results->detections(states.at(i)), truth(i), results->classes().all().size());
    });
  return server;
}

std::unique_ptr<ViewServer> server_of_slide(const std::string& path, const ImageSelection& selection) {
  const auto slide = open_slide(path, selection);
  for (const std::string& w : slide->warnings) print_warning(path + ": " + w);
  ViewSlide v{std::filesystem::path(path).stem().string(),
              path,
              slide->width(),
              slide->height(),
              slide->mpp_x,
              0,
              std::nullopt,
              "",
              selection,
              slide->mpp_y,
              slide->bounds};
  return std::make_unique<ViewServer>(std::filesystem::path(path).filename().string(), std::vector<ViewSlide>{v}, Classes{},
                                      [](size_t) { return Detections{}; });
}

}  // namespace

std::function<int()> setup_view(CLI::App& app) {
  auto o = std::make_shared<ViewOptions>();
  app.add_option("SUBJECT", o->subject, "Run folder, COCO results (.json), or slide")->required();
  app.add_option("--results", o->results, "With a slide: COCO results whose boxes to show");
  app.add_option("--port", o->http.port, "Port; 0: any free one")->check(CLI::Range(0, 65535));
  app.add_option("--listen", o->http.address, "Address to listen at; other machines can reach all but loopback");
  app.add_option("--truth", o->hints.truth,
                 "COCO ground truth: precision and recall at the sliders; names of images and classes of a results file");
  app.add_option("--score", o->hints.score, "Score at which the sliders begin (default: the operating point of the run)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--model", o->hints.model, "Model file whose operating point it is (default: that of the run)");
  app.add_option("--classes", o->hints.classes, "Names of category ids 1, 2, ...")->delimiter(',')->allow_extra_args(false);
  app.add_option("--slides", o->hints.slides, "Folder where the slides lie, or the one slide");
  o->selection.add(app);
  app.add_option("--seconds", o->seconds, "End after this time; 0: on Ctrl-C")->check(CLI::Range(0.0, 1e7));
  return [o] {
    o->selection.apply(o->hints.selection);
    if (!is_loopback(o->http.address))
      std::fprintf(
          stderr,
          "cytodet: warning: whoever can reach %s and learns the address below can see these slides; nothing is encrypted\n",
          o->http.address.c_str());
    const bool results = holds_results(o->subject);
    if (!o->results.empty()) {
      if (results) throw UsageError("--results", "goes with a slide", "give the slide first");
      o->hints.slides = o->subject;
    }
    std::unique_ptr<ViewServer> server = results || !o->results.empty()
                                             ? server_of_results(results ? o->subject : o->results, o->hints)
                                             : server_of_slide(o->subject, o->hints.selection);
    // Blocked before the server's threads start, so that only sigtimedwait gets them.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    o->http.token = random_token();
    HttpServer http(o->http, [&](std::string_view path) { return server->answer(path); });
    std::printf("%s\n", http.url().c_str());
    std::fflush(stdout);
    std::fputs("cytodet: open the address above in a browser; Ctrl-C ends\n", stderr);
    if (o->seconds > 0) {
      timespec time{static_cast<time_t>(o->seconds), static_cast<long>((o->seconds - std::floor(o->seconds)) * 1e9)};
      sigtimedwait(&signals, nullptr, &time);
    } else {
      int unused = 0;
      sigwait(&signals, &unused);
    }
    server->stop();
    return 0;
  };
}

}  // namespace cytodet::pipeline
