// Graphs: looked into and run; from float to INT8 by optimize, calibrate, quantize.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cytodet/detail.h"
#include "cytodet/image.h"
#include "cytodet/tensor.h"

namespace cytodet {

struct GraphOptions {
  int threads = 1;                                     // inside the network, 1 to 256
  bool plain = false;                                  // the plain interpreter instead of the kernels
  std::map<std::string, std::vector<int>> sizes = {};  // of inputs that the file leaves open, by name
  std::vector<std::string> set = {};                   // "NAME=VALUE": placeholders that are constants
};

// A graph of any format that is read (.pb, .pbtxt, a SavedModel, a checkpoint, .onnx). Several threads may run one at once.
class Graph {
 public:
  // Throws Error: a file that cannot be read.
  explicit Graph(const std::string& path, const GraphOptions& options = {}) {
    detail::Settings s;
    s.set("threads", options.threads);
    s.set_flag("plain", options.plain);
    s.set("set", options.set);
    std::string sizes;
    for (const auto& [name, shape] : options.sizes) sizes += (sizes.empty() ? "" : ", ") + detail::json_of(name, shape);
    if (!sizes.empty()) s.set_json("{\"sizes\": {" + sizes + "}}");
    handle_.reset(detail::call([&](cytodet_error** error) { return cytodet_graph_open(path.c_str(), s.get(), error); }));
  }

  // Descriptions of what is fed, and of the nodes that nobody reads.
  std::vector<Tensor> inputs() const { return described(cytodet_graph_input_count, cytodet_graph_input); }
  std::vector<Tensor> outputs() const { return described(cytodet_graph_output_count, cytodet_graph_output); }
  // JSON: what `cytodet inspect --json` prints.
  std::string description() const { return cytodet_graph_description(handle_.get()); }

  // The outputs of these names ("name" or "name:slot"; none: all of outputs()) for feeds, one for each input that they need. The
  // graph is compiled when feeds of new shapes or other outputs come. Throws Error: a feed that is missing, of another type or
  // shape than the graph's; an unknown node.
  std::vector<Tensor> run(const std::vector<Tensor>& feeds, const std::vector<std::string>& outputs = {}) const {
    std::vector<cytodet_tensor> given;
    for (const Tensor& t : feeds) given.push_back(detail::to_c(t));
    const std::vector<const char*> names = detail::pointers(outputs);
    return detail::to_tensors(detail::call([&](cytodet_error** error) {
      return cytodet_graph_run(handle_.get(), given.data(), given.size(), names.data(), names.size(), error);
    }));
  }

 private:
  std::vector<Tensor> described(std::size_t (*count)(const cytodet_graph*),
                                const cytodet_tensor* (*at)(const cytodet_graph*, std::size_t)) const {
    std::vector<Tensor> all;
    for (std::size_t i = 0; i < count(handle_.get()); ++i) all.push_back(detail::to_tensor(*at(handle_.get(), i)));
    return all;
  }

