// doctor: what this machine offers, and whether the program works on it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>

#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "core/peak.h"
#include "core/settings.h"
#include "exec/kernels/kernels.h"
#include "exec/runtime/onednn_version.h"
#include "exec/runtime/plan.h"
#include "graph/ir/op.h"
#include "pipeline/cli/commands.h"
#include "tiling/slides/image_io.h"
#include "tiling/slides/slide.h"

namespace cytodet::pipeline {
namespace {

std::string formatted(const char* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

// Value of a line "key : value" or "key: value kB" of a file of /proc; empty when there is none.
std::string proc_value(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) {
      const size_t at = line.find_first_not_of(" \t", line.find(':') + 1);
      return at == std::string::npos ? "" : line.substr(at);
    }
  return "";
}

int64_t memory_bytes(const char* key) { return std::strtoll(proc_value("/proc/meminfo", key).c_str(), nullptr, 10) * 1024; }

NodeId add(Graph& g, const char* name, const char* op, const std::vector<Value>& inputs, AttrMap attrs = {}) {
  Node n;
  n.name = name;
  n.op = op;
  n.inputs = inputs;
  attrs.try_emplace("T", DType::f32);
  n.attrs = std::move(attrs);
  return g.add(std::move(n));
}

Tensor noise(Shape shape, std::mt19937& random) {
  Tensor t(DType::f32, std::move(shape));
  std::uniform_real_distribution<float> value(-1, 1);
  for (int64_t i = 0; i < t.size(); ++i) t.data<float>()[i] = value(random);
  return t;
}

// An inverted bottleneck: 1x1 convolution, swish, depthwise 3x3, 1x1, sum.
struct SmallNetwork {
  Graph graph;
  Value input;
  std::string output = "sum";

