// One key of a JSON file that people keep.
#include "core/json_edit.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/settings.h"

namespace cytodet::core {
namespace {

TEST(JsonEdit, ReplacesOneKeyAndNothingElse) {
  const std::string text = "{\n  \"a\": [1, {\"k\": 2}],   \"k\" : {\"x\": \"}\\\"\"} ,\n  \"b\": \"k\"\n}\n";
  EXPECT_EQ(with_json_key(text, "k", "7", "t"), "{\n  \"a\": [1, {\"k\": 2}],   \"k\" : 7 ,\n  \"b\": \"k\"\n}\n");
  EXPECT_EQ(with_json_key("{\"k\":-1.5e3}", "k", "null", "t"), "{\"k\":null}");
  EXPECT_EQ(with_json_key(R"({"k":1,"\u006b":2})", "k", "3", "t"), R"({"k":1,"\u006b":3})");
}

TEST(JsonEdit, AddsAKeyThatIsMissing) {
  EXPECT_EQ(with_json_key("{\n  \"a\": 1\n}\n", "k", "[2]", "t"), "{\n  \"a\": 1,\n  \"k\": [2]\n}\n");
  for (const char* text : {"{}", " { } ", "{\"a\":{}}", "{\"a\":\"{\"}", "{\"a\":[[],{}],\"b\":true}"}) {
    const Json before = parse_json(text, "t"), after = parse_json(with_json_key(text, "k", "[2]", "t"), "t");
    Json wanted = before;
    wanted["k"] = {2};
    EXPECT_EQ(after, wanted) << text;
  }
}

TEST(JsonEdit, RefusesWhatIsNoObject) {
  for (const char* text : {"[1]", "1", "{", "{\"a\":}", ""}) EXPECT_THROW(with_json_key(text, "k", "1", "t"), Error) << text;
}

}  // namespace
}  // namespace cytodet::core
