#include "pipeline/quantize/target.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>

#include "core/error.h"
#include "core/join.h"
#include "graph/interpret/feed_check.h"
#include "graph/interpret/set_values.h"
#include "graph/io/named_tensors.h"
#include "graph/io/read_network.h"
#include "graph/io/tensorflow/graph_def.h"
#include "graph/ir/conv_node.h"
#include "graph/ir/op.h"
#include "models/classification_model.h"
#include "models/detection_model.h"
#include "pipeline/detect/detector.h"
#include "pipeline/detect/fit_to_image.h"
#include "pipeline/detect/image_pipeline.h"
#include "pipeline/inputs/labelled_images.h"
#include "pipeline/inputs/list_inputs.h"
#include "quant/deconvolution.h"
#include "quant/layout.h"

namespace cytodet::pipeline {
namespace {

// At most `max_samples`, evenly spaced.
template <class T>
std::vector<T> chosen(const std::vector<T>& all, int max_samples) {
  const auto n = static_cast<int64_t>(all.size()), take = std::min<int64_t>(n, max_samples);
  std::vector<T> some;
  for (int64_t i = 0; i < take; ++i) some.push_back(all[static_cast<size_t>(i * n / take)]);
  return some;
}

// The pixels of input_image().
Image read_input_image(const std::string& path, const InputSettings& input) {
  const InputImage image = input_image(path, input);
  try {
    return read_tile(*image.slide, image.tile);
  } catch (const Error& e) {
    throw e.within(path);
  }
}

void feed_image(const std::string& path, const DetectionModel& network, Runner& runner) {
  Image image = read_input_image(path, network.input());
  const Letterbox box = letterbox_of(image.width, image.height, network.input());
  NetworkInput(runner.plan(), network.input()).put(network, image, box, runner);
}

void feed_case(const std::string& path, const Graph& graph, Runner& runner) {
  NamedTensors feeds = read_case(path).inputs;
  try {
    for (size_t i = 0; i < runner.plan().inputs().size(); ++i) {
      const std::string& name = runner.plan().inputs()[i].name;
      auto feed = std::find_if(feeds.begin(), feeds.end(),
                               [&](const auto& f) { return graph.node(graph.value(f.first).node).name == name; });
      if (feed == feeds.end()) throw Error("input " + name, "is not fed");
      check_feed(graph, graph.value(feed->first), feed->second);
      runner.set_input(static_cast<int>(i), feed->second);
    }
  } catch (const Error& e) {
    throw e.within(path);
  }
}

// What a target can be shown: files, and records of a classification network's data sets.
std::vector<LabelledImage> samples_of(const QuantizationTarget& s, const std::string& images) {
  std::error_code ignored;
  if (!std::filesystem::exists(images, ignored)) throw Error(images, "cannot open: no such file or folder", "check the path");
  if (dynamic_cast<const ClassificationModel*>(s.network.get())) return list_labelled_images({images}).images;
  InputList list = list_inputs({images});
  std::vector<std::string> files = std::move(list.files);
  if (!s.model) {
    files.insert(files.end(), list.companions.begin(), list.companions.end());
    std::erase_if(files, [](const std::string& f) { return !f.ends_with(".json"); });
    std::sort(files.begin(), files.end());
  }
  if (files.empty() && s.model) throw Error(images, "holds no images", "name a folder of images");
  if (files.empty())
    throw Error(images, "holds no feeds (.json)", "write a model file beside " + s.path + " to calibrate on images");
  std::vector<LabelledImage> samples;
  for (const std::string& file : files) samples.push_back({file, file, {}});
  return samples;
}

// A network that takes no input would fold away whole: float constants that its layers read beside a constant filter become
// inputs that need not be fed.
void open_constants(Graph& g) {
  const auto source = [&](Value v) {
    while (g.node(v.node).op == "Identity" && g.node(v.node).inputs.size() == 1) v = g.node(v.node).inputs[0];
    return v;
  };
  for (NodeId id : g.ids()) {
    const Node& layer = g.node(id);
    const bool transposed = layer.op == "Conv2DBackpropInput" && layer.inputs.size() == 3;
    if (!transposed && !has_int8_form(layer.op)) continue;
    if (!transposed && layer.inputs.size() != 2) continue;
    const Value data = source(layer.inputs[transposed ? 2 : 0]), filter = source(layer.inputs[1]);
    const Tensor* values = g.constant(data);
    if (!values || values->dtype() != DType::f32 || !g.constant(filter) || data == filter) continue;
    const ShapeAttr shape{true, values->shape()};
    const Value kept = g.add_const(g.node(data.node).name + "/default", *values);
    Node& n = g.node(data.node);
    n.op = "PlaceholderWithDefault";
    n.inputs = {kept};
    n.attrs.clear();
    n.attrs.emplace("dtype", DType::f32);
    n.attrs.emplace("shape", shape);
  }
}

// Reads the graph at s.path and makes it ready; the rest of `s` says what is fed and fetched.
void read_graph_of(QuantizationTarget& s, const GraphChanges& changes) {
  PassOptions passes;
  passes.interface = s.interface;
  if (s.model) {
    s.graph = read_network(s.path, changes.sizes);
    set_values(s.graph, changes.set);
    fit_to_image(s.graph, *s.network);
  } else {
    s.graph = read_graph(s.path, changes);
  }
  try {
    require_frozen(s.graph, s.plan.outputs.empty() ? find_outputs(s.graph) : s.plan.outputs);
    if (!s.model && find_inputs(s.graph).empty()) open_constants(s.graph);
    PassOptions in_float32 = passes;
    in_float32.only = {"inline_functions", "float16_to_float32"};
    run_passes(s.graph, in_float32);
    run_passes(s.graph, passes);
    inline_functions(s.graph);  // those that the passes leave to TensorFlow's compiler
    const std::vector<std::string> outputs = s.plan.outputs.empty() ? find_outputs(s.graph) : s.plan.outputs;
    deconvolutions_to_convolutions(s.graph, {s.interface.inputs, outputs});
  } catch (const Error& e) {
    throw e.within(s.path);
  }
}

// Whether the graph is the network that the model file says, as far as its shapes are known before it runs.
void check_fits(const QuantizationTarget& s) {
  const NodeId id = s.graph.find(s.network->input().node);
  const Shape given = s.network->input_shape();
  try {
    if (id >= 0) {
      const ShapeAttr shape = s.graph.node(id).attr_or("shape", ShapeAttr{});
      const auto differs = [&](size_t d) { return shape.dims[d] >= 0 && shape.dims[d] != given[d]; };
      if (shape.known_rank && !shape.dims.empty() && (shape.dims.size() != 4 || differs(1) || differs(2) || differs(3)))
        throw Error("input " + s.network->input().node, "is " + to_string(shape.dims) + ", and not " + to_string(given));
    }
    Fact input;
    if (id >= 0) input = Facts(s.graph).of({id, 0});
    input.shape = given;
    const Facts facts(s.graph, {{Value{id, 0}, input}});
    std::vector<OutputSpec> outputs;
    for (const std::string& name : s.plan.outputs) {
      const Fact& fact = facts.of(s.graph.value(name));
      if (!fact.shape || fact.dtype == DType::invalid || !is_static(*fact.shape)) return;
      outputs.push_back({name, fact.dtype, *fact.shape});
    }
    s.network->check_outputs(outputs);
  } catch (const Error& e) {
    throw Error(s.path,
                "does not fit the model file" + (s.model->name.empty() ? "" : " of " + s.model->name) + ": " + e.where() + " " +
                    e.problem(),
                "name the graph that it is of, or check its input, outputs and classes");
  }
}

QuantizationTarget target_of(ModelFile model, const std::vector<std::string>& also, const GraphChanges& changes) {
  QuantizationTarget s;
  s.network = make_model(model);
  s.path = model.graph;
  s.model = std::move(model);
  s.plan.outputs = s.network->outputs();
  s.plan.input_shapes[s.network->input().node] = s.network->input_shape();
  s.interface = {{s.network->input().node}, s.plan.outputs};
  for (const std::string& name : also)
    if (std::find(s.plan.outputs.begin(), s.plan.outputs.end(), name) == s.plan.outputs.end())
      s.interface.outputs.push_back(name);
  read_graph_of(s, changes);
  check_fits(s);
  return s;
}

// The model file, and the outputs beside its own that were asked for. What is to be fed and fetched may be said again.
QuantizationTarget target_of_stated(const std::string& path, const TargetOptions& options) {
  ModelFile model = load_model(path);
  const std::shared_ptr<const NetworkModel> network = make_model(model);
  const auto plain = [](std::string name) { return name.ends_with(":0") ? name.substr(0, name.size() - 2) : name; };
  std::vector<std::string> also;
  for (const std::string& name : options.interface.outputs) also.push_back(plain(name));
  const std::vector<std::string> own = network->outputs();
  const bool fetched = also.empty() || std::all_of(own.begin(), own.end(), [&](const std::string& name) {
                         return std::find(also.begin(), also.end(), name) != also.end();
                       });
  const auto& fed = options.interface.inputs;
  if (!fetched || (!fed.empty() && (fed.size() != 1 || plain(fed[0]) != network->input().node)))
    throw UsageError(path, "its model file says that " + network->input().node + " is fed and " + join(own, ", ") + " fetched",
                     "leave out --inputs and --outputs, or give these");
  return target_of(std::move(model), also, options.changes);
}

}  // namespace

InputImage input_image(const std::string& path, const InputSettings& input) {
  InputImage image{open_slide(path), {}};
  const Slide& slide = *image.slide;
  const int64_t side = longest_whole_side(input);
  image.tile.width = static_cast<int>(slide.width());
  image.tile.height = static_cast<int>(slide.height());
  if (slide.levels.size() > 1 || slide.width() > side || slide.height() > side) try {
      const std::vector<Tile> tiles = make_grid(slide, {});
      image.tile = tiles[tiles.size() / 2];
    } catch (const Error& e) {
      throw e.within(path);
    }
  return image;
}

QuantizationTarget read_target(ModelFile model, const std::vector<std::string>& also) {
  return target_of(std::move(model), also, {});
}

QuantizationTarget read_target(const std::string& path, const TargetOptions& options) {
  if (has_model_file(path)) return target_of_stated(path, options);
  QuantizationTarget s;
  s.path = path;
  s.plan.outputs = options.interface.outputs;
  s.interface = options.interface;
  read_graph_of(s, options.changes);
  return s;
}

namespace {

void feed_sample(const LabelledImage& sample, const QuantizationTarget& s, Runner& runner) {
  if (const auto* detector = dynamic_cast<const DetectionModel*>(s.network.get()))
    return feed_image(sample.path, *detector, runner);
  if (const auto* classifier = dynamic_cast<const ClassificationModel*>(s.network.get())) {
    check_inputs(runner.plan(), classifier->input());
    return classifier->preprocess(load_labelled_image(sample, classifier->jpeg()).image, runner.input(0).data<float>());
  }
  feed_case(sample.path, s.graph, runner);
}

CalibrationData data_from(QuantizationTarget& s, const std::string& images, std::vector<LabelledImage> samples) {
  CalibrationData data;
  data.name = std::filesystem::path(images).lexically_normal().filename().string();
  if (data.name.empty()) data.name = std::filesystem::path(images).lexically_normal().parent_path().filename().string();
  if (!s.model) {
    for (const auto& [name, tensor] : read_case(samples.front().path).inputs)
      s.plan.input_shapes[s.graph.node(s.graph.value(name).node).name] = tensor.shape();
  }
  for (const LabelledImage& sample : samples) {
    data.samples.push_back(sample.name);
    data.files.push_back(sample.path);
  }
  data.feed = [&s, samples = std::move(samples)](size_t i, Runner& runner) { feed_sample(samples[i], s, runner); };
  return data;
}

}  // namespace

CalibrationData data_of(QuantizationTarget& s, const std::string& images, int max_samples) {
  return data_from(s, images, chosen(samples_of(s, images), max_samples));
}

namespace {

std::vector<LabelledImage> without(const std::vector<LabelledImage>& samples, const std::vector<LabelledImage>& taken) {
  std::set<std::string> names;
  for (const LabelledImage& sample : taken) names.insert(sample.name);
  std::vector<LabelledImage> rest;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(rest),
               [&](const LabelledImage& sample) { return !names.contains(sample.name); });
  return rest;
}

// What is calibrated on, and what is left.
struct Shared {
  std::vector<LabelledImage> calibrated, left;
};
Shared shared(const std::vector<LabelledImage>& samples, int max_samples) {
  std::vector<LabelledImage> used = chosen(samples, max_samples), left = without(samples, used);
  if (!left.empty() || used.size() < kMinToShare) return {std::move(used), std::move(left)};
  left = chosen(used, static_cast<int>(std::min(kMaxHeldBack, used.size() / 4)));
  return {without(used, left), std::move(left)};
}

}  // namespace

CalibrationData calibration_data(QuantizationTarget& s, const std::string& images, int max_samples) {
  return data_from(s, images, shared(samples_of(s, images), max_samples).calibrated);
}

std::vector<LabelledImage> calibration_samples(const QuantizationTarget& s, const std::string& images, int max_samples) {
  return shared(samples_of(s, images), max_samples).calibrated;
}

HeldBack held_back(QuantizationTarget& s, const std::string& images, int calibrated, int max_samples) {
  const std::vector<LabelledImage> samples = samples_of(s, images), left = shared(samples, calibrated).left;
  return {data_from(s, images, chosen(left.empty() ? samples : left, max_samples)), left.empty()};
}

}  // namespace cytodet::pipeline
