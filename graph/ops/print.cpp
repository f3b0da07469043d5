// Print: passes a value on and writes others to stderr, in TensorFlow's words. Calibration logs are made of such lines.
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>

#include "core/shortest_number.h"
#include "graph/ops/eval_helpers.h"

namespace cytodet::graph::ops {
namespace {

std::string element_text(const Tensor& t, int64_t i) {
  if (t.dtype() == DType::string) return t.strings()[static_cast<size_t>(i)];
  if (t.dtype() == DType::f64) return tensorflow_text(t.as_double(i));
  if (is_floating(t.dtype())) {
    const float v = static_cast<float>(t.as_double(i));
    if (std::fpclassify(v) == FP_SUBNORMAL) return std::signbit(v) ? "-0" : "0";  // TensorFlow's kernels flush them
    return tensorflow_text(v);
  }
  return std::to_string(t.as_int(i));
}

// Up to `limit` elements: a row's between blanks, every dimension but the outermost in brackets of its own, and "..." where
// elements are left out.
class Summary {
 public:
  Summary(const Tensor& t, int64_t limit) : t_(t), limit_(std::min(limit < 0 ? t.size() : limit, t.size())) {}
  std::string text() {
    if (limit_ == 0 && t_.dtype() == DType::boolean && t_.rank() == 1) return text_;  // as TensorFlow does, without "..."
    if (t_.rank() > 0)
      add(0);
    else if (limit_ > 0)
      text_ = element_text(t_, 0);
    return limit_ < t_.size() ? text_ + "..." : text_;
  }

 private:
  void add(int d) {
    const bool row = d + 1 == t_.rank();
    for (int64_t i = 0; i < t_.dim(d); ++i) {
      if (done_ >= limit_) {
        if (row && d > 0) text_ += "...";
        return;
      }
      if (row) {
        text_ += (i ? " " : "") + element_text(t_, done_++);
      } else {
        text_ += "[";
        add(d + 1);
        text_ += "]";
      }
    }
  }

  const Tensor& t_;
  const int64_t limit_;
  int64_t done_ = 0;
  std::string text_;
};

// Whether the node may write once more: first_n counts in this process, by name.
bool may_write(const Node& n) {
  const int64_t most = n.attr_or("first_n", int64_t{-1});
  if (most < 0) return true;
  static std::mutex lock;
  static std::map<std::string, int64_t> written;
  const std::lock_guard<std::mutex> held(lock);
  return written[n.name]++ < most;
}

void eval_print(OpCall& call) {
  call.out = {input(call, 0)};
  if (!may_write(call.node)) return;
  std::string line = call.node.attr_or<std::string>("message", "");
  for (size_t i = 1; i < call.in.size(); ++i)
    line += "[" + Summary(call.in[i], call.node.attr_or("summarize", int64_t{3})).text() + "]";
  line += "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

const std::vector<Op>& print_ops() {
  static const std::vector<Op> rows = {{"Print", infer_same, eval_print, true}};
  return rows;
}

}  // namespace cytodet::graph::ops
