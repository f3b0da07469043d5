#include "models/recognition_parts.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/settings.h"
#include "core/shortest_number.h"

namespace cytodet::models {
namespace {

constexpr size_t kMaxNames = 10000, kMaxNamesText = size_t{1} << 20;

bool is_image(const Port& p) {
  const bool pixels = p.dtype == DType::f32 || p.dtype == DType::u8 || p.dtype == DType::f16;
  return pixels && (!p.known_rank || (p.shape.size() == 4 && (p.dim(3) == 3 || p.dim(3) == -1)));
}

const Port* image_input(const NetworkDescription& network) {
  const Port* found = nullptr;
  for (const Port& p : network.inputs) {
    if (!is_image(p)) continue;
    if (found) return nullptr;
    found = &p;
  }
  return found;
}

// Reads texts of Python's repr, one after the other.
class PythonText {
 public:
  explicit PythonText(const std::string& text) : text_(text) {}

  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool at_end() {
    skip_blanks();
    return at_ >= text_.size();
  }
  std::optional<int> number() {
    skip_blanks();
    int value = 0;
    const char* end = text_.data() + text_.size();
    const auto read = std::from_chars(text_.data() + at_, end, value);
    if (read.ec != std::errc()) return std::nullopt;
    at_ = static_cast<size_t>(read.ptr - text_.data());
    return value;
  }
  // 'text' or "text"; \\, \' and \" stand for themselves, other escapes are kept as they are written.
  std::optional<std::string> quoted() {
    skip_blanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return std::nullopt;
    const char quote = text_[at_++];
    std::string value;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size() &&
          (text_[at_ + 1] == '\\' || text_[at_ + 1] == '\'' || text_[at_ + 1] == '"'))
        ++at_;
      value += text_[at_++];
    }
    if (at_ >= text_.size()) return std::nullopt;
    ++at_;
    return value;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  const std::string& text_;
  size_t at_ = 0;
};

std::vector<int> python_numbers(const std::string& text) {
  PythonText in(text);
  std::vector<int> numbers;
  if (!in.take('[') && !in.take('(')) return {};
  while (const std::optional<int> n = in.number()) {
    numbers.push_back(*n);
    if (numbers.size() > 8 || !in.take(',')) break;
  }
  return numbers;
}

std::string metadata_of(const NetworkDescription& network, const std::string& key) {
  const auto found = network.metadata.find(key);
  return found == network.metadata.end() ? "" : found->second;
}

bool is_side(int64_t n) { return n > 0 && n <= 16384; }

std::string numbers_text(const std::vector<double>& numbers) {
  std::string text;
  for (const double v : numbers) text += (text.empty() ? "" : ",") + shortest(v);
  return text;
}

// A text for people: where the image lies in the network's input, and what is around it.
std::string placement_text(const std::string& placement, int fill) {
  if (placement == "stretch") return ", stretched to the input";
  if (fill < 0 && placement == "top_left") return "";
  return (placement == "center" ? ", in the middle of " : ", at the top left of ") +
         (fill < 0 ? std::string("the input") : "gray (" + std::to_string(fill) + ")");
}

}  // namespace

std::vector<std::string> python_names(const std::string& text) {
  if (text.size() > kMaxNamesText) return {};
  PythonText in(text);
  const bool dict = in.take('{');
  if (!dict && !in.take('[')) return {};
  const char end = dict ? '}' : ']';
  std::map<int, std::string> by_number;
  for (int next = 0; !in.take(end); ++next) {
    if (next > 0 && !in.take(',')) return {};
    if (next > 0 && in.take(end)) break;
    const std::optional<int> number = dict ? in.number() : next;
    if (!number || (dict && !in.take(':'))) return {};
    std::optional<std::string> name = in.quoted();
    if (!name || by_number.size() >= kMaxNames || !by_number.emplace(*number, std::move(*name)).second) return {};
  }
  std::vector<std::string> names;
  for (auto& [number, name] : by_number) {
    if (number != static_cast<int>(names.size())) return {};
    names.push_back(std::move(name));
  }
  return in.at_end() ? names : std::vector<std::string>{};
}

const Port* size_input(const NetworkDescription& network) {
  for (const Port& p : network.inputs)
    if ((p.dtype == DType::i64 || p.dtype == DType::i32) && p.is_rank(2) && p.dim(1) == 2 &&
        node_word(p.name).find("size") != std::string::npos)
      return &p;
  return nullptr;
}

InputSize size_of_input(const NetworkDescription& network, const ImportAnswers& answers) {
  if (answers.width && answers.height) return {*answers.width, *answers.height};
  const Port* image = image_input(network);
  if (!image) return {};
  if (image->is_rank(4) && is_side(image->dim(1)) && is_side(image->dim(2)))
    return {static_cast<int>(image->dim(2)), static_cast<int>(image->dim(1))};
  const std::vector<int> stated = python_numbers(metadata_of(network, "imgsz"));
  if (stated.size() == 2 && is_side(stated[0]) && is_side(stated[1])) return {stated[1], stated[0]};
  return {};
}

