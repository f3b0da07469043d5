// Models: detection on files and pixels, run folders, raw outputs.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/arrays.h"
#include "python/src/binding.h"
#include "python/src/watched_call.h"

namespace cytodet::python {
namespace {

using Results = detail::Handle<cytodet_results, cytodet_results_free>;

// Columns of detections: (boxes float64 [n, 4], scores float32 [n], classes int32 [n]).
nb::tuple columns_of(const cytodet_result* r) {
  const size_t n = cytodet_result_detection_count(r);
  const cytodet_detection* d = cytodet_result_detections(r);
  return nb::make_tuple(new_array<double>({n, 4},
                                          [&](double* to) {
                                            for (size_t i = 0; i < n; ++i) {
                                              *to++ = d[i].x0;
                                              *to++ = d[i].y0;
                                              *to++ = d[i].x1;
                                              *to++ = d[i].y1;
                                            }
                                          }),
                        new_array<float>({n},
                                         [&](float* to) {
                                           for (size_t i = 0; i < n; ++i) to[i] = d[i].score;
                                         }),
                        new_array<int32_t>({n}, [&](int32_t* to) {
                          for (size_t i = 0; i < n; ++i) to[i] = d[i].class_index;
                        }));
}

nb::object error_of(const cytodet_error* e) {
  if (!e) return nb::none();
  return nb::make_tuple(static_cast<int>(cytodet_error_status(e)), cytodet_error_message(e), cytodet_error_where(e),
                        cytodet_error_problem(e), cytodet_error_advice(e));
}

nb::dict result_of(const cytodet_result* r) {
  nb::dict d;
  d["name"] = cytodet_result_name(r);
  d["state"] = static_cast<int>(cytodet_result_state(r));
  d["error"] = error_of(cytodet_result_error(r));
  d["skip_reason"] = cytodet_result_skip_reason(r);
  d["width"] = cytodet_result_width(r);
  d["height"] = cytodet_result_height(r);
  d["mpp"] = nb::make_tuple(cytodet_result_mpp_x(r), cytodet_result_mpp_y(r));
  d["tiles"] = cytodet_result_tiles(r);
  d["tiles_run"] = cytodet_result_tiles_run(r);
  d["bad_tiles"] = cytodet_result_bad_tiles(r);
  d["warnings"] = list_of(detail::texts<cytodet_result>(r, cytodet_result_warning_count, cytodet_result_warning));
  d["columns"] = columns_of(r);
  return d;
}

// (results of the inputs that are finished, what stopped the call or None)
nb::tuple finished(const Results& results, const WatchedCall& call) {
  nb::list all;
  for (size_t i = 0; i < cytodet_results_count(results.get()); ++i) all.append(result_of(cytodet_results_at(results.get(), i)));
  return nb::make_tuple(all, call.stopped_by());
}

class PyModel {
 public:
  PyModel(const nb::bytes& path, const std::string& json) {
    const SettingsHandle settings = settings_of(json);
    const std::string file = text_of(path);
    model_.reset(call_unlocked([&](cytodet_error** error) { return cytodet_model_open(file.c_str(), settings.get(), error); }),
                 cytodet_model_free);
  }

  nb::dict description() const {
    const cytodet_model* m = model_.get();
    nb::dict d;
    d["name"] = cytodet_model_name(m);
    d["input_width"] = cytodet_model_input_width(m);
    d["input_height"] = cytodet_model_input_height(m);
    d["streams"] = cytodet_model_streams(m);
    d["score"] = cytodet_model_score(m);
    nb::list names, ids, scores;
    for (size_t c = 0; c < cytodet_model_class_count(m); ++c) {
      names.append(nb::str(cytodet_model_class_name(m, c)));
      ids.append(cytodet_model_class_id(m, c));
      scores.append(cytodet_model_operating_score(m, c));
    }
    d["classes"] = names;
    d["category_ids"] = ids;
    d["operating_scores"] = scores;
    return d;
  }

