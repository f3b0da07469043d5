// Graphs: what is in them, and running them.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/arrays.h"
#include "python/src/binding.h"
#include "python/src/watched_call.h"

namespace cytodet::python {
namespace {

class PyGraph {
 public:
  PyGraph(const nb::bytes& path, const std::string& json) {
    const SettingsHandle settings = settings_of(json);
    const std::string file = text_of(path);
    graph_.reset(call_unlocked([&](cytodet_error** error) { return cytodet_graph_open(file.c_str(), settings.get(), error); }),
                 cytodet_graph_free);
  }

  nb::list inputs() const {
    nb::list all;
    for (size_t i = 0; i < cytodet_graph_input_count(graph_.get()); ++i)
      all.append(description_of(*cytodet_graph_input(graph_.get(), i)));
    return all;
  }
  nb::list outputs() const {
    nb::list all;
    for (size_t i = 0; i < cytodet_graph_output_count(graph_.get()); ++i)
      all.append(description_of(*cytodet_graph_output(graph_.get(), i)));
    return all;
  }
  std::string description() const { return cytodet_graph_description(graph_.get()); }

  nb::list run(const nb::list& given, const std::vector<std::string>& outputs) const {
    std::vector<Feed> feeds;
    for (const nb::handle one : given) feeds.push_back(feed_of(one));
    std::vector<cytodet_tensor> tensors;
    for (const Feed& f : feeds) tensors.push_back(f.tensor());
    const std::vector<const char*> names = detail::pointers(outputs);
    WatchedCall call(nb::none());
    cytodet_tensors* answers = call.run([&](const cytodet_callbacks* callbacks, cytodet_error** error) {
      return cytodet_graph_run_watched(graph_.get(), tensors.data(), tensors.size(), names.data(), names.size(), callbacks,
                                       error);
    });
    call.rethrow();
    return list_of_tensors(answers);
  }

 private:
  std::shared_ptr<cytodet_graph> graph_;
};

}  // namespace

void add_graphs(nb::module_& m) {
  nb::class_<PyGraph>(m, "Graph")
      .def(nb::init<const nb::bytes&, const std::string&>(), nb::arg("path"), nb::arg("settings"))
      .def("inputs", &PyGraph::inputs)
      .def("outputs", &PyGraph::outputs)
      .def("description", &PyGraph::description)
      .def("run", &PyGraph::run, nb::arg("feeds"), nb::arg("outputs"));
}

}  // namespace cytodet::python
