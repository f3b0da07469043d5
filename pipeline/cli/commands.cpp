#include "pipeline/cli/commands.h"

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/cpu.h"
#include "core/error.h"
#include "core/live_paths.h"
#include "core/messages.h"
#include "core/suggest.h"
#include "exec/kernels/kernels.h"

namespace cytodet::pipeline {

const std::vector<Command>& commands() {
  static const std::vector<Command> rows = {
      {"inspect", "What is in a graph: inputs, outputs, ops, parameters, work, shapes", "cytodet inspect graph.pb --structure",
       setup_inspect},
      {"summarize_graph", "What is in a graph, as TensorFlow's tool of this name prints it",
       "cytodet summarize_graph --in_graph=graph.pb --print_structure=false", setup_summarize_graph},
      {"freeze_graph", "A frozen graph of a SavedModel or checkpoint: variables become constants",
       "cytodet freeze_graph saved_model_folder -o frozen.pb", setup_freeze_graph},
      {"transform_graph", "A list of transforms, as TensorFlow's tool of this name runs them",
       "cytodet transform_graph --in_graph=graph.pb --out_graph=new.pb --outputs=out --transforms='strip_unused_nodes'",
       setup_transform_graph, 255},
      {"shared_node", "Constants that several layers read become one each", "cytodet shared_node graph.pb split.pb",
       setup_shared_node},
      {"quantize_graph", "8-bit layers with ranges that each run computes, as Intel's tool of this name writes them",
       "cytodet quantize_graph --input=graph.pb --output=int8.pb --output_node_names=out --mode=eightbit", setup_quantize_graph,
       255},
      {"convert", "A graph of any format that is read, as an ONNX or TensorFlow Lite model or a TensorFlow graph",
       "cytodet convert graph.pb -o graph.onnx", setup_convert},
      {"import", "A model file for a detection network: YOLO, SSD, Faster R-CNN, RetinaNet, DETR, EfficientDet, ...",
       "cytodet import yolov8n.onnx", setup_import},
      {"compare-modes", "Size, accuracy and time of a network in all modes of quantization",
       "cytodet compare-modes model.json --images val --truth val.json --svg modes.svg", setup_compare_modes},
      {"compile-report", "Every operator of a network with its count and what computes it",
       "cytodet compile-report model.tflite --target edgetpu", setup_compile_report},
      {"optimize", "Rewrite a frozen graph: strip, remove training nodes, fold constants and batch norms",
       "cytodet optimize graph.pb -o optimized.pb --inputs image --outputs classes,boxes", setup_optimize},
      {"infer", "Run any graph on named inputs", "cytodet infer graph.pb --feeds feeds.json -o out.json", setup_infer},
      {"calibrate", "Ranges of a network's values over images, for quantization",
       "cytodet calibrate model.json --images train -o ranges.json", setup_calibrate},
      {"quantize", "8-bit convolutions from a network and its ranges",
       "cytodet quantize model.json --ranges ranges.json -o int8.pb --report report.json", setup_quantize},
      {"sensitivity", "Which layers suffer most from 8 bits", "cytodet sensitivity model.json --ranges ranges.json --images val",
       setup_sensitivity},
      {"detect", "Find cells on images and slides", "cytodet detect --model model.json slide.tif images/ -o results --overlay",
       setup_detect},
      {"classify", "The best classes of images", "cytodet classify --model model.json images/ --top 3", setup_classify},
      {"collect", "Join the run folders of shards into one", "cytodet collect shard1 shard2 -o results", setup_collect},
      {"export", "Results in another form: GeoJSON for QuPath, CSV, heat map, crops, ...",
       "cytodet export results -o cells.geojson.gz", setup_export},
      {"report", "A run as one HTML file: tables, curves, pictures", "cytodet report results -o report.html --truth truth.json",
       setup_report},
      {"view", "A slide with its boxes, in a browser", "cytodet view results --port 8080", setup_view},
      {"evaluate", "Score detections against COCO ground truth; run detection first when given a model",
       "cytodet evaluate --truth val.json --model model.json --images val --map --timing", setup_evaluate},
      {"merge", "Merge boxes that overlap in results from anywhere",
       "cytodet merge detections.json -o merged.json --method nmm --metric ios --iou 0.5", setup_merge},
      {"bench", "Latency and throughput of the network alone",
       "cytodet bench --model model.json --streams 2 --seconds 5 --layers", setup_bench},
      {"run", "All stages of a run config: optimize, detect, evaluate", "cytodet run configs/blood_d0.json", setup_run},
      {"info", "What a slide holds: size, levels, micrometres per pixel, codec, and what detection on it will take",
       "cytodet info slide.svs --model model.json", setup_info},
      {"doctor", "What this machine offers, and a self-test", "cytodet doctor", setup_doctor},
      {"tune", "Search settings for the best mAP and speed", "cytodet tune configs/tune_blood.json --pick score", setup_tune},
      {"zoo", "Well-known networks from float to INT8 in one command",
       "cytodet zoo resnet50 --in_graph fp32.pb --data_location images", setup_zoo},
      {"amct", "A quantized graph and its records, by the flags of Huawei's amct_tensorflow",
       "cytodet amct calibration --model float.pb --outputs out:0 --input_shape in:1,224,224,3 --data_dir bins --save_path "
       "out/net",
       setup_amct},
  };
  return rows;
}

namespace {

// The program's words; a link that is called as a command is, "freeze_graph" or "freeze_graph.py", means that command.
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv, argv + argc);
  std::string called = words.empty() ? "" : std::filesystem::path(words[0]).filename().string();
  if (called.ends_with(".py")) called.resize(called.size() - 3);
  if (entry_named(commands(), called)) words.insert(words.begin() + 1, called);
  return words;
}

