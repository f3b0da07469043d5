// Graphs from float to INT8.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/binding.h"
#include "python/src/watched_call.h"

namespace cytodet::python {
namespace {

using Report = detail::Handle<cytodet_graph_report, cytodet_graph_report_free>;

nb::dict dict_of(const Report& report) {
  const cytodet_graph_report* r = report.get();
  nb::dict d;
  d["nodes_before"] = cytodet_graph_report_nodes_before(r);
  d["nodes_after"] = cytodet_graph_report_nodes_after(r);
  d["ranges"] = cytodet_graph_report_ranges(r);
  d["images"] = cytodet_graph_report_images(r);
  d["layers"] = cytodet_graph_report_layers(r);
  d["int8_layers"] = cytodet_graph_report_int8_layers(r);
  d["messages"] =
      list_of(detail::texts<cytodet_graph_report>(r, cytodet_graph_report_message_count, cytodet_graph_report_message));
  return d;
}

// f(settings, callbacks, &error) as a dict.
template <class F>
nb::dict report_of(const std::string& json, nb::object progress, F f) {
  const SettingsHandle settings = settings_of(json);
  WatchedCall call(std::move(progress));
  const Report report(
      call.run([&](const cytodet_callbacks* callbacks, cytodet_error** error) { return f(settings.get(), callbacks, error); }));
  call.rethrow();
  return dict_of(report);
}

nb::dict optimize(const nb::bytes& graph, const nb::bytes& out, const std::string& json) {
  const std::string from = text_of(graph), to = text_of(out);
  return report_of(json, nb::none(), [&](const cytodet_settings* s, const cytodet_callbacks*, cytodet_error** error) {
    return cytodet_optimize(from.c_str(), to.c_str(), s, error);
  });
}

nb::dict quantize(const nb::bytes& model, const nb::bytes& out, const std::string& json, nb::object progress) {
  const std::string from = text_of(model), to = text_of(out);
  return report_of(json, std::move(progress),
                   [&](const cytodet_settings* s, const cytodet_callbacks* callbacks, cytodet_error** error) {
                     return cytodet_quantize_watched(from.c_str(), to.c_str(), s, callbacks, error);
                   });
}

nb::dict calibrate_folder(const nb::bytes& model, const nb::bytes& images, const nb::bytes& out, const std::string& json,
                          nb::object progress) {
  const std::string from = text_of(model), folder = text_of(images), to = text_of(out);
  return report_of(json, std::move(progress),
                   [&](const cytodet_settings* s, const cytodet_callbacks* callbacks, cytodet_error** error) {
                     return cytodet_calibrate_folder(from.c_str(), folder.c_str(), to.c_str(), s, callbacks, error);
                   });
}

nb::dict calibrate_images(const nb::bytes& model, const nb::list& given, const nb::bytes& out, const std::string& json,
                          nb::object progress) {
  const std::string from = text_of(model), to = text_of(out);
  const std::vector<Pixels> pixels = all_pixels_of(given);
  std::vector<cytodet_image> images;
  for (const Pixels& p : pixels) images.push_back(p.image());
  return report_of(json, std::move(progress),
                   [&](const cytodet_settings* s, const cytodet_callbacks* callbacks, cytodet_error** error) {
                     return cytodet_calibrate_images(from.c_str(), images.data(), images.size(), to.c_str(), s, callbacks, error);
                   });
}

}  // namespace

void add_tools(nb::module_& m) {
  m.def("optimize", optimize, nb::arg("graph"), nb::arg("out"), nb::arg("settings"));
  m.def("quantize", quantize, nb::arg("model"), nb::arg("out"), nb::arg("settings"), nb::arg("progress").none());
  m.def("calibrate_folder", calibrate_folder, nb::arg("model"), nb::arg("images"), nb::arg("out"), nb::arg("settings"),
        nb::arg("progress").none());
  m.def("calibrate_images", calibrate_images, nb::arg("model"), nb::arg("images"), nb::arg("out"), nb::arg("settings"),
        nb::arg("progress").none());
}

}  // namespace cytodet::python
