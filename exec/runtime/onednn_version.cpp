#include "exec/runtime/onednn_version.h"

#include <dnnl.h>

namespace cytodet::exec {

std::string onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace cytodet::exec
