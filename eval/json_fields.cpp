#include "eval/json_fields.h"

#include "core/json_repair.h"
#include "core/stray_text.h"
#include "core/text_decode.h"

namespace cytodet::eval::json {

dom::element parse(dom::parser& parser, std::string_view json, const std::string& where, size_t before) {
  std::string decoded;
  const std::string_view text = before ? json : as_utf8(json, decoded, where);
  dom::element root;
  simdjson::error_code problem = parser.parse(text.data(), text.size()).get(root);
  if (!problem) return root;
  if (const std::optional<RepairedJson> repaired = repair_json(text))
    problem = parser.parse(repaired->text.data(), repaired->text.size()).get(root);
  if (!problem) return root;
  if (!before) refuse_other_than_json(text, where);
  check_utf8(text, where, before);
  throw Error(where, std::string("not valid JSON: ") + simdjson::error_message(problem), "check the file with a JSON tool");
}

}  // namespace cytodet::eval::json
