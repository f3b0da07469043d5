#include "graph/passes/input_size.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "core/error.h"
#include "graph/ir/node_facts.h"
#include "graph/passes/node_edits.h"

namespace cytodet::graph {
namespace {

constexpr int64_t kFoldBytes = 1 << 16;  // of what is computed from shapes

std::string text_of(MapSize s) { return std::to_string(s.width) + " x " + std::to_string(s.height) + " pixels"; }

// A ratio of whole numbers.
struct Growth {
  int64_t to = 1, from = 1;
  bool is_one() const { return to == from; }
  bool divides(int64_t d) const { return from != 0 && d * to % from == 0; }
  int64_t of(int64_t d) const { return d * to / from; }
};

// A size that maps do not divide evenly.
class SizeError : public Error {
 public:
  explicit SizeError(const std::string& problem) : Error("", problem) {}
  explicit SizeError(const Error& placed) : Error(placed) {}
};

std::string advice(int64_t size, int64_t step) {
  return "use multiples of " + std::to_string(step) + ", such as " + std::to_string(std::max<int64_t>(1, size / step) * step) +
         " or " + std::to_string((size / step + 1) * step);
}

class Resizer {
 public:
  Resizer(Graph& graph, const std::string& input, MapSize from, MapSize to, const std::vector<std::string>& outputs)
      : graph_(graph),
        input_(graph.value(input)),
        from_(from),
        to_(to),
        height_{to.height, from.height},
        width_{to.width, from.width} {
    for (const std::string& name : outputs) needed_.push_back(graph.value(name).node);
  }

  // How many pixels of the image the coarsest map's pixel stands for.
  MapSize run() {
    const std::set<NodeId> path = path_to_outputs();
    set_input_shape();
    for (const NodeId id : graph_.topological_order())
      if (path.contains(id)) follow_named(id);
    return step_;
  }

 private:
  std::set<NodeId> path_to_outputs() const {
    std::set<NodeId> path;
    std::vector<NodeId> open = needed_;
    while (!open.empty()) {
      const NodeId id = open.back();
      open.pop_back();
      if (!path.insert(id).second) continue;
      for (const Value v : graph_.node(id).inputs) open.push_back(v.node);
    }
    return path;
  }

  void follow_named(NodeId id) {
    const Node& n = graph_.node(id);
    try {
      follow(id);
    } catch (const SizeError& e) {
      throw SizeError(e.within(node_text(n)));
    } catch (const Error& e) {
      throw e.where().starts_with("node ") ? e : e.within(node_text(n));
    }
  }

  void set_input_shape() {
    Node& n = graph_.node(input_.node);
    const auto* shape = n.find_attr<ShapeAttr>("shape");
    if (!shape || !shape->known_rank || shape->dims.size() != 4) return;
    Shape dims = shape->dims;
    dims[1] = to_.height;
    dims[2] = to_.width;
    n.attrs["shape"] = ShapeAttr{true, dims};
    n.attrs.erase("_output_shapes");
  }

  static Fact image_fact(const Node& n, MapSize size) {
    const auto* shape = n.find_attr<ShapeAttr>("shape");
    const int64_t channels = shape && shape->known_rank && shape->dims.size() == 4 && shape->dims[3] > 0 ? shape->dims[3] : 3;
    return {n.attr_or("dtype", DType::f32), Shape{1, size.height, size.width, channels}, {}};
  }

  void follow(NodeId id) {
    std::vector<Fact>&before = frozen_[id], &after = grown_[id];
    if (id == input_.node) {
      before = {image_fact(graph_.node(id), from_)};
      after = {image_fact(graph_.node(id), to_)};
      return;
    }
    const std::vector<Fact> in = facts_of(graph_.node(id), frozen_);
    before = facts_of_node(graph_.node(id), in, graph_.constant(id), kFoldBytes);
    adapt(id, in);
    const Node& n = graph_.node(id);  // adapt() may have added constants
    after = facts_of_node(n, facts_of(n, grown_), graph_.constant(id), kFoldBytes);
    if (before.size() != after.size()) refuse("gives another number of outputs");
    check_product(n);
    for (size_t i = 0; i < before.size(); ++i) check(n, before[i], after[i]);
  }

