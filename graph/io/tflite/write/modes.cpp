#include "graph/io/tflite/write/modes.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"

namespace cytodet::graph::lite {
namespace {

using Code = schema::BuiltinOperator;

bool has_filter(Code c) {
  return c == Code::CONV_2D || c == Code::DEPTHWISE_CONV_2D || c == Code::FULLY_CONNECTED || c == Code::TRANSPOSE_CONV;
}
bool is_per_channel(Code c) { return c != Code::FULLY_CONNECTED; }  // as its kernels are in 2.15
constexpr size_t kFilter = 1;
size_t layer_input(Code c) { return c == Code::TRANSPOSE_CONV ? 2 : 0; }
size_t layer_bias(Code c) { return c == Code::TRANSPOSE_CONV ? 3 : 2; }

// How many elements lie between two of the same channel, and how many channels there are.
int64_t channel_of(const Shape& s, int axis, int64_t element) {
  int64_t inner = 1;
  for (size_t d = static_cast<size_t>(axis) + 1; d < s.size(); ++d) inner *= s[d];
  return element / inner % s[static_cast<size_t>(axis)];
}

// The filter as int8 values about 0.
void store_filter(NetTensor& t, bool per_channel) {
  const Tensor& numbers = *t.data;
  const float* w = numbers.data<float>();
  const size_t channels = static_cast<size_t>(t.shape[static_cast<size_t>(t.channel_axis)]);
  std::vector<float> scales(per_channel ? channels : 1, 0);
  const auto place = [&](int64_t i) {
    return per_channel ? static_cast<size_t>(channel_of(t.shape, t.channel_axis, i)) : size_t{0};
  };
  if (t.weight_scales.size() == scales.size()) {
    scales = t.weight_scales;
  } else if (t.weight_scales.size() == 1) {
    std::fill(scales.begin(), scales.end(), t.weight_scales[0]);
  } else {
    for (int64_t i = 0; i < numbers.size(); ++i) scales[place(i)] = std::max(scales[place(i)], std::abs(w[i]) / 127);
    for (float& s : scales)
      if (!(s > 1e-30f)) s = 1;
  }
  Tensor values(DType::i8, t.shape);
  for (int64_t i = 0; i < numbers.size(); ++i)
    values.data<int8_t>()[i] = static_cast<int8_t>(std::clamp(std::nearbyint(w[i] / scales[place(i)]), -127.0f, 127.0f));
  t.dtype = DType::i8;
  t.data = values;
  t.quant = {scales, std::vector<int64_t>(scales.size(), 0), per_channel ? t.channel_axis : 0};
}

// A constant that no layer multiplies by: on the grid of its own range.
void store_constant(NetTensor& t, bool symmetric) {
  const Tensor& numbers = *t.data;
  float low = 0, high = 0;
  for (float v : numbers.span<float>()) low = std::min(low, v), high = std::max(high, v);
  Grid g{1, 0, -128, 127, DType::i8};
  if (symmetric) {
    g.scale = std::max(-low, high) / 127;
  } else {
    g.scale = (high - low) / 255;
    g.zero_point = g.scale > 0 ? std::clamp<int64_t>(std::lround(-128 - low / g.scale), -128, 127) : 0;
  }
  if (!(g.scale > 1e-30f)) g.scale = 1, g.zero_point = 0;
  Tensor values(DType::i8, t.shape);
  for (int64_t i = 0; i < numbers.size(); ++i)
    values.data<int8_t>()[i] = static_cast<int8_t>(
        std::clamp(std::nearbyint(numbers.data<float>()[i] / g.scale) + static_cast<float>(g.zero_point), -128.0f, 127.0f));
  t.dtype = DType::i8;
  t.data = values;
  t.quant = {{g.scale}, {g.zero_point}, 0};
}

enum class Kind {
  free,   // its result has a grid of its own
  same,   // its result is on the grid of its first float input
  joins,  // all its inputs are on the grid of its result
};
// Operators that TensorFlow Lite has int8 kernels of.
const std::map<Code, Kind>& int8_operators() {
  static const std::map<Code, Kind> kinds = {
      {Code::ADD, Kind::free},
      {Code::SUB, Kind::free},
      {Code::MUL, Kind::free},
      {Code::CONV_2D, Kind::free},
      {Code::DEPTHWISE_CONV_2D, Kind::free},
      {Code::FULLY_CONNECTED, Kind::free},
      {Code::TRANSPOSE_CONV, Kind::free},
      {Code::LOGISTIC, Kind::free},
      {Code::TANH, Kind::free},
      {Code::SOFTMAX, Kind::free},
      {Code::LOG_SOFTMAX, Kind::free},
      {Code::LEAKY_RELU, Kind::free},
      {Code::RELU, Kind::free},
      {Code::RELU6, Kind::free},
      {Code::MEAN, Kind::free},
      {Code::SUM, Kind::free},
      {Code::SQUARED_DIFFERENCE, Kind::free},
      {Code::AVERAGE_POOL_2D, Kind::same},
      {Code::MAX_POOL_2D, Kind::same},
      {Code::REDUCE_MAX, Kind::same},
      {Code::REDUCE_MIN, Kind::same},
      {Code::RESHAPE, Kind::same},
      {Code::RESIZE_BILINEAR, Kind::same},
      {Code::RESIZE_NEAREST_NEIGHBOR, Kind::same},
      {Code::PAD, Kind::same},
      {Code::PADV2, Kind::same},
      {Code::MIRROR_PAD, Kind::same},
      {Code::SPACE_TO_DEPTH, Kind::same},
      {Code::DEPTH_TO_SPACE, Kind::same},
      {Code::TRANSPOSE, Kind::same},
      {Code::SLICE, Kind::same},
      {Code::STRIDED_SLICE, Kind::same},
      {Code::SPLIT, Kind::same},
      {Code::GATHER, Kind::same},
      {Code::UNPACK, Kind::same},
      {Code::TILE, Kind::same},
      {Code::CONCATENATION, Kind::joins},
      {Code::PACK, Kind::joins},
      {Code::MAXIMUM, Kind::joins},
      {Code::MINIMUM, Kind::joins},
      {Code::ARG_MAX, Kind::free},
      {Code::ARG_MIN, Kind::free},
  };
  return kinds;
}

// The grids that kernels demand, whatever was seen.
std::optional<Grid> demanded(Code c) {
  const auto of = [](float scale, int64_t zero) { return Grid{scale, zero, -128, 127, DType::i8}; };
  if (c == Code::LOGISTIC || c == Code::SOFTMAX) return of(1.0f / 256, -128);
  if (c == Code::TANH) return of(1.0f / 128, 0);
  if (c == Code::LOG_SOFTMAX) return of(16.0f / 256, 127);
  return {};
}

// The first version of the operator that takes int8.
int int8_version(Code c) {
  if (c == Code::FULLY_CONNECTED) return 4;
  if (has_filter(c)) return 3;
  return c == Code::RESHAPE ? 1 : 2;
}

class Int8Net {
 public:
  Int8Net(LiteNet& net, Stored io) : net_(net), io_(io) {}

