// A key of a JSON file that people keep set, with the rest of its text as it is.
#pragma once

#include <string>
#include <string_view>

#include "core/namespaces.h"

namespace cytodet::core {

// The text of a JSON object with the value of this key of it (not of objects within) replaced by the JSON text `value`; a key
// that it lacks comes last, on a line of its own. If a key is given twice, the last one, which is the one that counts, is
// replaced. Text in another encoding becomes UTF-8. Throws Error of `where` when the text is no JSON object, or only nearly one
// (NaN).
std::string with_json_key(std::string_view bytes, std::string_view key, std::string_view value, const std::string& where);

}  // namespace cytodet::core