  static std::vector<Fact> facts_of(const Node& n, const std::map<NodeId, std::vector<Fact>>& of) {
    std::vector<Fact> in;
    for (const Value v : n.inputs) {
      const auto found = of.find(v.node);
      const bool known = found != of.end() && static_cast<size_t>(v.slot) < found->second.size();
      in.push_back(known ? found->second[static_cast<size_t>(v.slot)] : Fact());
    }
    return in;
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error("", why + ", so the network cannot take images of " + text_of(to_), "leave out detect.network_px (--network-px)");
  }
  [[noreturn]] static void refuse_size(int64_t pixels, const char* of, int64_t size, int64_t other) {
    throw SizeError("has " + std::to_string(pixels) + (pixels == 1 ? " pixel" : " pixels") + " for " + std::to_string(size) +
                    " of the image's " + of + ", which " + std::to_string(other) + " does not divide into");
  }

  int64_t height_of(int64_t rows) const {
    if (!height_.divides(rows)) refuse_size(rows, "height", from_.height, to_.height);
    return height_.of(rows);
  }
  int64_t width_of(int64_t columns) const {
    if (!width_.divides(columns)) refuse_size(columns, "width", from_.width, to_.width);
    return width_.of(columns);
  }

  // Weights of a dense layer are of one size of map.
  void check_product(const Node& n) const {
    if (n.op.find("MatMul") == n.op.npos) return;
    const std::vector<Fact> now = facts_of(n, grown_);
    if (now.size() < 2 || !now[0].has_static_shape() || !now[1].has_static_shape() || now[0].shape->size() < 2 ||
        now[1].shape->size() < 2)
      return;
    const auto flag = [&](const char* a, const char* b) { return n.attr_or(a, false) || n.attr_or(b, false); };
    const Shape &a = *now[0].shape, &b = *now[1].shape;
    const int64_t left = flag("transpose_a", "adj_x") ? a[a.size() - 2] : a.back(),
                  right = flag("transpose_b", "adj_y") ? b.back() : b[b.size() - 2];
    if (left != right) refuse("multiplies " + std::to_string(left) + " values, but its weights are for " + std::to_string(right));
  }

  // ---- every output

  // Whether a dimension stayed, or grew as something of the image did.
  bool grew_evenly(int64_t before, int64_t after) {
    if (before == after) return true;
    if (before < 0 || after < 0) return false;
    const bool as_rows = after * from_.height == before * to_.height, as_columns = after * from_.width == before * to_.width;
    return as_rows || as_columns || after * from_.height * from_.width == before * to_.height * to_.width;
  }

  void note_steps(const Node& n, const Shape& before, const Shape& after) {
    const bool bordered = before.size() == 4 && (!grew_evenly(before[1], after[1]) || !grew_evenly(before[2], after[2]));
    if (before.size() != 4 || bordered || n.op.starts_with("Pad")) return;
    if (before[1] != after[1]) step_.height = std::lcm(step_.height, from_.height / std::gcd(from_.height, before[1]));
    if (before[2] != after[2]) step_.width = std::lcm(step_.width, from_.width / std::gcd(from_.width, before[2]));
  }

