// The calibration log of the graph transforms: what a Print op said of a node, batch after batch.
//
//   [anything];NAME__print__;__requant_min_max:[MIN][MAX]
//   ;NAME__print__;__max:[V];NAME2__print__;__min:[V]          several records may share a line
//   ;NAME__print__;__KL:[v v v ...]
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "quant/ranges.h"

namespace cytodet::quant {

enum class LogKind { requant_min_max, max, min, kl };

struct LogRecord {
  LogKind kind = LogKind::requant_min_max;
  std::string node;
  std::vector<float> values;  // min and max; max; min; samples
  bool operator==(const LogRecord&) const = default;
};

struct CalibrationLog {
  std::vector<LogRecord> records;     // in the order of the file
  int64_t lines = 0;                  // that hold a record
  int64_t rejected = 0;               // records whose numbers are broken
  std::vector<std::string> problems;  // the first of them, with their line
};

// Lines without a record are noise and skipped; a broken record is counted and the others of its line are kept.
CalibrationLog parse_log(std::string_view text);
CalibrationLog read_log(const std::filesystem::path& path);

// One line each.
std::string to_text(const LogRecord& record);
void write_log(const std::vector<LogRecord>& records, const std::filesystem::path& path);

// Ranges by node: the 95th percentile (`keep`) of the batches' maxima and the 5th of their minima, so that one strange batch does
// not decide; for records of samples (__KL) the range of the entropy method. `where` names
// the log. Throws Error when no node has a range, or a node has a __max without a __min.
Ranges ranges_of(const CalibrationLog& log, const std::string& where, double keep = 0.95);

}  // namespace cytodet::quant
