// Detections that Python holds: evaluated, and written in other forms.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/binding.h"

namespace cytodet::python {
namespace {

template <class T>
using Column = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

// (name, width, height, boxes float64 [n, 4], scores float32 [n], classes int32 [n], category ids by class)
struct Detections {
  std::string name;
  int64_t width = 0, height = 0;
  std::vector<cytodet_detection> all;

  // Valid while this object lives.
  cytodet_image_detections image() const {
    return {sizeof(cytodet_image_detections), name.c_str(), width, height, all.data(), all.size()};
  }
};

Detections detections_of(const nb::handle& given) {
  const auto t = nb::cast<nb::tuple>(given);
  Detections d{nb::cast<std::string>(t[0]), nb::cast<int64_t>(t[1]), nb::cast<int64_t>(t[2]), {}};
  const auto boxes = nb::cast<Column<double>>(t[3]);
  const auto scores = nb::cast<Column<float>>(t[4]);
  const auto classes = nb::cast<Column<int32_t>>(t[5]);
  const auto ids = nb::cast<std::vector<int64_t>>(t[6]);
  const size_t n = scores.size();
  if (boxes.size() != 4 * n || classes.size() != n) throw nb::value_error("columns differ in length");
  for (size_t i = 0; i < n; ++i) {
    const double* b = boxes.data() + 4 * i;
    const int32_t c = classes.data()[i];
    if (c < 0 || static_cast<size_t>(c) >= ids.size()) throw nb::value_error("a class is outside of the list of classes");
    d.all.push_back({b[0], b[1], b[2], b[3], ids[static_cast<size_t>(c)], c, scores.data()[i]});
  }
  return d;
}

class PyGroundTruth {
 public:
  explicit PyGroundTruth(cytodet_ground_truth* owned) : truth_(owned, cytodet_ground_truth_free) {}
  static PyGroundTruth open(const nb::bytes& path) {
    const std::string file = text_of(path);
    return PyGroundTruth(call_unlocked([&](cytodet_error** error) { return cytodet_ground_truth_open(file.c_str(), error); }));
  }
  static PyGroundTruth parse(const std::string& json) {
    return PyGroundTruth(call_unlocked([&](cytodet_error** error) { return cytodet_ground_truth_parse(json.c_str(), error); }));
  }
  size_t images() const { return cytodet_ground_truth_image_count(truth_.get()); }
  size_t annotations() const { return cytodet_ground_truth_annotation_count(truth_.get()); }

  nb::dict evaluate_file(const nb::bytes& path, const std::string& json) const {
    const std::string file = text_of(path);
    return scores(json, [&](const cytodet_settings* s, cytodet_error** error) {
      return cytodet_evaluate_file(truth_.get(), file.c_str(), s, error);
    });
  }
  nb::dict evaluate_json(const std::string& text, const std::string& json) const {
    return scores(json, [&](const cytodet_settings* s, cytodet_error** error) {
      return cytodet_evaluate_json(truth_.get(), text.c_str(), s, error);
    });
  }
  nb::dict evaluate_detections(const nb::list& given, const std::vector<std::string>& classes, const std::string& json) const {
    std::vector<Detections> detections;
    for (const nb::handle one : given) detections.push_back(detections_of(one));
    std::vector<cytodet_image_detections> images;
    for (const Detections& d : detections) images.push_back(d.image());
    const std::vector<const char*> names = detail::pointers(classes);
    return scores(json, [&](const cytodet_settings* s, cytodet_error** error) {
      return cytodet_evaluate_detections(truth_.get(), images.data(), images.size(), names.data(), names.size(), s, error);
    });
  }

 private:
  template <class Evaluate>
  static nb::dict scores(const std::string& json, Evaluate evaluate) {
    const SettingsHandle settings = settings_of(json);
    const detail::Handle<cytodet_scores, cytodet_scores_free> owned(
        call_unlocked([&](cytodet_error** error) { return evaluate(settings.get(), error); }));
    const cytodet_scores* s = owned.get();
    nb::dict figures, d;
    for (size_t i = 0; i < cytodet_scores_count(s); ++i) figures[cytodet_scores_name(s, i)] = cytodet_scores_value(s, i);
    nb::list classes;
    for (size_t i = 0; i < cytodet_scores_class_count(s); ++i)
      classes.append(nb::make_tuple(cytodet_scores_class_name(s, i), cytodet_scores_class_annotations(s, i),
                                    cytodet_scores_class_ap(s, i), cytodet_scores_class_ap50(s, i),
                                    cytodet_scores_class_ap75(s, i), cytodet_scores_class_ar(s, i)));
    d["figures"] = figures;
    d["classes"] = classes;
    d["warnings"] = list_of(detail::texts<cytodet_scores>(s, cytodet_scores_warning_count, cytodet_scores_warning));
    return d;
  }

  std::shared_ptr<cytodet_ground_truth> truth_;
};

void write_detections(const nb::tuple& given, const std::vector<std::string>& classes, const nb::bytes& path,
                      const std::string& json) {
  const SettingsHandle settings = settings_of(json);
  const Detections detections = detections_of(given);
  const cytodet_image_detections image = detections.image();
  const std::vector<const char*> names = detail::pointers(classes);
  const std::string file = text_of(path);
  call_unlocked([&](cytodet_error** error) {
    return cytodet_write_detections(&image, names.data(), names.size(), file.c_str(), settings.get(), error);
  });
}

}  // namespace

void add_scores(nb::module_& m) {
  nb::class_<PyGroundTruth>(m, "GroundTruth")
      .def_static("open", &PyGroundTruth::open, nb::arg("path"))
      .def_static("parse", &PyGroundTruth::parse, nb::arg("json"))
      .def_prop_ro("images", &PyGroundTruth::images)
      .def_prop_ro("annotations", &PyGroundTruth::annotations)
      .def("evaluate_file", &PyGroundTruth::evaluate_file, nb::arg("path"), nb::arg("settings"))
      .def("evaluate_json", &PyGroundTruth::evaluate_json, nb::arg("text"), nb::arg("settings"))
      .def("evaluate_detections", &PyGroundTruth::evaluate_detections, nb::arg("images"), nb::arg("classes"),
           nb::arg("settings"));
  m.def("write_detections", write_detections, nb::arg("image"), nb::arg("classes"), nb::arg("path"), nb::arg("settings"));
}

}  // namespace cytodet::python
