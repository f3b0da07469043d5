// For headers that only name JSON and descriptions of settings: <nlohmann/json.hpp> takes longer to compile than most sources.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "core/namespaces.h"

namespace cytodet::core {

using Json = nlohmann::ordered_json;
class Fields;  // core/settings.h

}  // namespace cytodet::core
