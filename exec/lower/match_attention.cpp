// Products of two computed sides, and attention.
//
// Splits, slices, transpositions and reshapes before the sides of a product are not carried out: the step reads the elements
// where they lie.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

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

// Walks back from v through nodes that move elements, or multiply all by a number:
//
//   x ─▶ [move | Mul number | RealDiv number]* ─▶ v
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

using Dimensions = std::vector<size_t>;

// The offsets of all elements of some dimensions, from `first` on; the last dimension changes fastest.
std::vector<int64_t> outer_sums(const Copy& copy, const Dimensions& dimensions, int64_t first = 0) {
  std::vector<int64_t> sums{first};
  for (size_t d : dimensions) {
    std::vector<int64_t> next;
    for (int64_t outer : sums)
      for (int64_t inner : copy.offsets[d]) next.push_back(outer + inner);
    sums = std::move(next);
  }
  return sums;
}

// Which dimensions of an operand are the batch, the rows and the columns of its matrices.
struct Roles {
  Dimensions batch, rows, columns;
  Roles transposed() const { return {batch, columns, rows}; }
  MatrixLayout places(const Copy& copy) const {
    return {outer_sums(copy, batch, copy.first), outer_sums(copy, rows), outer_sums(copy, columns)};
  }
};

// a [batch][m][k] times b [batch][k][n]. `result`: the dimensions of the node's value that are batch, rows and columns.
struct Product {
  Value a, b;
  Roles of_a, of_b, result;
};

Roles last_two(size_t rank, bool transposed) {
  Roles roles{{}, {rank - 2}, {rank - 1}};
  for (size_t d = 0; d + 2 < rank; ++d) roles.batch.push_back(d);
  return transposed ? roles.transposed() : roles;
}

// The labels of an Einsum's two sides and of its result: "abc,acd->abd" is {"abc", "acd", "abd"}. Nothing where there are not two
// sides, or a label is no letter or occurs twice in one of the three.
using EinsumLabels = std::array<std::string, 3>;
std::optional<EinsumLabels> einsum_labels(const std::string& equation) {
  const size_t comma = equation.find(','), arrow = equation.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow) return {};
  EinsumLabels labels{equation.substr(0, comma), equation.substr(comma + 1, arrow - comma - 1), equation.substr(arrow + 2)};
  for (const std::string& part : labels)
    for (char c : part)
      if (std::isalpha(static_cast<unsigned char>(c)) == 0 || std::count(part.begin(), part.end(), c) != 1) return {};
  return labels;
}

bool has(const std::string& labels, char c) { return labels.find(c) != std::string::npos; }

// The roles of the dimensions of a and b, whose labels these are, and of their product: a label of all three is of the batch, one
// of a and the result of rows, one of b and the result of columns; the sum goes over labels of a and b. Nothing where another
// label is there.
struct EinsumRoles {
  Roles of_a, of_b, result;
};
std::optional<EinsumRoles> einsum_roles(const std::string& a, const std::string& b, const std::string& result) {
  EinsumRoles roles;
  for (char c : result) {
    const bool in_a = has(a, c), in_b = has(b, c);
    if (!in_a && !in_b) return {};
    (in_a && in_b ? roles.result.batch : in_a ? roles.result.rows : roles.result.columns).push_back(result.find(c));
    if (in_a) (in_b ? roles.of_a.batch : roles.of_a.rows).push_back(a.find(c));
    if (in_b) (in_a ? roles.of_b.batch : roles.of_b.columns).push_back(b.find(c));
  }
  for (char c : a)
    if (!has(result, c)) {
      if (!has(b, c)) return {};
      roles.of_a.columns.push_back(a.find(c));
      roles.of_b.rows.push_back(b.find(c));
    }
  for (char c : b)
    if (!has(result, c) && !has(a, c)) return {};
  return roles;
}

// Whether the sides have a dimension for each label, of one size where they share the label.
bool sizes_agree(const Shape* a, const Shape* b, const std::string& labels_a, const std::string& labels_b) {
  if (!a || !b || a->size() != labels_a.size() || b->size() != labels_b.size()) return false;
  return std::all_of(labels_a.begin(), labels_a.end(),
                     [&](char c) { return !has(labels_b, c) || (*a)[labels_a.find(c)] == (*b)[labels_b.find(c)]; });
}

// "abc,acd->abd" as a product; the sides change places where the result has the second one's dimensions first.
std::optional<Product> product_of_einsum(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const std::optional<EinsumLabels> labels = einsum_labels(n.attr_or<std::string>("equation", ""));
  if (!labels || n.inputs.size() != 2) return {};
  const std::string& result = (*labels)[2];
  if (result.empty() || (has((*labels)[0], result.back()) && has((*labels)[1], result.back()))) return {};
  const size_t b = has((*labels)[1], result.back()) ? 1 : 0, a = 1 - b;  // the right side has the last dimension of the result
  const std::optional<EinsumRoles> roles = einsum_roles((*labels)[a], (*labels)[b], result);
  if (!roles || !sizes_agree(low.float_shape(n.inputs[a]), low.float_shape(n.inputs[b]), (*labels)[a], (*labels)[b])) return {};
  return Product{n.inputs[a], n.inputs[b], roles->of_a, roles->of_b, roles->result};
}