  detail::Handle<cytodet_graph, cytodet_graph_free> handle_;
};

struct OptimizeOptions {
  std::vector<std::string> inputs = {};   // nodes that are fed; the graph is cut there; default: its placeholders
  std::vector<std::string> outputs = {};  // nodes that are fetched; default: nodes that nobody reads
  std::vector<std::string> passes = {};   // that are run; default: all
  std::vector<std::string> without = {};  // passes that are not run
  bool check = true;                      // the answers are compared with the source's before the file is written
};
struct OptimizeReport {
  std::int64_t nodes_before = 0, nodes_after = 0;
  std::vector<std::string> messages;  // warnings
};

struct CalibrateOptions {
  std::string method = {};                // minmax (default), percentile, entropy, mse
  std::optional<double> percentile = {};  // of method percentile, 50 to 100; default 99.9999
  bool per_channel = true;                // also the ranges of single channels
  int max_images = 100;                   // evenly spaced over the sorted list
  int streams = 0;                        // networks at work at once; 0: one per usable core
};
struct CalibrateReport {
  std::int64_t ranges = 0, images = 0;  // values whose range is known; images that were used
  std::vector<std::string> messages;    // images that could not be read
};

struct QuantizeOptions {
  std::string images = {};                      // folder of images to calibrate on; or
  std::string ranges = {};                      // file that calibrate() wrote
  int max_images = 100;                         // to calibrate on
  std::string method = {};                      // auto (default: minmax, or mse where that is better), or as above
  std::vector<std::string> exclude_ops = {};    // TensorFlow ops that stay in float
  std::vector<std::string> exclude_nodes = {};  // nodes that stay in float
  bool check = true;                            // the file is run beside the network before it is written
  std::string json = {};                        // more keys of "quantize" of a run config (docs/quantize.md); they win
};
struct QuantizeReport {
  std::int64_t layers = 0, int8_layers = 0;
  std::vector<std::string> messages;  // warnings
};

namespace detail {

using GraphReport = Handle<cytodet_graph_report, cytodet_graph_report_free>;

inline std::vector<std::string> messages_of(const GraphReport& r) {
  return texts<cytodet_graph_report>(r.get(), cytodet_graph_report_message_count, cytodet_graph_report_message);
}

}  // namespace detail

// Rewrites a TensorFlow graph (.pb, .pbtxt, a SavedModel or a checkpoint) into the file `out`: strips it, folds constants and
// batch norms; the answers stay. Throws Error: a file that cannot be read or written, unknown nodes or passes, answers that
// differ.
inline OptimizeReport optimize(const std::string& graph, const std::string& out, const OptimizeOptions& options = {}) {
  detail::Settings s;
  s.set("inputs", options.inputs);
  s.set("outputs", options.outputs);
  s.set("passes", options.passes);
  s.set("without", options.without);
  s.set_flag("check", options.check);
  const detail::GraphReport r(
      detail::call([&](cytodet_error** error) { return cytodet_optimize(graph.c_str(), out.c_str(), s.get(), error); }));
  return {cytodet_graph_report_nodes_before(r.get()), cytodet_graph_report_nodes_after(r.get()), detail::messages_of(r)};
}

// Runs the images in a folder through the network and writes the ranges of its values to `out` (.json). Throws Error: a model or
// folder that cannot be read, no image that can be, a result that cannot be written.
inline CalibrateReport calibrate(const std::string& model, const std::string& images, const std::string& out,
                                 const CalibrateOptions& options = {}) {
  detail::Settings s;
  s.set("method", options.method);
  s.set("percentile", options.percentile);
  s.set_flag("per_channel", options.per_channel);
  s.set("max_images", options.max_images);
  s.set("streams", options.streams);
  const detail::GraphReport r(detail::call(
      [&](cytodet_error** error) { return cytodet_calibrate(model.c_str(), images.c_str(), out.c_str(), s.get(), error); }));
  return {cytodet_graph_report_ranges(r.get()), cytodet_graph_report_images(r.get()), detail::messages_of(r)};
}

// calibrate() on images in memory, all of which are used as whole images of a detection model.
inline CalibrateReport calibrate(const std::string& model, const std::vector<ImageView>& images, const std::string& out,
                                 const CalibrateOptions& options = {}) {
  detail::Settings s;
  s.set("method", options.method);
  s.set("percentile", options.percentile);
  s.set_flag("per_channel", options.per_channel);
  s.set("streams", options.streams);
  std::vector<cytodet_image> all;
  for (const ImageView& i : images) all.push_back(detail::to_c(i));
  const detail::GraphReport r(detail::call([&](cytodet_error** error) {
    return cytodet_calibrate_images(model.c_str(), all.data(), all.size(), out.c_str(), s.get(), nullptr, error);
  }));
  return {cytodet_graph_report_ranges(r.get()), cytodet_graph_report_images(r.get()), detail::messages_of(r)};
}

// Writes the network with INT8 layers to `out` (.pb), and for a model its model file beside it. Throws Error: neither images nor
// ranges, ranges of another graph, no layer that can be INT8, a file that is one of the inputs.
inline QuantizeReport quantize(const std::string& model, const std::string& out, const QuantizeOptions& options) {
  detail::Settings s;
  s.set("images", options.images);
  s.set("ranges", options.ranges);
  s.set("max_images", options.max_images);
  s.set("method", options.method);
  s.set("exclude_ops", options.exclude_ops);
  s.set("exclude_nodes", options.exclude_nodes);
  s.set_flag("check", options.check);
  s.set_json(options.json);
  const detail::GraphReport r(
      detail::call([&](cytodet_error** error) { return cytodet_quantize(model.c_str(), out.c_str(), s.get(), error); }));
  return {cytodet_graph_report_layers(r.get()), cytodet_graph_report_int8_layers(r.get()), detail::messages_of(r)};
}

}  // namespace cytodet