void find_input(const NetworkDescription& network, const ImportAnswers& answers, Recognition& to) {
  const Port* image = image_input(network);
  if (!image)
    throw Error("inputs", "hold not one image [1, height, width, 3] alone: there are " + std::to_string(network.inputs.size()),
                "an ONNX model takes [1, 3, height, width]");
  Json& input = to.model["input"];
  input["node"] = image->name;
  if (const Port* sizes = size_input(network)) {
    input["size_node"] = sizes->name;
    to.findings.push_back({"input " + sizes->name + " takes width and height of input " + image->name, "its name and shape"});
  }
  const InputSize size = size_of_input(network, answers);
  if (!size.width) {
    to.questions.push_back({"--size WIDTHxHEIGHT", "the file leaves the size of input " + image->name + " open"});
    return;
  }
  input["width"] = size.width;
  input["height"] = size.height;
  const bool answered = answers.width && answers.height, shaped = is_side(image->dim(1));
  to.findings.push_back(
      {"input " + image->name + ", " + std::to_string(size.width) + " x " + std::to_string(size.height) + " pixels",
       answered ? "--size"
       : shaped ? "the input's shape"
                : "metadata \"imgsz\""});
}

int known_class_count(const NetworkDescription& network, const ImportAnswers& answers) {
  if (!answers.classes.empty()) return static_cast<int>(answers.classes.size());
  if (answers.class_count) return *answers.class_count;
  return static_cast<int>(python_names(metadata_of(network, "names")).size());
}

void find_classes(const NetworkDescription& network, const ImportAnswers& answers, int64_t count, Recognition& to) {
  const auto check = [&](size_t given, const std::string& where) {
    if (count >= 0 && static_cast<int64_t>(given) != count)
      throw UsageError(where,
                       "has " + std::to_string(given) + " classes, but the outputs have scores of " + std::to_string(count));
  };
  if (!answers.category_ids.empty()) to.model["category_ids"] = answers.category_ids;
  const std::vector<std::string> stated = python_names(metadata_of(network, "names"));
  if (!answers.classes.empty()) {
    check(answers.classes.size(), answers.classes_file.empty() ? "--classes" : answers.classes_file);
    to.model["classes"] = answers.classes;
    to.findings.push_back({std::to_string(answers.classes.size()) + " classes", "your answer"});
  } else if (answers.class_count) {
    check(static_cast<size_t>(*answers.class_count), "--class-count");
    to.model["class_count"] = *answers.class_count;
    to.findings.push_back({std::to_string(*answers.class_count) + " classes, numbered", "--class-count"});
  } else if (!stated.empty() && (count < 0 || static_cast<int64_t>(stated.size()) == count)) {
    to.model["classes"] = stated;
    to.findings.push_back({std::to_string(stated.size()) + " classes: " + stated.front() + (stated.size() > 1 ? ", ..." : ""),
                           "metadata \"names\""});
  } else {
    to.questions.push_back({"--classes NAMES, --classes-file FILE or --class-count N",
                            count >= 0 ? "the names of " + std::to_string(count) + " classes are not in the file"
                                       : std::string("the classes are not in the file")});
  }
}

void set_pixels(const PixelRule& rule, const ImportAnswers& answers, Recognition& to) {
  Json& input = to.model["input"];
  const bool answered = !answers.pixel_order.empty() || answers.divisor || !answers.mean.empty() || !answers.deviation.empty() ||
                        !answers.placement.empty();
  const std::string order = answers.pixel_order.empty() ? rule.pixel_order : answers.pixel_order;
  const double divisor = answers.divisor.value_or(rule.divisor);
  const std::vector<double>& mean = answers.mean.empty() ? rule.mean : answers.mean;
  const std::vector<double>& deviation = answers.deviation.empty() ? rule.deviation : answers.deviation;
  const std::string placement = answers.placement.empty() ? rule.placement : answers.placement;
  input["pixel_order"] = order;
  if (divisor != 255) input["divisor"] = divisor;
  input["mean"] = mean;
  input["deviation"] = deviation;
  if (placement != "top_left") input["placement"] = placement;
  if (rule.fill >= 0) input["fill"] = rule.fill;
  std::string text = order + (divisor == 1 ? " in 0..255" : " / " + shortest(divisor));
  if (mean != std::vector<double>(3, 0) || deviation != std::vector<double>(3, 1))
    text += ", less " + numbers_text(mean) + ", divided by " + numbers_text(deviation);
  to.findings.push_back(
      {text + placement_text(placement, rule.fill), std::string(rule.from) + (answered ? ", and your answers" : "")});
}

int64_t grid_cells(const InputSize& size, const std::vector<int>& strides) {
  int64_t cells = 0;
  for (const int s : strides) cells += int64_t{size.width / s} * (size.height / s);
  return cells;
}

std::string node_word(const std::string& name) {
  const std::string node = name.substr(0, name.find(':'));
  return node.substr(node.rfind('/') + 1);
}
const Port* output_with(const NetworkDescription& n, const std::vector<std::string>& words, bool whole) {
  for (const Port& p : n.outputs) {
    std::string name = node_word(p.name);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const std::string& word : words)
      if (whole ? name == word : name.find(word) != std::string::npos) return &p;
  }
  return nullptr;
}

void set_stated_pixels(const ImportAnswers& a, Recognition& to) {
  if (!a.divisor || a.mean.empty() || a.deviation.empty())
    to.questions.push_back({"--divisor D --mean R,G,B --deviation R,G,B", "how pixels are normalised is not in the file"});
  set_pixels({"RGB at the top left is usual"}, a, to);
}

}  // namespace cytodet::models