// Names between commas without the blanks around them and without empty ones.
std::string tidy_list(const std::string& text) {
  std::string tidy;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const size_t first = text.find_first_not_of(' ', at), last = text.find_last_not_of(' ', comma - 1);
    if (comma > at && first < comma) tidy += (tidy.empty() ? "" : ",") + text.substr(first, last + 1 - first);
    at = comma + 1;
  }
  return tidy;
}

// What is to be given to a flag, where it takes no text: it is not to be empty.
const char* needed_value(const CLI::Option& option) {
  if (option.get_items_expected_min() == 0) return "give true or false";
  const std::string type = option.get_type_name();
  for (const char* number : {"INT", "UINT", "FLOAT"})
    if (type.starts_with(number)) return option.get_delimiter() == '\0' ? "give a number" : "give numbers between commas";
  return nullptr;
}

// The words as CLI11 is to read them. It takes "--flag=" for "--flag" whose value is the next word, and so does a list of commas
// alone: an empty value becomes a word of its own, and an empty list is as if it were not given.
std::vector<std::string> with_empty_values(const std::vector<std::string>& words, const CLI::App& command) {
  std::vector<std::string> out;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") return out.insert(out.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end()), out;
    const size_t equals = word.find('=');
    const bool joined = equals != std::string::npos;
    const std::string name = word.substr(0, equals);
    const CLI::Option* option = i > 1 && word.starts_with("--") ? command.get_option_no_throw(name) : nullptr;
    const bool takes_next =
        option && !joined && option->get_items_expected_max() > 0 && i + 1 < words.size() && !words[i + 1].starts_with("--");
    if (!option || (!joined && !takes_next)) {
      out.push_back(word);
      continue;
    }
    const std::string value = joined ? word.substr(equals + 1) : words[++i];
    const bool list = option->get_delimiter() != '\0';
    const std::string tidy = list ? tidy_list(value) : value;
    if (!tidy.empty()) {
      out.push_back(joined ? name + "=" + tidy : name);
      if (!joined) out.push_back(tidy);
      while (list && option->get_allow_extra_args() && i + 1 < words.size() && !words[i + 1].starts_with("-"))
        if (const std::string more = tidy_list(words[++i]); !more.empty()) out.push_back(more);
      continue;
    }
    if (const char* needed = needed_value(*option)) throw UsageError("cytodet " + words[1] + " " + name, "has no value", needed);
    if (list) continue;
    out.push_back(name);
    out.emplace_back();
  }
  return out;
}

