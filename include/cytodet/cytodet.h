// cytodet finds cells on images and whole slides. All of the C++ interface; C++17 or later. It consists of calls of the C
// functions of cytodet/c.h, so that the shared library serves every compiler and standard library.
//
//   cytodet::Model model("model.json");
//   for (const cytodet::Detection& d : model.detect_file("slide.svs").detections) use(d.class_name, d.score, d.box);
//
// What goes wrong is thrown as cytodet::Error. Nothing is written to standard output or standard error.
#pragma once

#include <string>

#include "cytodet/error.h"
#include "cytodet/evaluate.h"
#include "cytodet/graph.h"
#include "cytodet/image.h"
#include "cytodet/model.h"
#include "cytodet/slide.h"
#include "cytodet/tensor.h"
#include "cytodet/version.h"

namespace cytodet {

// "major.minor.patch" of the loaded library; CYTODET_VERSION_STRING is that of the headers.
inline std::string version() { return cytodet_version(); }

}  // namespace cytodet
