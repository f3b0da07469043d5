// The case form: {"inputs": {"name:slot": {"dtype", "shape", "data"}}, "outputs": {...}}; data is flat, with "nan", "inf", "-inf"
// as strings. Feeds files hold only inputs.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "core/json_fwd.h"
#include "core/tensor.h"

namespace cytodet::graph {

using NamedTensors = std::map<std::string, Tensor>;

struct Case {
  NamedTensors inputs, outputs;
  std::map<std::string, double> tolerances;  // of outputs: by how much a number may be off, whatever its type
};
double tolerance_of(const Case& c, const std::string& output);  // 0 where the case states none

// Throws Error with the file, the tensor and what is wrong.
Case read_case(const std::filesystem::path& path);
// The inputs of that file; none where `path` is empty.
NamedTensors read_feeds(const std::filesystem::path& path);
// A tensor of numbers or texts nested as deep as `data` is; one value becomes the whole `shape` where that is given. Throws Error
// with `where`: lists of several lengths, values that do not fit the type.
Tensor nested_tensor(const Json& data, DType dtype, const std::optional<Shape>& shape, const std::string& where);
Json tensor_to_json(const Tensor& t);
Json tensors_to_json(const NamedTensors& tensors);

// Empty when equal: same dtype and shape, values within 1e-4 relative + 1e-5 absolute (16-bit floats within some units in the
// last place, integers and bools exactly; NaN equals NaN); otherwise one line that says where they differ first.
std::string difference(const Tensor& got, const Tensor& wanted);
// difference() with numbers allowed to be `tolerance` off, also whole ones; 0: as without it.
std::string difference(const Tensor& got, const Tensor& wanted, double tolerance);

}  // namespace cytodet::graph
