#include "graph/io/named_tensors.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/dispatch.h"
#include "core/settings.h"

namespace cytodet::graph {
namespace {

double number(const Json& j, const std::string& where) {
  if (j.is_number()) return j.get<double>();
  if (j.is_boolean()) return j.get<bool>() ? 1 : 0;
  if (j.is_string()) {
    const std::string& s = j.get_ref<const std::string&>();
    if (s == "nan") return std::nan("");
    if (s == "inf") return INFINITY;
    if (s == "-inf") return -INFINITY;
  }
  throw Error(where, "data must be numbers, booleans, \"nan\", \"inf\" or \"-inf\"");
}

template <class T>
T element(const Json& j, const std::string& where) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
    if (j.is_number_integer()) {
      const bool fits = j.is_number_unsigned() ? std::in_range<T>(j.get<uint64_t>()) : std::in_range<T>(j.get<int64_t>());
      if (!fits) throw Error(where, j.dump() + " does not fit " + name_of(dtype_of<T>));
      return j.is_number_unsigned() ? static_cast<T>(j.get<uint64_t>()) : static_cast<T>(j.get<int64_t>());
    }
  double v = number(j, where);
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return T(static_cast<float>(v));
  else if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(v);
  else if constexpr (std::is_same_v<T, bool>)
    return v != 0;
  else {
    if (!(v >= -9e18 && v <= 9e18) || !std::in_range<T>(static_cast<int64_t>(v)) || v != std::floor(v))
      throw Error(where, "a number does not fit " + name_of(dtype_of<T>));
    return static_cast<T>(static_cast<int64_t>(v));
  }
}

// The values of nested lists, in order.
std::vector<const Json*> flat_values(const Json& data) {
  std::vector<const Json*> flat, stack{&data};
  while (!stack.empty()) {
    const Json* item = stack.back();
    stack.pop_back();
    if (item->is_array())
      for (auto it = item->rbegin(); it != item->rend(); ++it) stack.push_back(&*it);
    else
      flat.push_back(item);
  }
  return flat;
}

// A tensor of these values: as many as the shape has elements, or one, which is repeated.
Tensor tensor_of(const std::vector<const Json*>& values, DType dtype, const Shape& shape, const std::string& where) {
  Tensor t(dtype, shape);
  const auto value = [&](int64_t i) -> const Json& { return *values[values.size() == 1 ? 0 : static_cast<size_t>(i)]; };
  if (dtype == DType::string) {
    for (int64_t i = 0; i < t.size(); ++i) {
      if (!value(i).is_string()) throw Error(where, "data must be strings");
      t.strings()[static_cast<size_t>(i)] = value(i).get<std::string>();
    }
    return t;
  }
  on_any(dtype, [&]<class T>() {
    for (int64_t i = 0; i < t.size(); ++i) t.data<T>()[i] = element<T>(value(i), where);
  });
  return t;
}

Tensor parse_tensor(const Json& j, const std::string& where) {
  if (!j.is_object() || !j.contains("dtype") || !j.contains("shape") || !j.contains("data") || !j["dtype"].is_string() ||
      !j["shape"].is_array())
    throw Error(where, "must be an object with \"dtype\", \"shape\" and \"data\"");
  DType dtype = dtype_from_name(j["dtype"].get<std::string>());
  Shape shape;
  for (const Json& d : j["shape"]) {
    if (!d.is_number_integer()) throw Error(where, "shape must be whole numbers");
    shape.push_back(d.get<int64_t>());
  }
  const std::vector<const Json*> flat = flat_values(j["data"]);
  int64_t n = elements(shape);
  if (static_cast<int64_t>(flat.size()) != n)
    throw Error(where, "data has " + std::to_string(flat.size()) + " values, but the shape " + to_string(shape) + " needs " +
                           std::to_string(n));
  if (dtype == DType::invalid) throw Error(where, "unknown dtype \"" + j["dtype"].get<std::string>() + "\"");
  return tensor_of(flat, dtype, shape, where);
}

NamedTensors parse_tensors(const Json& j, const std::string& where) {
  if (!j.is_object()) throw Error(where, "must be an object of tensors by name");
  NamedTensors tensors;
  for (auto it = j.begin(); it != j.end(); ++it) {
    try {
      tensors.emplace(it.key(), parse_tensor(it.value(), where + " " + it.key()));
    } catch (const Error& e) {
      if (e.where().empty()) throw e.within(where + " " + it.key());
      throw;
    }
  }
  return tensors;
}

std::string exact_difference(int64_t i, const std::string& got, const std::string& wanted) {
  return "element " + std::to_string(i) + " is " + got + ", expected " + wanted;
}

}  // namespace