// A MatMul, BatchMatMul or Einsum of two computed sides.
std::optional<Product> product_of_two(const Lowering& low, NodeId id) {
  const Node& n = low.graph.node(id);
  const bool batch = n.op == "BatchMatMul" || n.op == "BatchMatMulV2" || n.op == "BatchMatMulV3";
  if ((!batch && n.op != "MatMul" && n.op != "Einsum") || n.inputs.size() != 2) return {};
  if (low.constant(n.inputs[0]) || low.constant(n.inputs[1])) return {};
  const Shape *a = low.float_shape(n.inputs[0]), *b = low.float_shape(n.inputs[1]), *c = low.float_shape({id, 0});
  if (!a || !b || !c || elements(*a) == 0 || elements(*b) == 0 || elements(*c) == 0) return {};
  if (n.op == "Einsum") return product_of_einsum(low, id);
  if (a->size() != b->size() || a->size() < 2 || !std::equal(a->begin(), a->end() - 2, b->begin())) return {};
  const Product product{n.inputs[0], n.inputs[1], last_two(a->size(), n.attr_or(batch ? "adj_x" : "transpose_a", false)),
                        last_two(b->size(), n.attr_or(batch ? "adj_y" : "transpose_b", false)), last_two(c->size(), false)};
  return (*a)[product.of_a.columns[0]] == (*b)[product.of_b.rows[0]] ? std::optional(product) : std::nullopt;
}

// Whether matrices lie one after another, row by row.
bool in_order(const Roles& roles) {
  size_t next = 0;
  for (const Dimensions* part : {&roles.batch, &roles.rows, &roles.columns})
    for (size_t d : *part)
      if (d != next++) return false;
  return true;
}

// Takes those of the nodes that no other node reads any more.
void take_unread(Lowering& low, const std::vector<NodeId>& nodes) {
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

// The scores that a Softmax reads, scale * a * b' + bias:
//
//   a, b ─▶ product ─▶ [Mul | RealDiv number]* ─▶ [Add bias]* ─▶ v, each read by the next alone
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
      return in_order(product->result) && product->result.rows.size() == 1 && product->result.columns.size() == 1
                 ? std::optional(scores)
                 : std::nullopt;
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
    while (side < 2 && (low.constant(n.inputs[side]) || !low.float_shape(n.inputs[side]) ||
                        *low.float_shape(n.inputs[side]) != shape || low.sole_reader(n.inputs[side]) < 0))
      ++side;
    if (side == 2) return {};
    scores.biases.push_back(n.inputs[1 - side]);
    v = n.inputs[side];
  }
  return {};
}

// Sets the strides by which a bias of this shape is read for each row and batch of the scores; false where it does not broadcast
// to the scores' shape, or has not all columns.
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

// Adds what is added to scores of this shape: constants, or one computed value.
bool add_biases(const Lowering& low, const std::vector<Value>& biases, const Shape& scores, Attention& attention,
                std::vector<Value>& inputs) {
  for (Value bias : biases) {
    const Tensor* t = low.constant(bias);
    if (t && t->dtype() == DType::f32) {
      attention.bias = attention.bias ? sum_of_biases(*attention.bias, *t) : *t;
      continue;
    }
    if (biases.size() > 1 || !low.float_shape(bias)) return false;
    inputs.push_back(bias);
  }
  return biases.empty() ||
         place_bias(attention, attention.bias ? attention.bias->shape() : *low.float_shape(inputs.back()), scores);
}