// What must be given is not given by an empty word.
void check_required(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options())
    if (option->get_required() && !option->results().empty() && option->results().front().empty())
      throw UsageError("cytodet " + command.get_name() + " " + option->get_name(), "has no value");
}

int program(const std::vector<std::string>& words) {
  if (!has_kernels_of(isa()))  // an unknown cap is a usage error of every command
    print_warning("built for another CPU: this one's instruction set, " + name_of(isa()) + ", has no kernels here, those of " +
                  kernels().name + " run; build with -DCYTODET_KERNELS=all");
  CLI::App app("cytodet finds cells on images and whole slides with a frozen TensorFlow detector graph.", "cytodet");
  app.set_version_flag("--version", std::string("cytodet " CYTODET_VERSION));
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(34);
  std::vector<std::pair<CLI::App*, std::function<int()>>> parsed;
  for (const Command& c : commands()) {
    CLI::App* sub = app.add_subcommand(c.name, c.summary);
    sub->footer(std::string("Example:\n  ") + c.example);
    parsed.emplace_back(sub, c.setup(*sub));
  }
  CLI::App* help = app.add_subcommand("help", "This text");
  std::vector<std::string> given = words;
  for (const auto& [sub, unused] : parsed)
    if (words.size() > 1 && words[1] == sub->get_name()) given = with_empty_values(words, *sub);
  try {
    app.parse(std::vector<std::string>(given.rbegin(), given.rend() - 1));
    for (const auto& [sub, unused] : parsed)
      if (sub->parsed()) check_required(*sub);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    // The nearest known names, for a command or an option.
    std::vector<std::string> known;
    CLI::App* in = &app;
    for (auto& [sub, unused] : parsed) {
      known.push_back(sub->get_name());
      if (sub->parsed()) in = sub;
    }
    std::string wrong;
    for (size_t i = 1; i < words.size(); ++i) {
      const std::string& a = words[i];
      if (in == &app && !a.starts_with('-')) {
        wrong = a;
        break;
      }
      if (in != &app && a.starts_with("--") && !in->get_option_no_throw(a.substr(0, a.find('=')))) {
        wrong = a.substr(0, a.find('='));
        known.clear();
        for (const CLI::Option* o : in->get_options())
          if (!o->get_positional()) known.push_back((o->get_single_name().size() > 1 ? "--" : "-") + o->get_single_name());
        break;
      }
    }
    std::string hint =
        wrong.empty() ? "see cytodet " + (in == &app ? std::string() : in->get_name() + " ") + "--help" : suggest(wrong, known);
    throw UsageError("cytodet" + (in == &app ? std::string() : " " + in->get_name()), e.what(), hint);
  }
  for (auto& [sub, run] : parsed)
    if (sub->parsed()) return run();
  std::string text = app.get_formatter()->make_help(&app, "cytodet", CLI::AppFormatMode::Normal);
  std::fputs(text.c_str(), help->parsed() ? stdout : stderr);
  return static_cast<int>(help->parsed() ? Exit::ok : Exit::usage);
}

// What was printed has arrived.
void check_standard_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return;
  pollfd reader{STDOUT_FILENO, POLLOUT, 0};
  if (errno == EPIPE || (::poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR)))
    throw Error("standard output", "whoever read it stopped before the end");
  throw Error("standard output", std::string("cannot write") + (errno ? std::string(": ") + std::strerror(errno) : ""),
              "free some space or write elsewhere");
}

}  // namespace

int run_program(int argc, char** argv) {
  clean_up_on_signals();
  const std::vector<std::string> words = words_of(argc, argv);
  const Command* command = words.size() > 1 ? entry_named(commands(), words[1]) : nullptr;
  try {
    const int code = program(words);
    check_standard_output();
    return code;
  } catch (const Error& e) {
    print_error(e.what());
    return command && command->error_code ? command->error_code : static_cast<int>(e.code());
  } catch (const std::bad_alloc&) {
    std::fputs("cytodet: error: out of memory; use smaller tiles, a smaller graph or fewer streams\n", stderr);
  } catch (const std::exception& e) {
    print_error(e.what());
  }
  return static_cast<int>(Exit::failed);
}

}  // namespace cytodet::pipeline