Case read_case(const std::filesystem::path& path) {
  Json j = read_json(path);
  if (!j.is_object()) throw Error(path.string(), "must be an object with \"inputs\"");
  try {
    Case c;
    if (j.contains("inputs")) c.inputs = parse_tensors(j["inputs"], "input");
    if (j.contains("outputs")) c.outputs = parse_tensors(j["outputs"], "output");
    if (j.contains("tolerances"))
      for (const auto& [name, value] : j["tolerances"].items()) {
        if (!value.is_number() || value.get<double>() < 0) throw Error("tolerance of " + name, "must be a number of 0 or more");
        c.tolerances[name] = value.get<double>();
      }
    if (!j.contains("inputs") && !j.contains("outputs")) c.inputs = parse_tensors(j, "input");
    return c;
  } catch (const Error& e) {
    throw e.within(path.string());
  }
}

double tolerance_of(const Case& c, const std::string& output) {
  const auto it = c.tolerances.find(output);
  return it == c.tolerances.end() ? 0 : it->second;
}

NamedTensors read_feeds(const std::filesystem::path& path) { return path.empty() ? NamedTensors() : read_case(path).inputs; }

Tensor nested_tensor(const Json& data, DType dtype, const std::optional<Shape>& shape, const std::string& where) {
  const std::vector<const Json*> flat = flat_values(data);
  if (!data.is_array()) return tensor_of(flat, dtype, shape.value_or(Shape{}), where);
  Shape own;
  for (const Json* level = &data; level->is_array(); level = &level->front()) {
    own.push_back(static_cast<int64_t>(level->size()));
    if (level->empty()) break;
  }
  if (elements(own) != static_cast<int64_t>(flat.size())) throw Error(where, "its lists are of several lengths");
  return tensor_of(flat, dtype, own, where);
}

Json tensor_to_json(const Tensor& t) {
  Json j;
  j["dtype"] = name_of(t.dtype());
  j["shape"] = t.shape();
  Json data = Json::array();
  if (t.dtype() == DType::string) {
    for (const std::string& s : t.strings()) data.push_back(s);
  } else {
    on_any(t.dtype(), [&]<class T>() {
      for (int64_t i = 0; i < t.size(); ++i) {
        T v = t.data<T>()[i];
        if constexpr (std::is_same_v<T, bool>)
          data.push_back(v);
        else if constexpr (std::is_integral_v<T>)
          data.push_back(v);
        else {
          double d = static_cast<double>(static_cast<std::conditional_t<std::is_same_v<T, double>, double, float>>(v));
          if (std::isnan(d))
            data.push_back("nan");
          else if (std::isinf(d))
            data.push_back(d > 0 ? "inf" : "-inf");
          else
            data.push_back(d);
        }
      }
    });
  }
  j["data"] = std::move(data);
  return j;
}

Json tensors_to_json(const NamedTensors& tensors) {
  Json j = Json::object();
  for (const auto& [name, t] : tensors) j[name] = tensor_to_json(t);
  return j;
}

std::string difference(const Tensor& got, const Tensor& wanted) {
  if (got.dtype() != wanted.dtype()) return "dtype is " + name_of(got.dtype()) + ", expected " + name_of(wanted.dtype());
  if (got.shape() != wanted.shape()) return "shape is " + to_string(got.shape()) + ", expected " + to_string(wanted.shape());
  if (got.dtype() == DType::string) {
    for (int64_t i = 0; i < got.size(); ++i)
      if (got.strings()[static_cast<size_t>(i)] != wanted.strings()[static_cast<size_t>(i)])
        return exact_difference(i, got.strings()[static_cast<size_t>(i)], wanted.strings()[static_cast<size_t>(i)]);
    return {};
  }
  // TensorFlow's 16-bit kernels also sum in 16 bits: some units in the last place are theirs; and they bring sums back to 8-bit
  // quantized values with a fixed-point scale, which may turn a quantized value into its neighbour.
  const DType t = got.dtype();
  const double unit = t == DType::f16 ? 1.0 / 1024 : 1.0 / 128;
  const double relative = t == DType::f16 || t == DType::bf16 ? 6 * unit : 1e-4,
               absolute = t == DType::f16 || t == DType::bf16 ? unit / 2 : 1e-5;
  for (int64_t i = 0; i < got.size(); ++i) {
    if (is_floating(got.dtype())) {
      double g = got.as_double(i), w = wanted.as_double(i);
      if (std::isnan(g) && std::isnan(w)) continue;
      if (g == w || (std::isfinite(w) && std::abs(g - w) <= relative * std::abs(w) + absolute)) continue;
      return exact_difference(i, std::to_string(g), std::to_string(w));
    }
    if (got.as_int(i) != wanted.as_int(i))
      return exact_difference(i, std::to_string(got.as_int(i)), std::to_string(wanted.as_int(i)));
  }
  return {};
}

std::string difference(const Tensor& got, const Tensor& wanted, double tolerance) {
  if (tolerance <= 0 || got.dtype() != wanted.dtype() || got.shape() != wanted.shape() || got.dtype() == DType::string)
    return difference(got, wanted);
  for (int64_t i = 0; i < got.size(); ++i) {
    const double g = got.as_double(i), w = wanted.as_double(i);
    if (g != w && !(std::isnan(g) && std::isnan(w)) && !(std::abs(g - w) <= tolerance))
      return exact_difference(i, std::to_string(g), std::to_string(w));
  }
  return {};
}

}  // namespace cytodet::graph
