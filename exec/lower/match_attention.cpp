// Products of two computed sides, and attention:
//
//   q ─▶ [Mul scale] ─┐
//   k ─▶ [Mul scale] ─┴▶ BatchMatMul ─▶ [Mul, RealDiv scale]* ─▶ [Add bias]* ─▶ Softmax ─┐
//   v ───────────────────────────────────────────────────────────────────────────────────┴▶ BatchMatMul ─▶ [Transpose, Reshape]* ─▶
//
// Splits, slices, transpositions and reshapes before q, k and v are not carried out: the step reads the elements where they lie.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "exec/lower/match.h"
#include "exec/steps/attention_step.h"

namespace cytodet::exec {
namespace {

Copy all_of(const Shape& shape) {
  Copy copy;
  int64_t stride = elements(shape);
  for (int64_t size : shape) {
    stride /= size;
    std::vector<int64_t> offsets;
    for (int64_t i = 0; i < size; ++i) offsets.push_back(i * stride);
    copy.offsets.push_back(std::move(offsets));
  }
  return copy;
}

// A value as `scale` times elements of another, and the nodes between.
struct Origin {
  Value input;
  Copy copy;
  float scale = 1;
  std::vector<NodeId> nodes;
};

// The number that a node multiplies its other input by.
std::optional<std::pair<Value, float>> scaled_by_number(const Lowering& low, const Node& n) {
  for (size_t side = 0; side < 2 && n.inputs.size() == 2; ++side) {
    const bool divides = n.op == "RealDiv" || n.op == "Div";
    if ((n.op != "Mul" && !divides) || (divides && side == 1)) continue;
    const Tensor* t = low.constant(n.inputs[1 - side]);
    if (!t || t->dtype() != DType::f32 || t->size() != 1 || !low.float_shape(n.inputs[side])) continue;
    const float x = divides ? 1 / t->data<float>()[0] : t->data<float>()[0];
    if (std::isfinite(x)) return std::pair{n.inputs[side], x};
  }
  return {};
}

// Walks back from v through nodes that move elements, or multiply all by a number.
Origin origin_of(const Lowering& low, Value v) {
  Origin from{v, all_of(*low.float_shape(v))};
  while (!low.taken(from.input.node)) {
    const Node& n = low.graph.node(from.input.node);
    const Shape shape = *low.float_shape(from.input);
    if (const auto scaled = scaled_by_number(low, n); scaled && *low.float_shape(scaled->first) == shape) {
      from.scale *= scaled->second;
      from.nodes.push_back(from.input.node);
      from.input = scaled->first;
      continue;
    }
    const std::optional<Copy> move = one_move(low, from.input);
    const std::optional<Copy> both = move ? composed(*move, shape, from.copy) : std::nullopt;
    const Value before = move ? n.inputs[n.op == "Split" ? 1 : 0] : kNoValue;
    if (!both || low.constant(before)) break;
    from.nodes.push_back(from.input.node);
    from.copy = *both;
    from.input = before;
  }
  return from;
}

// The last two dimensions are those of matrices, the others are the batch.
MatrixPlaces places_of(const Copy& copy) {
  MatrixPlaces places{{copy.first}, copy.offsets[copy.offsets.size() - 2], copy.offsets.back()};
  for (size_t d = 0; d + 2 < copy.offsets.size(); ++d) {
    std::vector<int64_t> batch;
    for (int64_t outer : places.batch)
      for (int64_t inner : copy.offsets[d]) batch.push_back(outer + inner);
    places.batch = std::move(batch);
  }
  return places;
}

struct Product {
  Value a, b;
  bool transpose_a, transpose_b;
};
std::optional<Product> product_of_two(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool batch = n.op == "BatchMatMul" || n.op == "BatchMatMulV2" || n.op == "BatchMatMulV3";
  if ((!batch && n.op != "MatMul") || n.inputs.size() != 2) return {};
  const Shape *a = low.float_shape(n.inputs[0]), *b = low.float_shape(n.inputs[1]), *c = low.float_shape({id, 0});
  if (!a || !b || !c || a->size() != b->size() || a->size() < 2 || elements(*a) == 0 || elements(*b) == 0 || elements(*c) == 0) return {};
  if (low.constant(n.inputs[0]) || low.constant(n.inputs[1]) || !std::equal(a->begin(), a->end() - 2, b->begin())) return {};
  const Product product{n.inputs[0], n.inputs[1], n.attr_or(batch ? "adj_x" : "transpose_a", false),
                        n.attr_or(batch ? "adj_y" : "transpose_b", false)};
  const size_t last = a->size() - 1;
  if ((*a)[product.transpose_a ? last - 1 : last] != (*b)[product.transpose_b ? last : last - 1]) return {};
  return product;
}

// Takes those of the nodes that no other node reads any more.
void take_unread(Lowering& low, std::vector<NodeId> nodes) {
  for (bool more = true; more;) {
    more = false;
    for (NodeId id : nodes) {
      if (low.taken(id)) continue;
      bool read = false;
      for (Consumers::Use use : low.uses.of(id)) read |= low.needed(use.node) && !low.taken(use.node);
      for (Value v : low.wanted) read |= v.node == id;
      if (read) continue;
      low.take({id});
      more = true;
    }
  }
}

// The scores that a Softmax reads: scale * a * b' + bias.
struct Scores {
  Product product;
  float scale = 1;
  std::vector<Value> biases;
  std::vector<NodeId> nodes;
};
std::optional<Scores> scores_of(const Lowering& low, Value v) {
  Scores scores;
  while (v.slot == 0 && !low.taken(v.node) && low.sole_reader(v) >= 0) {
    const Node& n = low.graph.node(v.node);
    scores.nodes.push_back(v.node);
    if (const auto product = product_of_two(low, v.node)) {
      scores.product = *product;
      return scores;
    }
    if (const auto scaled = scaled_by_number(low, n)) {
      if (*low.float_shape(scaled->first) != *low.float_shape(v)) return {};
      scores.scale *= scaled->second;
      v = scaled->first;
      continue;
    }
    if ((n.op != "Add" && n.op != "AddV2") || scores.scale != 1) return {};  // a scale of the sum is also one of the bias
    const Shape& shape = *low.float_shape(v);
    size_t side = 0;  // of the scores; the other is the bias
    while (side < 2 && (low.constant(n.inputs[side]) || !low.float_shape(n.inputs[side]) || *low.float_shape(n.inputs[side]) != shape ||
                        low.sole_reader(n.inputs[side]) < 0))
      ++side;
    if (side == 2) return {};
    scores.biases.push_back(n.inputs[1 - side]);
    v = n.inputs[side];
  }
  return {};
}

// Where the parts of a bias of this shape lie: it broadcasts to the scores' shape.
bool place_bias(Attention& attention, const Shape& bias, const Shape& scores) {
  if (bias.size() > scores.size() || bias.empty() || bias.back() != scores.back()) return false;
  Shape own(scores.size() - bias.size(), 1);
  own.insert(own.end(), bias.begin(), bias.end());
  std::vector<int64_t> strides(own.size(), 0);
  int64_t stride = 1;
  for (size_t d = own.size(); d-- > 0; stride *= own[d]) {
    if (own[d] != 1 && own[d] != scores[d]) return false;
    strides[d] = own[d] == 1 ? 0 : stride;
  }
  attention.bias_row = strides[strides.size() - 2];
  attention.bias_batch = {0};
  for (size_t d = 0; d + 2 < scores.size(); ++d) {
    std::vector<int64_t> batch;
    for (int64_t outer : attention.bias_batch)
      for (int64_t i = 0; i < scores[d]; ++i) batch.push_back(outer + i * strides[d]);
    attention.bias_batch = std::move(batch);
  }
  return true;
}

Tensor sum_of_biases(const Tensor& a, const Tensor& b) {
  Node add;
  add.name = "sum";
  add.op = "AddV2";
  add.attrs.emplace("T", DType::f32);
  return evaluate(add, std::vector<Tensor>{a, b})[0];
}

// What a product's result becomes through nodes that only move its elements, as long as each alone reads the one before: where
// its rows of `width` go.
struct Destination {
  Value output;
  std::vector<NodeId> nodes;
  ResultPlaces places;
};
std::optional<ResultPlaces> rows_of(const Copy& copy, const Shape& shape, int64_t width, int64_t count) {
  constexpr int64_t kMostElements = 16 << 20;
  if (shape.back() % width || elements(shape) != count || count > kMostElements) return {};
  ResultPlaces places{std::vector<int64_t>(static_cast<size_t>(count / width), -1), shape.back()};
  // Element i of the result's dimensions, counted up as a number whose last digit runs first.
  std::vector<size_t> digit(copy.offsets.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    int64_t from = copy.first;
    for (size_t d = 0; d < digit.size(); ++d) from += copy.offsets[d][digit[d]];
    if (from < 0 || from >= count || from % width != i % width) return {};
    int64_t& place = places.rows[static_cast<size_t>(from / width)];
    if (from % width == 0) place = i;
    if (place != i - from % width) return {};
    for (size_t d = digit.size(); d-- > 0 && ++digit[d] == copy.offsets[d].size();) digit[d] = 0;
  }
  return places;
}
Destination destination_of(const Lowering& low, Value v) {
  const Shape start = *low.float_shape(v);
  const int64_t width = start.back(), count = elements(start);
  Copy copy = all_of(start);
  Destination to{v, {}, *rows_of(copy, start, width, count)};
  std::vector<NodeId> nodes;
  for (NodeId next = low.sole_reader(v); next >= 0 && !low.taken(next); next = low.sole_reader(v)) {
    const std::string& op = low.graph.node(next).op;
    if ((op != "Transpose" && !is_alias(op)) || low.graph.node(next).inputs[0] != v) break;
    const std::optional<Copy> move = one_move(low, {next, 0});
    const std::optional<Copy> both = move ? composed(copy, *low.float_shape(v), *move) : std::nullopt;
    if (!both) break;
    copy = *both;
    v = {next, 0};
    nodes.push_back(next);
    if (auto places = rows_of(copy, *low.float_shape(v), width, count)) to = {v, nodes, std::move(*places)};
  }
  return to;
}

}  // namespace

bool match_attention(Lowering& low, NodeId id) {
  const std::optional<Product> weighed = product_of_two(low, id);
  if (!weighed || weighed->transpose_a || weighed->a.slot != 0) return false;
  const NodeId softmax = weighed->a.node;
  const Shape* shape = low.float_shape(weighed->a);
  if (low.graph.node(softmax).op != "Softmax" || low.taken(softmax) || low.sole_reader(weighed->a) != id) return false;
  if (elements(*low.float_shape({id, 0})) > (16 << 20)) return false;
  std::optional<Scores> scores = scores_of(low, low.graph.node(softmax).inputs[0]);
  if (!scores || *low.float_shape(low.graph.node(softmax).inputs[0]) != *shape) return false;
  const Origin q = origin_of(low, scores->product.a), k = origin_of(low, scores->product.b), v = origin_of(low, weighed->b);
  Attention attention;
  attention.q = places_of(q.copy);
  if (scores->product.transpose_a) attention.q = attention.q.transposed();
  attention.k = places_of(k.copy);
  if (!scores->product.transpose_b) attention.k = attention.k.transposed();
  attention.v = places_of(v.copy);
  if (weighed->transpose_b) attention.v = attention.v.transposed();
  attention.scale = scores->scale * q.scale * k.scale;
  std::vector<Value> inputs{q.input, k.input, v.input};
  if (v.scale != 1) return false;
  if (!scores->biases.empty()) {
    std::optional<Tensor> sum;
    for (Value bias : scores->biases) {
      const Tensor* t = low.constant(bias);
      if (!t || t->dtype() != DType::f32) {
        if (scores->biases.size() > 1 || !low.float_shape(bias)) return false;
        inputs.push_back(bias);
      } else {
        sum = sum ? sum_of_biases(*sum, *t) : *t;
      }
    }
    attention.bias = sum;
    if (!place_bias(attention, sum ? sum->shape() : *low.float_shape(inputs.back()), *shape)) return false;
  }
  Destination to = destination_of(low, {id, 0});
  attention.result = std::move(to.places);
  std::vector<NodeId> nodes = scores->nodes;
  nodes.insert(nodes.end(), to.nodes.begin(), to.nodes.end());
  nodes.insert(nodes.end(), {id, softmax});
  MakeStep make = [attention = std::move(attention)](const LayerIo& io) { return make_attention(attention, io.inputs, io.output); };
  low.add_layer(to.output, Opaque{std::move(inputs), std::move(make), true}, nodes);
  for (const Origin* o : {&q, &k, &v}) take_unread(low, o->nodes);
  return true;
}

//   a ─▶ MatMul | BatchMatMul* ◀─ b     neither constant, of equal batch axes
bool match_computed_product(Lowering& low, NodeId id) {
  const std::optional<Product> product = product_of_two(low, id);
  if (!product) return false;
  const Origin a = origin_of(low, product->a), b = origin_of(low, product->b);
  ComputedProduct computed{places_of(a.copy), places_of(b.copy), a.scale * b.scale};
  if (product->transpose_a) computed.a = computed.a.transposed();
  if (product->transpose_b) computed.b = computed.b.transposed();
  MakeStep make = [computed = std::move(computed)](const LayerIo& io) {
    return make_computed_product(computed, io.inputs[0], io.inputs[1], io.output);
  };
  low.add_layer({id, 0}, Opaque{{a.input, b.input}, std::move(make), true}, {id});
  for (const Origin* o : {&a, &b}) take_unread(low, o->nodes);
  return true;
}

}  // namespace cytodet::exec