  void run() {
    choose_grids();
    std::vector<NetOp> old = std::move(net_.ops);
    net_.ops.clear();
    for (int& input : net_.inputs) add_input(input);
    for (NetOp& op : old) runs_in_int8(op) ? add_int8(op) : add_float(op);
    for (int& output : net_.outputs) give_output(output);
  }

 private:
  bool is_float(int t) const { return t >= 0 && net_.at(t).dtype == DType::f32; }
  bool is_made(int t) const { return is_float(t) && !net_.at(t).data; }

  void choose_grids() {
    for (NetOp& op : net_.ops) {
      const auto kind = int8_operators().find(op.code);
      if (kind == int8_operators().end()) continue;
      for (int y : op.outputs) {
        if (!is_made(y)) continue;
        if (const auto fixed = demanded(op.code)) net_.at(y).grid = fixed;
        if (kind->second != Kind::same) continue;
        for (int x : op.inputs)
          if (is_made(x)) {
            net_.at(y).grid = net_.at(x).grid;
            break;
          }
      }
    }
  }

  bool runs_in_int8(const NetOp& op) const {
    const auto kind = int8_operators().find(op.code);
    if (kind == int8_operators().end()) return false;
    bool any = false;
    for (const auto* list : {&op.inputs, &op.outputs})
      for (int t : *list) {
        if (!is_made(t)) continue;
        any = true;
        if (!net_.at(t).grid) return false;
      }
    if (has_filter(op.code) && !net_.at(op.inputs[kFilter]).data) return false;
    return any;
  }

  void add_input(int& input) {
    NetTensor& t = net_.at(input);
    if (io_ == Stored::as_float || t.dtype != DType::f32 || !t.grid) {
      return;
    }
    const int own = input;
    if (io_ == Stored::int8) {
      store(own, *t.grid);
    } else {  // QUANTIZE between the two signs
      NetTensor quantized = t;
      quantized.dtype = DType::u8;
      quantized.quant = {{t.grid->scale}, {t.grid->zero_point + 128}, 0};
      t.name += "_int8";
      store(own, *t.grid);
      input = net_.add(quantized);
      quantize(input, own);
    }
  }

