// What recognisers of several families find out alike: the input, the classes, how pixels are given.
#pragma once

#include <string>
#include <vector>

#include "models/recognise.h"

namespace cytodet::models {

// The image input: the only one that may be one. Throws Error where there is none, or several. The size comes from the answers,
// the file's shape, or metadata "imgsz"; else it is asked for. A size_input() is set to it.
void find_input(const NetworkDescription& network, const ImportAnswers& answers, Recognition& to);
// Width and height once found; 0: not known.
struct InputSize {
  int width = 0, height = 0;
};
InputSize size_of_input(const NetworkDescription& network, const ImportAnswers& answers);

// The input of integers [1, 2] with "size" in its name, which takes width and height of the image's input; null: none.
const Port* size_input(const NetworkDescription& network);

// The names that an exporter wrote as a Python dict or list: {0: 'person', 1: "cell"}, ['a', 'b']; empty where it is neither, or
// where numbers are missing. At most 10,000 names of 1 MiB in all.
std::vector<std::string> python_names(const std::string& text);
// By the answers or metadata "names"; 0: not known.
int known_class_count(const NetworkDescription& network, const ImportAnswers& answers);
// Names of `count` classes, or of as many as are known where it is -1; else they are asked for. Throws UsageError where the
// answers have another number of them.
void find_classes(const NetworkDescription& network, const ImportAnswers& answers, int64_t count, Recognition& to);

// How pixels become the input, for networks of a family, as far as the answers do not say otherwise.
struct PixelRule {
  const char* from;  // "how ultralytics' exports are run"
  const char* pixel_order = "RGB";
  double divisor = 255;
  std::vector<double> mean = {0, 0, 0}, deviation = {1, 1, 1};
  const char* placement = "top_left";
  int fill = -1;  // -1: none
};
// The finding's text is that of the keys that are set: "RGB / 255, in the middle of gray (114)".
void set_pixels(const PixelRule& rule, const ImportAnswers& answers, Recognition& to);

// RGB at the top left; the user says how pixels are normalised, where neither the file nor the family does.
void set_stated_pixels(const ImportAnswers& answers, Recognition& to);

// The last part of a node's name, without the number of its output: "net/hm:0" is "hm".
std::string node_word(const std::string& name);
// The first output whose node_word(), in small letters, is one of `words`, or, where not `whole`, holds one; else null.
const Port* output_with(const NetworkDescription& network, const std::vector<std::string>& words, bool whole);

// Boxes in grids of these strides over an input; 0 where the size is not known.
int64_t grid_cells(const InputSize& size, const std::vector<int>& strides);

}  // namespace cytodet::models
