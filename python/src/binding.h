// What the parts of the module share: texts, arrays, errors, and calls that a signal may stop.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <string>
#include <vector>

#include "cytodet/cytodet.h"

namespace cytodet::python {

namespace nb = nanobind;

// Parts of the module.
void add_models(nb::module_& m);
void add_slides(nb::module_& m);
void add_graphs(nb::module_& m);
void add_scores(nb::module_& m);
void add_tools(nb::module_& m);

// Settings that Python made: a JSON object.
using SettingsHandle = detail::Handle<cytodet_settings, cytodet_settings_free>;
SettingsHandle settings_of(const std::string& json);

// Paths are bytes, as the file system has them.
inline std::string text_of(const nb::bytes& b) { return {b.c_str(), b.size()}; }

// f(&error) without Python's lock; what it returns. Throws cytodet::Error.
template <class F>
auto call_unlocked(F f) {
  const nb::gil_scoped_release unlocked;
  return detail::call(f);
}

// A numpy array of its own memory: `fill(data)` writes all values.
template <class T, class Fill>
nb::object new_array(std::initializer_list<size_t> shape, Fill fill) {
  size_t count = 1;
  for (const size_t side : shape) count *= side;
  auto values = std::make_unique<T[]>(count ? count : 1);
  fill(values.get());
  T* data = values.release();
  const nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(data, shape, owner));
}

nb::list list_of(const std::vector<std::string>& texts);

// Pixels of Python's: uint8, [height, width] or [height, width, 3]; the values of a row lie side by side.
using PixelArray = nb::ndarray<const uint8_t, nb::device::cpu, nb::ro>;
struct Pixels {
  PixelArray array;
  std::string name;
  bool bgr = false;
  double mpp_x = 0, mpp_y = 0;

  // Valid while this object lives.
  cytodet_image image() const;
};
// (array, name, bgr, mpp_x, mpp_y)
Pixels pixels_of(const nb::handle& given);
std::vector<Pixels> all_pixels_of(const nb::list& given);

}  // namespace cytodet::python
