// Slides: regions as arrays.
#include <nanobind/stl/string.h>

#include <array>

#include "python/src/binding.h"

namespace cytodet::python {
namespace {

class PySlide {
 public:
  PySlide(const nb::bytes& path, const std::string& json) {
    const SettingsHandle settings = settings_of(json);
    const std::string file = text_of(path);
    slide_.reset(call_unlocked([&](cytodet_error** error) { return cytodet_slide_open(file.c_str(), settings.get(), error); }),
                 cytodet_slide_free);
  }

  nb::dict description() const {
    const cytodet_slide* s = slide_.get();
    nb::dict d;
    d["format"] = cytodet_slide_format(s);
    nb::list levels;
    for (int32_t l = 0; l < cytodet_slide_level_count(s); ++l)
      levels.append(nb::make_tuple(cytodet_slide_level_width(s, l), cytodet_slide_level_height(s, l),
                                   cytodet_slide_level_downsample(s, l)));
    d["levels"] = levels;
    d["mpp"] = nb::make_tuple(cytodet_slide_mpp_x(s), cytodet_slide_mpp_y(s));
    d["mpp_source"] = cytodet_slide_mpp_source(s);
    d["mpp_warning"] = cytodet_slide_mpp_warning(s);
    std::array<int64_t, 4> b{};
    cytodet_slide_bounds(s, b.data());
    d["bounds"] = nb::make_tuple(b[0], b[1], b[2], b[3]);
    d["warnings"] = list_of(detail::texts<cytodet_slide>(s, cytodet_slide_warning_count, cytodet_slide_warning));
    return d;
  }

  nb::object read(int32_t level, int64_t x, int64_t y, int32_t width, int32_t height) const {
    return image(width, height, [&](uint8_t* rgb, size_t size, cytodet_error** error) {
      return cytodet_slide_read(slide_.get(), level, x, y, width, height, rgb, 0, size, error);
    });
  }
  nb::object read_scaled(double x0, double y0, double x1, double y1, int32_t width, int32_t height) const {
    return image(width, height, [&](uint8_t* rgb, size_t size, cytodet_error** error) {
      return cytodet_slide_read_scaled(slide_.get(), x0, y0, x1, y1, width, height, rgb, 0, size, error);
    });
  }

 private:
  // uint8 [height, width, 3] that read(rgb, size, &error) fills. Sizes that cannot be are refused by it.
  template <class Read>
  static nb::object image(int32_t width, int32_t height, Read read) {
    const bool real = width > 0 && height > 0;
    const size_t rows = real ? static_cast<size_t>(height) : 1, columns = real ? static_cast<size_t>(width) : 1;
    return new_array<uint8_t>({rows, columns, 3}, [&](uint8_t* rgb) {
      call_unlocked([&](cytodet_error** error) { return read(rgb, rows * columns * 3, error); });
    });
  }

  std::shared_ptr<cytodet_slide> slide_;
};

}  // namespace

void add_slides(nb::module_& m) {
  nb::class_<PySlide>(m, "Slide")
      .def(nb::init<const nb::bytes&, const std::string&>(), nb::arg("path"), nb::arg("settings"))
      .def("description", &PySlide::description)
      .def("read", &PySlide::read, nb::arg("level"), nb::arg("x"), nb::arg("y"), nb::arg("width"), nb::arg("height"))
      .def("read_scaled", &PySlide::read_scaled, nb::arg("x0"), nb::arg("y0"), nb::arg("x1"), nb::arg("y1"), nb::arg("width"),
           nb::arg("height"));
}

}  // namespace cytodet::python
