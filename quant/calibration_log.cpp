#include "quant/calibration_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "core/shortest_number.h"
#include "core/text_decode.h"
#include "quant/observers/observer.h"

namespace cytodet::quant {
namespace {

constexpr std::string_view kName = "__print__";
constexpr size_t kShownProblems = 5;

struct KindEntry {
  LogKind kind;
  std::string_view prefix;
  int numbers;  // in each pair of brackets; 0: any
  int brackets;
};
constexpr std::array<KindEntry, 4> kKinds{{{LogKind::requant_min_max, "__requant_min_max:", 1, 2},
                                           {LogKind::max, "__max:", 1, 1},
                                           {LogKind::min, "__min:", 1, 1},
                                           {LogKind::kl, "__KL:", 0, 1}}};

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::optional<float> number(std::string_view s) {
  double v = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (error != std::errc() || end != s.data() + s.size() || !rounds_to_float(v)) return {};
  return static_cast<float>(v);
}

// "[1][2]" -> 1, 2; "[1 2 3]" -> 1, 2, 3. Empty when it is anything else.
std::vector<float> numbers(std::string_view s, const KindEntry& kind) {
  std::vector<float> values;
  int brackets = 0;
  for (s = trim(s); !s.empty(); ++brackets) {
    size_t close = s.find(']');
    if (s.front() != '[' || close == std::string_view::npos) return {};
    int inside = 0;
    for (std::string_view rest = trim(s.substr(1, close - 1)); !rest.empty(); ++inside) {
      size_t space = std::min(rest.find(' '), rest.size());
      std::optional<float> v = number(rest.substr(0, space));
      if (!v) return {};
      values.push_back(*v);
      rest = trim(rest.substr(space));
    }
    if (kind.numbers > 0 ? inside != kind.numbers : inside == 0) return {};
    s = trim(s.substr(close + 1));
  }
  if (brackets != kind.brackets) return {};
  if (kind.kind == LogKind::requant_min_max && values[0] > values[1]) return {};
  return values;
}

class Parser {
 public:
  CalibrationLog run(std::string_view text) {
    // A progress bar ends its lines with \r alone.
    int64_t number = 0;
    for (std::string_view line : lines_of_text(text)) read_line(line, ++number);
    return std::move(log_);
  }

 private:
  void read_line(std::string_view line, int64_t number) {
    if (line.find(kName) == std::string_view::npos) return;
    size_t before = log_.records.size();
    std::string_view node;
    while (!line.empty()) {
      size_t end = std::min(line.find(';'), line.size());
      std::string_view field = line.substr(0, end);
      line.remove_prefix(std::min(line.size(), end + 1));
      if (!node.empty()) read_record(node, field, number);
      node = field.ends_with(kName) ? field.substr(0, field.size() - kName.size()) : std::string_view();
    }
    log_.lines += log_.records.size() > before;
  }

  void read_record(std::string_view node, std::string_view field, int64_t line) {
    auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const KindEntry& k) { return field.starts_with(k.prefix); });
    if (kind == kKinds.end()) return;
    std::vector<float> values = numbers(field.substr(kind->prefix.size()), *kind);
    if (!values.empty()) {
      log_.records.push_back({kind->kind, std::string(node), std::move(values)});
      return;
    }
    ++log_.rejected;
    if (log_.problems.size() < kShownProblems)
      log_.problems.push_back("line " + std::to_string(line) + ": the record of " + std::string(node) +
                              " is broken: " + std::string(field.substr(0, 60)));
  }

  CalibrationLog log_;
};

// What the batches of one node said.
struct Batches {
  std::vector<float> lows, highs, samples;
};

// Smallest of the values that at least `keep` of them do not exceed.
float kept(std::vector<float> values, double keep) {
  std::sort(values.begin(), values.end());
  auto rank = static_cast<int64_t>(std::ceil(keep * static_cast<double>(values.size()) - 1e-9));
  return values[static_cast<size_t>(std::clamp<int64_t>(rank, 1, static_cast<int64_t>(values.size())) - 1)];
}

Range range_of(const Batches& b, const std::string& node, double keep) {
  if (!b.samples.empty()) {
    std::unique_ptr<Observer> observer = require_observer("entropy").make({});
    observer->observe(b.samples, extremes(b.samples), 0);
    return observer->range();
  }
  if (b.lows.empty() || b.highs.empty())
    throw Error("node " + node, std::string("has only a __") + (b.lows.empty() ? "max" : "min"), "log both");
  std::vector<float> negated;
  for (float v : b.lows) negated.push_back(-v);
  // + 0: no -0.
  Range r{-kept(negated, keep) + 0.0f, kept(b.highs, keep) + 0.0f, {}, {}};
  if (r.low > r.high) throw Error("node " + node, "has minima above its maxima");
  return r;
}

}  // namespace

CalibrationLog parse_log(std::string_view text) {
  std::string decoded;
  return Parser().run(as_utf8(text, decoded, "calibration log"));
}

CalibrationLog read_log(const std::filesystem::path& path) { return parse_log(decode_text(read_file(path), path.string())); }

std::string to_text(const LogRecord& record) {
  auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const KindEntry& k) { return k.kind == record.kind; });
  std::string text = ";" + record.node + std::string(kName) + ";" + std::string(kind->prefix);
  const char* between = kind->numbers == 1 ? "][" : " ";
  for (size_t i = 0; i < record.values.size(); ++i) text += (i ? between : "[") + shortest(record.values[i]);
  return text + "]";
}

void write_log(const std::vector<LogRecord>& records, const std::filesystem::path& path) {
  AtomicFile file(path);
  for (const LogRecord& r : records) file.write(to_text(r) + "\n");
  file.commit();
}

Ranges ranges_of(const CalibrationLog& log, const std::string& where, double keep) {
  std::map<std::string, Batches> nodes;
  Ranges ranges{"log", where, "", 0, {}};
  for (const LogRecord& r : log.records) {
    Batches& b = nodes[r.node];
    if (r.kind == LogKind::kl) b.samples.insert(b.samples.end(), r.values.begin(), r.values.end());
    if (r.kind == LogKind::requant_min_max || r.kind == LogKind::min) b.lows.push_back(r.values.front());
    if (r.kind == LogKind::requant_min_max || r.kind == LogKind::max) b.highs.push_back(r.values.back());
    ranges.images = std::max(ranges.images, static_cast<int64_t>(b.highs.size()));
  }
  if (nodes.empty()) throw Error(where, "holds no calibration record", "name a log with ;NODE__print__;__requant_min_max: lines");
  try {
    for (const auto& [node, batches] : nodes) ranges.values[node] = range_of(batches, node, keep);
  } catch (const Error& e) {
    throw e.within(where);
  }
  return ranges;
}

}  // namespace cytodet::quant
