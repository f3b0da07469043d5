// export: saved results in another form.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/messages.h"
#include "core/output_plan.h"
#include "core/text_width.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/selection_flags.h"
#include "pipeline/detect/files_read.h"
#include "pipeline/results/folder_manifest.h"
#include "pipeline/results/saved_results.h"

namespace cytodet::pipeline {
namespace {

struct ExportOptions {
  std::string results, out, density_area = name_of(DensityOf::regions);
  std::vector<std::string> formats;
  int64_t image = 0;
  bool has_image = false, overwrite = false;
  ResultsHints hints;
  SelectionFlags selection;
  std::optional<Origin> origin;  // none: that of the run, or bounds
  OutputSettings settings;
};

// What is put into a file of this form: a score that was asked for counts for all forms.
bool is_put(const Output& entry, const ExportOptions& o, const CountingScores& counting, const Detection& d) {
  return (entry.boxes == Boxes::all && !o.hints.score) || counting.counts(d);
}

std::unique_ptr<OutputFile> open_output(const Output& entry, const SavedResults& results, const CountingScores& counting,
                                        const ImageResult& s, const ExportOptions& o, const std::filesystem::path& to) {
  OutputPlan plan;
  plan.add_input(results.slide_file(s), "the slide");
  plan.add_output(to, "the export");
  plan.check();
  OutputSettings settings = o.settings;
  settings.counting = counting;
  settings.origin = o.origin.value_or(results.run() ? origin_of(results.run()->settings) : Origin::bounds);
  if (entry.pixels != Pixels::bounds) return entry.open(results.output_image(s, entry.pixels != Pixels::none), settings, to);
  bool unknown = false;
  const OutputImage image = results.bounded_image(s, &unknown);
  if (unknown && settings.origin == Origin::bounds)
    print_warning(s.path + " is not at hand: if what was scanned is a part of it, coordinates in " + to.string() +
                  " count from the whole; name the folder of the slides by --slides");
  return entry.open(image, settings, to);
}

OutputPlan inputs_of(const SavedResults& results, const ExportOptions& o) {
  OutputPlan plan;
  add_results(plan.inputs(), results);
  plan.add_input(o.hints.truth, "the ground truth");
  plan.add_input(o.hints.model, "the model file");
  if (!o.hints.slides.empty()) add_images(plan.inputs(), {o.hints.slides});
  return plan;
}

// How often an error was reported and the rest done.
struct Exported {
  int64_t boxes = 0, read = 0;  // written, to the form with fewest; of so many
  int files = 0, problems = 0;
  template <typename Work>
  void attempt(const Work& work) {
    try {
      work();
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      if (e.cause() == Cause::disk_full) throw;  // it takes none of the other files either
      print_error(e.what());
      ++problems;
    }
  }
  Exit exit() const { return !problems ? Exit::ok : files ? Exit::partial : Exit::failed; }
};

// One file, written while the results are read.
Exported export_file(SavedResults& results, const ExportOptions& o, const Output& entry) {
  OutputPlan plan = inputs_of(results, o);
  plan.add_output(o.out, "the export");
  check_outputs(plan);
  std::unique_ptr<OutputFile> file;
  ImageResult first;
  int64_t boxes = 0, read = 0;
  const auto start = [&](const ImageResult& s) {
    first = s;
    file = open_output(entry, results, results.counting(), s, o, o.out);
  };
  if (results.run()) {
    std::vector<ImageResult> done;
    for (const ImageResult& s : results.run()->inputs)
      if (s.done() && (!o.has_image || s.image_id == o.image)) done.push_back(s);
    if (done.empty()) throw Error(o.results, "has no such image that is done", "see run.json");
    if (done.size() > 1)
      throw UsageError(o.results, "holds " + std::to_string(done.size()) + " images",
                       "choose one by --image, or give a folder as -o");
    start(done[0]);
  }
  results.stream([&](const ImageResult& s, const Detection& d) {
    if (o.has_image && s.image_id != o.image) return;
    if (!file) start(s);
    if (s.image_id != first.image_id)
      throw UsageError(o.results, "holds more than one image", "choose one by --image, or give a folder as -o");
    ++read;
    if (!is_put(entry, o, results.counting(), d)) return;
    file->add(d);
    ++boxes;
  });
  if (!file) {
    ImageResult none;
    none.name = std::filesystem::path(o.out).stem().string();
    none.image_id = o.image;
    start(none);
  }
  file->finish();
  return {boxes, read, 1, 0};
}

void print_exported(const Exported& done, SavedResults& results, const std::string& out) {
  std::printf("%lld boxes in %s", static_cast<long long>(done.boxes), out.c_str());
  if (done.boxes < done.read)
    std::printf(" of %lld, %s", static_cast<long long>(done.read),
                printable(text_of(results.counting(), results.classes().names())).c_str());
  std::printf("\n");
}

std::filesystem::path file_of(const ImageResult& s, const Output& entry, const ExportOptions& o) {
  return std::filesystem::path(o.out) / (std::filesystem::path(s.name).filename().string() + entry.suffix);
}

bool is_exported(const ImageResult& s, const ExportOptions& o) { return s.done() && (!o.has_image || s.image_id == o.image); }

std::vector<std::string> names_in(const std::string& folder, const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> names;
  for (const std::filesystem::path& file : files) names.push_back(file.lexically_relative(folder).string());
  return names;
}

void export_images(SavedResults& results, const ExportOptions& o, Exported& done) {
  for (const ImageResult& s : results.images()) {
    if (!is_exported(s, o)) continue;
    done.attempt([&] {
      const Detections all = results.detections(s);
      for (const std::string& format : o.formats)
        done.attempt([&] {
          const Output& entry = output_named(format);
          std::unique_ptr<OutputFile> file = open_output(entry, results, results.counting(), s, o, file_of(s, entry, o));
          for (const Detection& d : all)
            if (is_put(entry, o, results.counting(), d)) file->add(d);
          file->finish();
          ++done.files;
        });
      done.read += static_cast<int64_t>(all.size());
      for (const Detection& d : all)
        done.boxes += std::all_of(o.formats.begin(), o.formats.end(), [&](const std::string& format) {
          return is_put(output_named(format), o, results.counting(), d);
        });
    });
  }
}

// A file per image and format.
Exported export_folder(SavedResults& results, const ExportOptions& o) {
  OutputPlan plan = inputs_of(results, o);
  for (const ImageResult& s : results.images())
    for (const std::string& format : o.formats)
      if (is_exported(s, o)) plan.add_output(file_of(s, output_named(format), o), "the export of " + s.name);
  plan.check();
  FolderManifest manifest(o.out);
  if (!o.overwrite) manifest.require_ours(names_in(o.out, plan.outputs()));
  make_folder(o.out);
  manifest.list_what_is_written();
  Exported done;
  try {
    export_images(results, o, done);
  } catch (const Error& e) {
    if (e.cause() != Cause::disk_full) throw;
    throw Error(e.where(), e.problem() + "; the export stops with " + std::to_string(done.files) + " files written",
                "free some space, then export again")
        .caused_by(Cause::disk_full);
  }
  return done;
}

}  // namespace

std::function<int()> setup_export(CLI::App& app) {
  auto o = std::make_shared<ExportOptions>();
  app.add_option("RESULTS", o->results, "Run folder, or COCO results from anywhere")->required();
  app.add_option("-o,--out", o->out, "File, its form recognised by its name; or folder, for a file per image and form")
      ->required();
  app.add_option("--format", o->formats, "Forms, with commas between them: " + output_names())
      ->delimiter(',')
      ->allow_extra_args(false);
  CLI::Option* image = app.add_option("--image", o->image, "Only the image with this id");
  app.add_option("--score", o->hints.score,
                 "Minimum score of a box (default: of the forms that count cells, the operating point)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--model", o->hints.model,
                 "Model file whose operating point says which boxes are cells (default: that of the run)");
  app.add_option("--truth", o->hints.truth, "COCO ground truth, for the names of images and classes");
  app.add_option("--classes", o->hints.classes, "Names of category ids 1, 2, ...")->delimiter(',')->allow_extra_args(false);
  app.add_option("--slides", o->hints.slides, "Folder where the slides lie, or the one slide");
  app.add_flag("--overwrite", o->overwrite, "Also replace files of these names in the folder that another program or hand made");
  o->selection.add(app);
  app.add_option_function<std::string>(
      "--origin", [o](const std::string& name) { o->origin = origin_named(name, "--origin"); },
      "Where GeoJSON counts from: bounds (of what was scanned, as QuPath) or slide (default: as the run)");
  app.add_option("--density-area", o->density_area,
                 "What boxes per mm2 are of: regions (all that was looked at), tiles (less background) or slide");
  app.add_option("--crops", o->settings.crops, "Crops of a class on a contact sheet");
  return [o, image] {
    o->has_image = image->count() > 0;
    o->settings.density_area = density_of_named(o->density_area);
    check(o->settings);
    for (const std::string& f : o->formats) output_named(f);
    std::error_code ignored;
    const bool folder = o->out.ends_with('/') || std::filesystem::is_directory(o->out, ignored) || o->formats.size() > 1;
    const Output* entry = o->formats.empty() ? output_for(o->out) : &output_named(o->formats[0]);
    if (!entry || (folder && o->formats.empty()))
      throw UsageError(o->out, "does not say the form of the output", "give --format: " + output_names());
    if (o->has_image) o->hints.image = o->image;
    o->selection.apply(o->hints.selection);
    SavedResults results(o->results, o->hints);
    const Exported done = folder ? export_folder(results, *o) : export_file(results, *o, *entry);
    if (done.files || !done.problems) print_exported(done, results, o->out);
    return static_cast<int>(done.exit());
  };
}

}  // namespace cytodet::pipeline