  explicit SmallNetwork(std::mt19937& random) {
    AttrList ones;
    ones.ints = {1, 1, 1, 1};
    AttrMap conv;
    conv.emplace("strides", Attr(ones));
    conv.emplace("padding", std::string("SAME"));
    AttrMap place;
    place.emplace("dtype", DType::f32);
    place.emplace("shape", ShapeAttr{true, {1, 24, 24, 16}});
    input = {add(graph, "x", "Placeholder", {}, place), 0};
    const Value w1 = graph.add_const("w1", noise({1, 1, 16, 48}, random)),
                w2 = graph.add_const("w2", noise({3, 3, 48, 1}, random)),
                w3 = graph.add_const("w3", noise({1, 1, 48, 16}, random)), b = graph.add_const("b", noise({48}, random));
    const NodeId expand = add(graph, "expand", "Conv2D", {input, w1}, conv),
                 bias = add(graph, "bias", "BiasAdd", {{expand, 0}, b});
    const NodeId sigmoid = add(graph, "sigmoid", "Sigmoid", {{bias, 0}}),
                 swish = add(graph, "swish", "Mul", {{bias, 0}, {sigmoid, 0}});
    const NodeId depthwise = add(graph, "depthwise", "DepthwiseConv2dNative", {{swish, 0}, w2}, conv);
    const NodeId project = add(graph, "project", "Conv2D", {{depthwise, 0}, w3}, conv);
    add(graph, "sum", "AddV2", {{project, 0}, input});
  }
};

// A check gives what it saw; it throws Error when it fails.
struct Check {
  const char* name;
  std::string (*run)();
};

constexpr Check kChecks[] = {
    {"kernels",
     [] {
       std::mt19937 random(1);
       SmallNetwork net(random);
       const Tensor x = noise({1, 24, 24, 16}, random);
       const Tensor want = interpret(net.graph, {{net.input, x}}, {net.graph.value(net.output)})[0];
       PlanOptions options;
       options.outputs = {net.output};
       Runner runner(Plan::compile(net.graph, options));
       std::copy_n(x.data<float>(), x.size(), runner.input(0).data<float>());
       runner.run();
       const Tensor& got = runner.output(0);
       float worst = 0, largest = 0;
       for (int64_t i = 0; i < want.size(); ++i) {
         largest = std::max(largest, std::abs(want.data<float>()[i]));
         const float d = std::abs(got.data<float>()[i] - want.data<float>()[i]);
         worst = d <= worst ? worst : d;  // a NaN is the worst of all
       }
       char text[96];
       std::snprintf(text, sizeof text, "a small network differs from plain evaluation by %.1e of %.1f",
                     static_cast<double>(worst), static_cast<double>(largest));
       if (!(worst <= 1e-4f * largest)) throw Error("", text, "set CYTODET_MAX_ISA=baseline and report the processor");
       return std::string(text);
     }},
    {"jpeg",
     [] {
       Image image(64, 48);
       for (int y = 0; y < image.height; ++y)
         for (int x = 0; x < image.width * 3; ++x) image.row(y)[x] = static_cast<uint8_t>(x + y);
       const std::string bytes = encode_image(image, true, 95);
       const Image back = decode_jpeg({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
       int worst = 0;
       for (size_t i = 0; i < image.rgb.size() && back.rgb.size() == image.rgb.size(); ++i)
         worst = std::max(worst, std::abs(int{image.rgb[i]} - int{back.rgb[i]}));
       if (back.rgb.size() != image.rgb.size() || worst > 24)
         throw Error("", "an image comes back changed by " + std::to_string(worst), "reinstall libjpeg-turbo");
       return "an image comes back within " + std::to_string(worst) + " of 255";
     }},
    {"temporary folder",
     [] {
       std::error_code error;
       const auto folder = std::filesystem::temp_directory_path(error);
       if (error) throw Error("", "there is none: " + error.message(), "set TMPDIR to a folder that can be written");
       const auto file = folder / ("cytodet-doctor-" + std::to_string(::getpid()));
       write_file(file, "doctor");
       const bool same = read_file(file) == "doctor";
       std::filesystem::remove(file, error);
       if (!same) throw Error(file.string(), "does not read back as written", "check the disk");
       return folder.string() + " can be written";
     }},
};

struct Finding {
  std::string name, text;
  bool ok;
};

std::vector<Finding> examine() {
  std::vector<Finding> findings;
  for (const Check& c : kChecks) {
    try {
      findings.push_back({c.name, c.run(), true});
    } catch (const Error& e) {
      findings.push_back({c.name, e.what(), false});
    }
  }
  return findings;
}

std::vector<std::pair<std::string, std::string>> libraries() {
  auto all = slide_libraries();
  all.emplace_back("oneDNN", onednn_version());
  return all;
}

int run_doctor(bool json) {
  const std::vector<Finding> findings = examine();
  const bool ok = std::all_of(findings.begin(), findings.end(), [](const Finding& f) { return f.ok; });
  const std::string cpu = proc_value("/proc/cpuinfo", "model name");
  const double effective = effective_cores(), apart = core_to_core_ns();
  if (json) {
    Json j{{"version", CYTODET_VERSION}, {"ok", ok}, {"cpu", cpu}, {"cores", usable_cpus()}, {"effective_cores", effective},
           {"core_to_core_ns", apart}};
    for (const CpuFeature& f : cpu_features()) j["features"][f.name] = f.present;
    j["isa"] = name_of(isa());
    j["kernels"] = kernels().name;
    j["memory_bytes"] = memory_bytes("MemTotal");
    j["memory_available_bytes"] = memory_bytes("MemAvailable");
    for (const auto& [name, version] : libraries()) j["libraries"][name] = version;
    for (const Finding& f : findings) j["checks"].push_back({{"name", f.name}, {"ok", f.ok}, {"text", f.text}});
    std::printf("%s\n", j.dump(1).c_str());
  } else {
    std::string present, absent, versions;
    for (const CpuFeature& f : cpu_features()) (f.present ? present : absent) += std::string(" ") + f.name;
    for (const auto& [name, version] : libraries()) versions += (versions.empty() ? "" : ", ") + name + " " + version;
    std::printf("cytodet    %s\nprocessor  %s, ", CYTODET_VERSION, cpu.c_str());
    if (usable_cpus() == 1)
      std::printf("1 usable core\n");
    else
      std::printf(
          "%d usable cores, %s, %s\n", usable_cpus(),
          effective > 0 ? formatted("at work together as many as %.2f", effective).c_str() : "too busy to measure them together",
          apart > 0 ? formatted("%.0f ns apart", apart).c_str() : "too busy to measure how far apart");
    std::printf("has       %s\nlacks     %s\n", present.c_str(), absent.empty() ? " nothing" : absent.c_str());
    std::printf("kernels    %s (instruction set %s%s)\n", kernels().name, name_of(isa()).c_str(),
                has_kernels_of(isa()) ? "" : "; its own were not built: CYTODET_KERNELS=native");
    std::printf("memory     %.1f GiB, %.1f available\nlibraries  %s\n", static_cast<double>(memory_bytes("MemTotal")) / (1 << 30),
                static_cast<double>(memory_bytes("MemAvailable")) / (1 << 30), versions.c_str());
    for (const Finding& f : findings) std::printf("%-6s     %s: %s\n", f.ok ? "ok" : "FAILED", f.name.c_str(), f.text.c_str());
  }
  for (const Finding& f : findings)
    if (!f.ok) std::fprintf(stderr, "cytodet: error: doctor: %s: %s\n", f.name.c_str(), f.text.c_str());
  return static_cast<int>(ok ? Exit::ok : Exit::failed);
}

}  // namespace

std::function<int()> setup_doctor(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "JSON instead of text");
  return [json] { return run_doctor(*json); };
}

}  // namespace cytodet::pipeline