  nb::tuple detect_files(const std::vector<nb::bytes>& paths, const std::string& json, nb::object progress) const {
    const SettingsHandle settings = settings_of(json);
    const std::vector<std::string> texts = texts_of(paths);
    const std::vector<const char*> inputs = detail::pointers(texts);
    WatchedCall call(std::move(progress));
    const Results results(call.run([&](const cytodet_callbacks* callbacks, cytodet_error** error) {
      return cytodet_detect_files(model_.get(), inputs.data(), inputs.size(), settings.get(), callbacks, error);
    }));
    return finished(results, call);
  }

  nb::tuple detect_images(const nb::list& given, const std::string& json, nb::object progress) const {
    const SettingsHandle settings = settings_of(json);
    const std::vector<Pixels> pixels = all_pixels_of(given);
    std::vector<cytodet_image> images;
    for (const Pixels& p : pixels) images.push_back(p.image());
    WatchedCall call(std::move(progress));
    const Results results(call.run([&](const cytodet_callbacks* callbacks, cytodet_error** error) {
      return cytodet_detect_images(model_.get(), images.data(), images.size(), settings.get(), callbacks, error);
    }));
    return finished(results, call);
  }

  // (summary or None, what stopped the call or None)
  nb::tuple run(const std::vector<nb::bytes>& paths, const nb::bytes& folder, const std::string& json,
                nb::object progress) const {
    const SettingsHandle settings = settings_of(json);
    const std::vector<std::string> texts = texts_of(paths);
    const std::vector<const char*> inputs = detail::pointers(texts);
    const std::string out = text_of(folder);
    WatchedCall call(std::move(progress));
    const detail::Handle<cytodet_run_summary, cytodet_run_summary_free> run(
        call.run([&](const cytodet_callbacks* callbacks, cytodet_error** error) {
          return cytodet_run(model_.get(), inputs.data(), inputs.size(), out.c_str(), settings.get(), callbacks, error);
        }));
    const cytodet_run_summary* r = run.get();
    if (!r) return nb::make_tuple(nb::none(), call.stopped_by());
    nb::dict d;
    d["done"] = cytodet_run_summary_done(r);
    d["failed"] = cytodet_run_summary_failed(r);
    d["skipped"] = cytodet_run_summary_skipped(r);
    d["waiting"] = cytodet_run_summary_waiting(r);
    d["detections"] = cytodet_run_summary_detections(r);
    d["messages"] =
        list_of(detail::texts<cytodet_run_summary>(r, cytodet_run_summary_message_count, cytodet_run_summary_message));
    return nb::make_tuple(d, call.stopped_by());
  }

  nb::list network_of_pixels(const nb::tuple& given) const {
    const Pixels pixels = pixels_of(given);
    const cytodet_image image = pixels.image();
    return list_of_tensors(
        call_unlocked([&](cytodet_error** error) { return cytodet_model_network(model_.get(), &image, error); }));
  }

  nb::list network_of_tensor(const nb::tuple& given) const {
    const Feed feed = feed_of(given);
    const cytodet_tensor tensor = feed.tensor();
    return list_of_tensors(
        call_unlocked([&](cytodet_error** error) { return cytodet_model_network_on(model_.get(), &tensor, error); }));
  }

 private:
  static std::vector<std::string> texts_of(const std::vector<nb::bytes>& paths) {
    std::vector<std::string> all;
    for (const nb::bytes& p : paths) all.push_back(text_of(p));
    return all;
  }

  std::shared_ptr<cytodet_model> model_;
};

}  // namespace

void add_models(nb::module_& m) {
  nb::class_<PyModel>(m, "Model")
      .def(nb::init<const nb::bytes&, const std::string&>(), nb::arg("path"), nb::arg("settings"))
      .def("description", &PyModel::description)
      .def("detect_files", &PyModel::detect_files, nb::arg("paths"), nb::arg("settings"), nb::arg("progress").none())
      .def("detect_images", &PyModel::detect_images, nb::arg("images"), nb::arg("settings"), nb::arg("progress").none())
      .def("run", &PyModel::run, nb::arg("paths"), nb::arg("folder"), nb::arg("settings"), nb::arg("progress").none())
      .def("network_of_pixels", &PyModel::network_of_pixels, nb::arg("image"))
      .def("network_of_tensor", &PyModel::network_of_tensor, nb::arg("feed"));
}

}  // namespace cytodet::python