  // A float tensor becomes one of int8.
  void store(int t, const Grid& grid) {
    NetTensor& tensor = net_.at(t);
    tensor.dtype = DType::i8;
    tensor.quant = {{grid.scale}, {grid.zero_point}, 0};
    int8_.emplace(t, t);
  }
  void quantize(int from, int to) {
    net_.ops.push_back({Code::QUANTIZE,
                        {from},
                        {to},
                        schema::BuiltinOptions::QuantizeOptions,
                        [](flatbuffers::FlatBufferBuilder& b) { return schema::CreateQuantizeOptions(b).Union(); },
                        1});
  }
  int copy_of(int t, const std::string& end, DType type, const LiteQuant& quant) {
    NetTensor copy = net_.at(t);
    copy.name += end;
    copy.dtype = type;
    copy.quant = quant;
    return net_.add(copy);
  }

  // The values of a float as int8 on its own grid.
  int int8_of(int t) {
    if (const auto it = int8_.find(t); it != int8_.end()) return it->second;
    const Grid g = *net_.at(t).grid;
    const int to = copy_of(t, "_int8", DType::i8, {{g.scale}, {g.zero_point}, 0});
    quantize(t, to);
    return int8_[t] = to;
  }
  // int8_of on another grid.
  int int8_on(int t, const Grid& wanted) {
    const int own = int8_of(t);
    if (net_.at(t).grid->equals(wanted)) return own;
    const int to = copy_of(t, "_requantized", DType::i8, {{wanted.scale}, {wanted.zero_point}, 0});
    quantize(own, to);
    return to;
  }
  int floats_of(int t) {
    if (t < 0 || net_.at(t).dtype != DType::i8 || !int8_.contains(t) || int8_.at(t) != t) return t;
    if (const auto it = dequantized_.find(t); it != dequantized_.end()) return it->second;
    const int to = copy_of(t, "_float", DType::f32, {});
    dequantize(t, to);
    return dequantized_[t] = to;
  }
  void dequantize(int from, int to) {
    net_.ops.push_back({Code::DEQUANTIZE,
                        {from},
                        {to},
                        schema::BuiltinOptions::DequantizeOptions,
                        [](flatbuffers::FlatBufferBuilder& b) { return schema::CreateDequantizeOptions(b).Union(); },
                        2});
  }

  void add_float(NetOp op) {
    for (int& x : op.inputs) x = floats_of(x);
    net_.ops.push_back(std::move(op));
  }

  void add_int8(NetOp op) {
    const Kind kind = int8_operators().at(op.code);
    std::vector<int> inputs;
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      const int x = op.inputs[i];
      if (!is_float(x) && !(x >= 0 && int8_.contains(x)))
        inputs.push_back(x);
      else if (net_.at(x).data)
        inputs.push_back(x);  // below
      else if (kind == Kind::joins)
        inputs.push_back(int8_on(x, *net_.at(op.outputs[0]).grid));
      else
        inputs.push_back(int8_of(x));
    }
    if (has_filter(op.code))
      store_layer(op, inputs);
    else
      for (size_t i = 0; i < inputs.size(); ++i)
        if (is_float(inputs[i]) && net_.at(inputs[i]).data) inputs[i] = int8_constant(op, kind, inputs[i]);
    for (int y : op.outputs)
      if (is_float(y)) store(y, *net_.at(y).grid);
    op.inputs = inputs;
    op.version = int8_version(op.code);
    net_.ops.push_back(std::move(op));
  }

  int int8_constant(const NetOp& op, Kind kind, int t) {
    NetTensor copy = net_.at(t);
    copy.name += "_int8";
    if (kind != Kind::free) {  // on the grid of the result
      const Grid& g = *net_.at(op.outputs[0]).grid;
      Tensor values(DType::i8, copy.shape);
      for (int64_t i = 0; i < values.size(); ++i)
        values.data<int8_t>()[i] = static_cast<int8_t>(std::clamp(
            std::nearbyint(copy.data->data<float>()[i] / g.scale) + static_cast<float>(g.zero_point), -128.0f, 127.0f));
      copy.dtype = DType::i8;
      copy.data = values;
      copy.quant = {{g.scale}, {g.zero_point}, 0};
    } else {
      store_constant(copy, false);
    }
    return net_.add(copy);
  }

