// Whether a rewritten graph answers as its source does: both are run on the same feeds and their outputs compared.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/io/named_tensors.h"
#include "graph/ir/graph.h"
#include "graph/passes/pass.h"

namespace cytodet::pipeline {

struct AnswerOptions {
  Interface interface;                  // what is fed and fetched; empty: as the source graph says
  NamedTensors feeds;                   // empty: random ones
  double tolerance = 1e-3;              // largest difference allowed, as a share of the output's largest magnitude
  std::optional<double> min_sqnr_db;    // of a quantized result, instead of the tolerance
  std::map<std::string, Shape> shapes;  // of inputs, where the graph leaves them open
  int64_t plain_macs = 1000000000;      // networks of more multiply-accumulates run on kernels instead of plain loops
};

struct AnswerCheck {
  std::vector<std::string> compared;  // outputs
  std::string skipped;                // why an output (or all) could not be compared; empty: all were
  double largest = 0;                 // largest difference found, as a share of the output's largest magnitude
};

// Random feeds: floats in [0, 1), whole numbers 0 to 3 (8-bit ones: all), conditions false in a first and true in a second round;
// unknown dimensions are 1 for a batch, else the first of 64, 32, 224, 299, 8 with which the source runs; an unknown rank is that
// of an image, then 0. Floats may differ by the tolerance, or by ten times what the source itself changes when its feeds change
// in their last digits (ranks and suppression turn such changes into jumps); all else must be equal. With min_sqnr_db float
// outputs must reach it, and others be of the same type and shape. Throws Error naming the output and the values.
AnswerCheck check_answers(const Graph& source, const Graph& result, const AnswerOptions& options);

// Writes `graph`, a rewritten form of `source`, to the file `out` (text where that ends in .pbtxt): the bytes that are written
// are read again and checked as above before they get their name. Warns of outputs that could not be compared. `where`: the
// source's file, for errors.
void write_checked(const Graph& source, const Graph& graph, const std::string& out, const AnswerOptions& options,
                   const std::string& where);
// write_checked for bytes of any format: `again` is the graph that was read from them.
void write_checked(const Graph& source, const Graph& again, const std::string& bytes, const std::string& out,
                   const AnswerOptions& options, const std::string& where);

}  // namespace cytodet::pipeline