  void check(const Node& n, const Fact& before, const Fact& after) {
    if (!before.shape && !after.shape) return;  // known only when it runs
    if (!before.shape || !after.shape || before.shape->size() != after.shape->size()) refuse("gives another rank");
    if (before.shape->size() == 4 && before.has_static_shape() && !is_one_pixel(before)) {
      if ((*before.shape)[1] != (*after.shape)[1] && !is_as_input(n, 1, before, after)) height_of((*before.shape)[1]);
      if ((*before.shape)[2] != (*after.shape)[2] && !is_as_input(n, 2, before, after)) width_of((*before.shape)[2]);
    }
    for (size_t d = 0; d < before.shape->size(); ++d)
      if (!grew_evenly((*before.shape)[d], (*after.shape)[d]) && !is_as_input(n, d, before, after))
        refuse("gives " + to_string(*after.shape) + " where it gave " + to_string(*before.shape) + " for " + text_of(from_));
    if (before.has_static_shape() && after.has_static_shape() && n.op != "Const") note_steps(n, *before.shape, *after.shape);
  }
  // Whether the dimension is that of an input, or differs from it by a border that is added or cut off, the same for both sizes:
  // what reads it takes the border into account, as convolutions do whose padding is a node of its own.
  bool is_as_input(const Node& n, size_t d, const Fact& before, const Fact& after) const {
    const std::vector<Fact> in = facts_of(n, frozen_), now = facts_of(n, grown_);
    const bool border = n.op == "Pad" || n.op == "PadV2" || n.op == "MirrorPad" || n.op == "Slice" || n.op == "StridedSlice";
    for (size_t i = 0; i < in.size() && i < now.size(); ++i) {
      if (!in[i].has_static_shape() || !now[i].has_static_shape() || in[i].shape->size() != before.shape->size()) continue;
      const int64_t grown = (*after.shape)[d] - (*before.shape)[d], in_grown = (*now[i].shape)[d] - (*in[i].shape)[d];
      if (grown == in_grown && (border ? i == 0 : *in[i].shape == *before.shape && *now[i].shape == *after.shape)) return true;
    }
    return false;
  }

  static bool is_one_pixel(const Fact& f) { return (*f.shape)[1] == 1 && (*f.shape)[2] == 1; }

  // ---- constants that hold a size

  // The numbers of input i where they are the same for both sizes, so that they were computed for the frozen one or for none.
  std::optional<std::vector<int64_t>> fixed(NodeId id, size_t i, const std::vector<Fact>& in) const {
    const Node& n = graph_.node(id);
    if (i >= n.inputs.size() || !in[i].constant) return std::nullopt;
    const std::vector<Fact> now = facts_of(n, grown_);
    if (!now[i].constant || now[i].constant->as_ints() != in[i].constant->as_ints()) return std::nullopt;
    return in[i].constant->as_ints();
  }

  void replace(NodeId id, size_t i, const std::vector<int64_t>& numbers, const Tensor& like) {
    Tensor made(like.dtype(), like.shape());
    for (size_t k = 0; k < numbers.size(); ++k) {
      if (like.dtype() == DType::i64)
        made.data<int64_t>()[k] = numbers[k];
      else
        made.data<int32_t>()[k] = static_cast<int32_t>(numbers[k]);
    }
    const std::string base = graph_.node(id).name + "/size";
    const Value v = graph_.add_const(base, made);
    grown_[v.node] = {Fact{made.dtype(), made.shape(), made}};
    graph_.node(id).inputs[i] = v;
  }

  void adapt(NodeId id, const std::vector<Fact>& in) {
    const std::string op = graph_.node(id).op;
    if (op == "ResizeBilinear" || op == "ResizeNearestNeighbor" || op == "ResizeBicubic" || op == "ResizeArea")
      adapt_resize(id, in);
    else if (op == "Reshape")
      adapt_reshape(id, in);
    else if (op == "Slice")
      adapt_slice(id, in);
    else if (op == "StridedSlice")
      adapt_strided_slice(id, in);
    else if (op == "AvgPool" || op == "MaxPool")
      adapt_pool(id, in);
  }