  // Filter as int8, bias in the product of the steps of input and filter.
  void store_layer(const NetOp& op, std::vector<int>& inputs) {
    NetTensor w = net_.at(op.inputs[kFilter]);
    store_filter(w, is_per_channel(op.code));
    w.name += "_int8";
    inputs[kFilter] = net_.add(w);
    const size_t at = layer_bias(op.code);
    if (at >= inputs.size() || inputs[at] < 0) return;
    NetTensor b = net_.at(inputs[at]);
    const float step = net_.at(op.inputs[layer_input(op.code)]).grid->scale;
    Tensor values(DType::i32, b.shape);
    std::vector<float> scales;
    for (float s : w.quant.scale) scales.push_back(s * step);
    for (int64_t c = 0; c < values.size(); ++c)
      values.data<int32_t>()[c] = static_cast<int32_t>(
          std::clamp(std::nearbyint(double{b.data->data<float>()[c]} / double{scales[static_cast<size_t>(c) % scales.size()]}),
                     -2147483647.0, 2147483647.0));
    b.name += "_int32";
    b.dtype = DType::i32;
    b.data = values;
    b.quant = {scales, std::vector<int64_t>(scales.size(), 0), 0};
    inputs[at] = net_.add(b);
  }

  // Makes `output` a tensor of the output's name and of the type that was asked for.
  void give_output(int& output) {
    const int t = output;
    if (net_.at(t).data || (net_.at(t).dtype != DType::f32 && !int8_.contains(t))) return;
    const bool is_int8 = int8_.contains(t) && int8_.at(t) == t;
    const std::optional<Grid> grid = net_.at(t).grid;
    const std::string name = net_.at(t).name;
    if (io_ == Stored::as_float || !grid) {
      if (!is_int8) return;
      net_.at(t).name += "_int8";
      output = copy_of(t, "", DType::f32, {});
      net_.at(output).name = name;
      return dequantize(t, output);
    }
    const int quantized = is_int8 ? t : int8_of(t);
    if (io_ == Stored::int8) {
      if (!is_int8) {
        net_.at(t).name += "_float";
        net_.at(quantized).name = name;
      }
      output = quantized;
      return;
    }
    net_.at(t).name += "_int8";
    output = copy_of(quantized, "", DType::u8, {{grid->scale}, {grid->zero_point + 128}, 0});
    net_.at(output).name = name;
    quantize(quantized, output);
  }

  LiteNet& net_;
  const Stored io_;
  std::map<int, int> int8_;         // of a float tensor that was, or is beside it: the int8 one
  std::map<int, int> dequantized_;  // of one that became int8
};

}  // namespace

void to_float16(LiteNet& net) {
  std::map<int, int> wide;
  std::vector<NetOp> old = std::move(net.ops);
  net.ops.clear();
  for (NetOp& op : old) {
    for (int& x : op.inputs) {
      if (x < 0 || !net.at(x).data || net.at(x).dtype != DType::f32) continue;
      const auto numbers = net.at(x).data->span<float>();
      if (std::any_of(numbers.begin(), numbers.end(), [](float v) { return std::isfinite(v) && std::abs(v) > 65504; })) continue;
      if (const auto it = wide.find(x); it != wide.end()) {
        x = it->second;
        continue;
      }
      const int own = x;
      NetTensor made = net.at(own);
      made.data.reset();
      made.name += "_float32";
      const int to = net.add(made);
      NetTensor& t = net.at(own);
      Tensor fp16(DType::f16, t.shape);
      std::transform(t.data->data<float>(), t.data->data<float>() + fp16.size(), fp16.data<Half>(),
                     [](float v) { return Half(v); });
      t.data = fp16;
      t.dtype = DType::f16;
      net.ops.push_back({Code::DEQUANTIZE,
                         {own},
                         {to},
                         schema::BuiltinOptions::DequantizeOptions,
                         [](flatbuffers::FlatBufferBuilder& b) { return schema::CreateDequantizeOptions(b).Union(); },
                         3});
      wide[own] = x = to;
    }
    net.ops.push_back(std::move(op));
  }
}

void to_weights(LiteNet& net) {
  for (NetOp& op : net.ops) {
    if (!has_filter(op.code) || op.code == Code::TRANSPOSE_CONV)
      continue;  // TRANSPOSE_CONV has no kernel with 8-bit weights alone
    NetTensor w = net.at(op.inputs[kFilter]);
    if (!w.data || w.dtype != DType::f32 || w.data->size() < kMinInt8Weights) continue;
    store_filter(w, is_per_channel(op.code));
    op.inputs[kFilter] = net.add(w);
    op.version = op.code == Code::CONV_2D ? 5 : op.code == Code::DEPTHWISE_CONV_2D ? 6 : 3;
  }
}

void to_int8(LiteNet& net, Stored io) { Int8Net(net, io).run(); }

}  // namespace cytodet::graph::lite
