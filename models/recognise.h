// Recognising a detection network by what its file shows: names, shapes, ops and metadata, until its model file can be written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/settings.h"
#include "core/tensor.h"
#include "models/model_file.h"

namespace cytodet::models {

// An input or output of a network as the model file names it.
struct Port {
  std::string name;
  DType dtype = DType::invalid;
  Shape shape;              // -1: left open
  bool known_rank = false;  // false: `shape` says nothing

  int64_t dim(int i) const {  // from the end where negative; -1 where not known
    const int at = i < 0 ? i + static_cast<int>(shape.size()) : i;
    return at >= 0 && at < static_cast<int>(shape.size()) ? shape[static_cast<size_t>(at)] : -1;
  }
  bool is_rank(size_t rank) const { return known_rank && shape.size() == rank; }
};

struct NetworkDescription {
  bool lite = false;                            // a TensorFlow Lite model
  std::vector<Port> inputs, outputs;            // images are channels last
  std::map<std::string, std::string> metadata;  // that the exporter wrote into the file
  std::map<std::string, int> ops;               // how often each op occurs, by TensorFlow's names
  bool has_op(const std::string& op) const { return ops.contains(op); }
};

// What the user states; it wins over what the file says.
struct ImportAnswers {
  std::string family;                // name of a recogniser
  std::vector<std::string> classes;  // names
  std::string classes_file;          // a text of one name a line
  std::optional<int> class_count;    // instead of names
  std::vector<int> category_ids;
  std::optional<int> width, height;    // of the input, pixels
  std::string box_form, box_unit;      // as of the family `boxes`
  std::string class_numbers;           // category_ids or channels
  std::optional<double> anchor_scale;  // of EfficientDet
  std::optional<double> radius;        // of objects whose centre alone is given, pixels of the input
  std::string pixel_order, placement;  // as of "input"
  std::optional<double> divisor;
  std::vector<double> mean, deviation;
  std::optional<double> score;
};

// What was found out, each with where from; and what must be asked.
struct Finding {
  std::string what, from;  // "80 classes", "metadata \"names\""
};
struct Question {
  std::string option;  // "--classes NAMES"
  std::string why;     // "the names of 80 classes are not in the file"
};
struct Recognition {
  std::string family;  // name of the recogniser
  Json model;          // keys of the model file that are known
  std::vector<Finding> findings;
  std::vector<Question> questions;
  // Sets keys that only what the network gives shows: its first output for any image, [1, ...] of floats. None: nullptr.
  void (*look_at)(const Tensor& output, Recognition& to) = nullptr;
};

struct Recogniser {
  const char* name;
  const char* summary;   // networks that it knows
  const char* evidence;  // what it goes by
  bool fallback;         // only where no other fits
  // Whether the network has the form of this family; several families may.
  bool (*matches)(const NetworkDescription& network, const ImportAnswers& answers);
  // Throws Error where the network has the form, but is for something else.
  void (*describe)(const NetworkDescription& network, const ImportAnswers& answers, Recognition& to);
};

// In the order in which they are shown.
const std::vector<Recogniser>& recognisers();

// The one family that fits, or that the answers name. Throws Error where none fits, with what the outputs are; UsageError where
// several do and none is named, and where the one that is named is unknown or does not fit.
Recognition recognise(const NetworkDescription& network, const ImportAnswers& answers);

}  // namespace cytodet::models