// A product's result behind the nodes that only move its elements, each of which alone reads the one before.
struct Destination {
  Value output;
  std::vector<NodeId> nodes;  // that move elements
  ResultLayout places;        // of the product's rows in the output
};
ResultLayout rows_in_order(int64_t width, int64_t count) {
  ResultLayout places{std::vector<int64_t>(static_cast<size_t>(count / width)), width};
  for (size_t i = 0; i < places.rows.size(); ++i) places.rows[i] = static_cast<int64_t>(i) * width;
  return places;
}
// The places of `count / width` rows after the moves of `copy`, whose result has this shape; nothing where a row is torn apart.
std::optional<ResultLayout> rows_of(const Copy& copy, const Shape& shape, int64_t width, int64_t count) {
  constexpr int64_t kMaxElements = 16 << 20;
  if (shape.empty() || shape.back() % width || elements(shape) != count || count > kMaxElements) return {};
  ResultLayout places{std::vector<int64_t>(static_cast<size_t>(count / width), -1), shape.back()};
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
// Follows the result of product `id`, whose matrices are [batch][m][width], as far as its rows stay whole.
std::optional<Destination> destination_of(const Lowering& low, NodeId id, const Roles& roles) {
  Value v{id, 0};
  const Shape& shape = *low.float_shape(v);
  int64_t width = 1;
  for (size_t d : roles.columns) width *= shape[d];
  // The value's dimensions as places among the matrices.
  Copy copy{std::vector<std::vector<int64_t>>(shape.size())};
  int64_t stride = elements(shape);
  for (const Dimensions* part : {&roles.batch, &roles.rows, &roles.columns})
    for (size_t d : *part) {
      stride /= shape[d];
      for (int64_t i = 0; i < shape[d]; ++i) copy.offsets[d].push_back(i * stride);
    }
  const int64_t count = elements(shape);
  std::optional<Destination> to;
  if (in_order(roles))
    to = Destination{v, {}, rows_in_order(width, count)};
  else if (std::optional<ResultLayout> places = rows_of(copy, shape, width, count))
    to = Destination{v, {}, std::move(*places)};
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
    if (auto more = rows_of(copy, *low.float_shape(v), width, count)) to = Destination{v, nodes, std::move(*more)};
  }
  return to;
}

}  // namespace

//   q ─▶ [move | Mul scale]* ─┐
//   k ─▶ [move | Mul scale]* ─┴▶ product ─▶ [Mul | RealDiv scale]* ─▶ [Add bias]* ─▶ Softmax ─┐
//   v ─▶ [move]* ─────────────────────────────────────────────────────────────────────────────┴▶ product ─▶ [move]* ─▶
//
// product: as in match_computed_product; move: of elements (Split, Slice, Transpose, Reshape, ...), behind the second product
// only Transpose and aliases that keep its rows whole.
bool match_attention(Lowering& low, NodeId id) {
  const std::optional<Product> second = product_of_two(low, id);
  if (!second || !in_order(second->of_a) || second->a.slot != 0) return false;
  const NodeId softmax = second->a.node;
  const Shape* shape = low.float_shape(second->a);
  if (low.graph.node(softmax).op != "Softmax" || low.taken(softmax) || low.sole_reader(second->a) != id) return false;
  const std::optional<Scores> scores = scores_of(low, low.graph.node(softmax).inputs[0]);
  if (!scores || *low.float_shape(low.graph.node(softmax).inputs[0]) != *shape) return false;
  if (second->of_a.rows.size() != 1 || second->of_a.columns.size() != 1) return false;
  const Origin q = origin_of(low, scores->product.a), k = origin_of(low, scores->product.b), v = origin_of(low, second->b);
  std::optional<Destination> to = destination_of(low, id, second->result);
  if (!to || v.scale != 1) return false;
  Attention attention;
  attention.q = scores->product.of_a.places(q.copy);
  attention.k = scores->product.of_b.transposed().places(k.copy);
  attention.v = second->of_b.places(v.copy);
  attention.scale = scores->scale * q.scale * k.scale;
  attention.result = std::move(to->places);
  std::vector<Value> inputs{q.input, k.input, v.input};
  if (!add_biases(low, scores->biases, *shape, attention, inputs)) return false;
  std::vector<NodeId> nodes = scores->nodes;
  nodes.insert(nodes.end(), to->nodes.begin(), to->nodes.end());
  nodes.insert(nodes.end(), {id, softmax});
  MakeStep make = [attention = std::move(attention)](const LayerIo& io) {
    return make_attention(attention, io.inputs, io.output);
  };
  low.add_layer(to->output, Opaque{std::move(inputs), std::move(make), true}, nodes);
  for (const Origin* o : {&q, &k, &v}) take_unread(low, o->nodes);
  return true;
}

//   a ─▶ [move | Mul scale]* ─┐
//   b ─▶ [move | Mul scale]* ─┴▶ MatMul | BatchMatMul* | Einsum ─▶ [Transpose | alias]* ─▶     a and b not constant
bool match_computed_product(Lowering& low, NodeId id) {
  const std::optional<Product> product = product_of_two(low, id);
  if (!product) return false;
  const Origin a = origin_of(low, product->a), b = origin_of(low, product->b);
  std::optional<Destination> to = destination_of(low, id, product->result);
  if (!to) return false;
  ComputedProduct computed{product->of_a.places(a.copy), product->of_b.places(b.copy), a.scale * b.scale, std::move(to->places)};
  std::vector<NodeId> nodes = to->nodes;
  nodes.push_back(id);
  MakeStep make = [computed = std::move(computed)](const LayerIo& io) {
    return make_computed_product(computed, io.inputs[0], io.inputs[1], io.output);
  };
  low.add_layer(to->output, Opaque{{a.input, b.input}, std::move(make), true}, nodes);
  for (const Origin* o : {&a, &b}) take_unread(low, o->nodes);
  return true;
}

}  // namespace cytodet::exec