  // Whether input 0 is one size for both images.
  bool stays(NodeId id, const std::vector<Fact>& in) const {
    const std::vector<Fact> now = facts_of(graph_.node(id), grown_);
    return in.empty() || !in[0].has_static_shape() || !now[0].has_static_shape() || *in[0].shape == *now[0].shape;
  }
  Shape grown_shape(NodeId id) const { return *facts_of(graph_.node(id), grown_)[0].shape; }

  void adapt_resize(NodeId id, const std::vector<Fact>& in) {
    const auto size = fixed(id, 1, in);
    if (!size || size->size() != 2 || (stays(id, in) && !is_one_pixel_map(in))) return;
    replace(id, 1, {height_of((*size)[0]), width_of((*size)[1])}, *in[1].constant);
  }
  static bool is_one_pixel_map(const std::vector<Fact>& in) {
    return !in.empty() && in[0].has_static_shape() && in[0].shape->size() == 4 && is_one_pixel(in[0]);
  }

  // Row-major, a target dimension is made of whole dimensions of the input, innermost first, and of a part of one more: that part
  // is inner, so it is a fixed number of its pixels.
  void adapt_reshape(NodeId id, const std::vector<Fact>& in) {
    const auto target = fixed(id, 1, in);
    const Fact& out = frozen_.at(id).empty() ? Fact() : frozen_.at(id)[0];
    if (!target || stays(id, in) || !out.has_static_shape()) return;
    const Shape before = *in[0].shape, after = grown_shape(id);
    if (elements(before) != elements(*out.shape)) refuse("does not keep its number of values");
    if (elements(before) == 0) refuse("reshapes no values");
    std::vector<int64_t> numbers(*target);
    auto d = static_cast<std::ptrdiff_t>(before.size());
    int64_t left = 1, grown_left = 1;  // of the input's dimension d
    const auto next = [&] {
      --d;
      left = before[static_cast<size_t>(d)];
      grown_left = after[static_cast<size_t>(d)];
    };
    for (size_t t = numbers.size(); t-- > 0;) {
      int64_t want = (*out.shape)[t], made = 1;
      while (want > 1) {
        while (left == 1 && grown_left == 1 && d > 0) next();
        if (left == 1 && grown_left != 1) refuse("splits a side of its map");
        if (want % left == 0) {
          want /= left;
          made *= grown_left;
          left = grown_left = 1;
        } else if (left % want == 0 && (left == grown_left || grown_left % want == 0)) {
          made *= want;
          left /= want;
          grown_left /= want;
          want = 1;
        } else {
          refuse("reshapes " + to_string(before) + " to " + to_string(*out.shape) + " across its rows");
        }
      }
      if (numbers[t] != -1) numbers[t] = made;
    }
    if (numbers != *target) replace(id, 1, numbers, *in[1].constant);
  }

  // An end of a dimension d, in [0, before]: of the whole, of a map whose edge is cut, or of what grew evenly.
  int64_t end_of(int64_t end, int64_t before, int64_t after, bool of_map) const {
    if (end >= before) return end - before + after;
    const Growth g{after, before};
    if (of_map) return end > before / 2 ? after - (before - end) : end;
    if (!g.divides(end)) refuse("cuts at " + std::to_string(end) + " of " + std::to_string(before));
    return g.of(end);
  }

  void adapt_slice(NodeId id, const std::vector<Fact>& in) {
    const auto begin = fixed(id, 1, in), size = fixed(id, 2, in);
    if (!begin || !size || stays(id, in)) return;
    const Shape before = *in[0].shape, after = grown_shape(id);
    if (begin->size() != before.size() || size->size() != before.size()) refuse("has no begin and size for each dimension");
    std::vector<int64_t> starts(*begin), sizes(*size);
    for (size_t d = 0; d < before.size(); ++d) {
      if (before[d] == after[d]) continue;
      const bool of_map = before.size() == 4 && (d == 1 || d == 2);
      starts[d] = starts[d] == 0 ? 0 : end_of(starts[d], before[d], after[d], of_map);
      if (sizes[d] >= 0) sizes[d] = end_of((*begin)[d] + sizes[d], before[d], after[d], of_map) - starts[d];
    }
    if (starts != *begin) replace(id, 1, starts, *in[1].constant);
    if (sizes != *size) replace(id, 2, sizes, *in[2].constant);
  }

