// The module cytodet._binding: the C functions of cytodet/c.h on arrays of numpy. The package's Python files make the interface
// that users see, and check what users give.
#include <nanobind/stl/string.h>

#include <exception>
#include <new>

#include "python/src/binding.h"

namespace cytodet::python {
namespace {

// cytodet::Error as the package's exception.
void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& e) {
    const nb::object made = nb::module_::import_("cytodet._errors")
                                .attr("make")(static_cast<int>(e.kind()), e.what(), e.where(), e.problem(), e.advice());
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
  } catch (const std::bad_alloc&) {
    const nb::object made = nb::module_::import_("cytodet._errors")
                                .attr("out_of_memory")("memory", "ran out", "give smaller arrays, or fewer at once");
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
  }
}

}  // namespace

SettingsHandle settings_of(const std::string& json) {
  return SettingsHandle(detail::call([&](cytodet_error** error) { return cytodet_settings_parse(json.c_str(), error); }));
}

nb::list list_of(const std::vector<std::string>& texts) {
  nb::list all;
  for (const std::string& t : texts) all.append(nb::str(t.c_str(), t.size()));
  return all;
}

cytodet_image Pixels::image() const {
  cytodet_image i{};
  i.struct_size = sizeof i;
  i.data = array.data();
  i.height = static_cast<int64_t>(array.shape(0));
  i.width = static_cast<int64_t>(array.shape(1));
  i.stride = array.stride(0);
  i.format = array.ndim() == 2 ? CYTODET_GRAY8 : bgr ? CYTODET_BGR8 : CYTODET_RGB8;
  i.mpp_x = mpp_x;
  i.mpp_y = mpp_y;
  i.name = name.c_str();
  return i;
}

Pixels pixels_of(const nb::handle& given) {
  const auto t = nb::cast<nb::tuple>(given);
  Pixels p{nb::cast<PixelArray>(t[0]), nb::cast<std::string>(t[1]), nb::cast<bool>(t[2]), nb::cast<double>(t[3]),
           nb::cast<double>(t[4])};
  const bool gray = p.array.ndim() == 2;
  const bool laid = gray ? p.array.stride(1) == 1
                         : p.array.ndim() == 3 && p.array.shape(2) == 3 && p.array.stride(2) == 1 && p.array.stride(1) == 3;
  if (!laid) throw nb::value_error("pixels are [height, width] or [height, width, 3], the values of a row side by side");
  return p;
}

std::vector<Pixels> all_pixels_of(const nb::list& given) {
  std::vector<Pixels> all;
  for (const nb::handle one : given) all.push_back(pixels_of(one));
  return all;
}

}  // namespace cytodet::python

NB_MODULE(_binding, m) {
  namespace nb = nanobind;
  using namespace cytodet::python;
  nb::set_leak_warnings(false);
  if (cytodet_c_api_version() != CYTODET_C_API_VERSION)
    throw std::runtime_error("libcytodet has the C interface " + std::to_string(cytodet_c_api_version()) + ", not " +
                             std::to_string(CYTODET_C_API_VERSION));
  nb::register_exception_translator(translate);
  m.def("version", [] { return std::string(cytodet_version()); });
  add_models(m);
  add_slides(m);
  add_graphs(m);
  add_scores(m);
  add_tools(m);
}