  void adapt_strided_slice(NodeId id, const std::vector<Fact>& in) {
    const Node& n = graph_.node(id);
    const auto begin = fixed(id, 1, in), end = fixed(id, 2, in), strides = fixed(id, 3, in);
    if (!begin || !end || !strides || stays(id, in)) return;
    for (const char* mask : {"ellipsis_mask", "new_axis_mask"})
      if (n.attr_or(mask, int64_t{0}) != 0) return;  // the check of its output decides
    const int64_t from_start = n.attr_or("begin_mask", int64_t{0}), to_end = n.attr_or("end_mask", int64_t{0});
    if (end->size() != begin->size() || strides->size() != begin->size())
      refuse("has no begin, end and stride for each dimension");
    const Shape before = *in[0].shape, after = grown_shape(id);
    std::vector<int64_t> starts(*begin), ends(*end);
    for (size_t d = 0; d < std::min(before.size(), begin->size()); ++d) {
      if (before[d] == after[d] || (*strides)[d] < 0) continue;
      const bool of_map = before.size() == 4 && (d == 1 || d == 2);
      if (!(from_start >> d & 1) && starts[d] > 0) starts[d] = end_of(starts[d], before[d], after[d], of_map);
      if (!(to_end >> d & 1) && ends[d] > 0 && ends[d] <= before[d]) ends[d] = end_of(ends[d], before[d], after[d], of_map);
    }
    if (starts != *begin) replace(id, 1, starts, *in[1].constant);
    if (ends != *end) replace(id, 2, ends, *in[2].constant);
  }

  // One window over the whole map.
  void adapt_pool(NodeId id, const std::vector<Fact>& in) {
    if (stays(id, in) || in[0].shape->size() != 4) return;
    Node& n = graph_.node(id);
    const auto* window = n.find_attr<AttrList>("ksize");
    const Shape before = *in[0].shape, after = grown_shape(id);
    if (!window || window->ints.size() != 4 || n.attr_or("padding", std::string()) != "VALID" || window->ints[1] != before[1] ||
        window->ints[2] != before[2])
      return;
    AttrList whole = *window;
    whole.ints[1] = after[1];
    whole.ints[2] = after[2];
    n.attrs["ksize"] = whole;
  }

  Graph& graph_;
  const Value input_;
  const MapSize from_, to_;
  const Growth height_, width_;
  std::vector<NodeId> needed_;
  std::map<NodeId, std::vector<Fact>> frozen_, grown_;  // of the graph as it was, for from_; as it becomes, for to_
  MapSize step_{1, 1};
};

}  // namespace

void resize_input(Graph& graph, const std::string& input, MapSize from, MapSize to, const std::vector<std::string>& outputs) {
  if (from == to) return;
  for (const MapSize size : {from, to})
    if (size.height < 1 || size.width < 1) throw Error("input '" + input + "'", "has no image of " + text_of(size));
  Graph resized = graph;
  try {
    Resizer(resized, input, from, to, outputs).run();
  } catch (const SizeError& e) {  // it names the first map that does not divide: another may need larger steps
    const MapSize step = input_step(graph, input, from, outputs);
    std::string fix = advice(to.width, step.width);
    if (to.width != to.height || step.width != step.height) fix += " across, " + advice(to.height, step.height) + " down";
    throw Error(e.where(), e.problem(), fix);
  }
  graph = std::move(resized);
}

MapSize input_step(const Graph& graph, const std::string& input, MapSize from, const std::vector<std::string>& outputs) {
  Graph trial = graph;
  return Resizer(trial, input, from, {2 * from.height, 2 * from.width}, outputs).run();
}

}  // namespace cytodet::graph
