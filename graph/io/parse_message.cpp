#include "graph/io/parse_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include <algorithm>

#include "core/error.h"
#include "core/text_decode.h"
#include "graph/ir/graph.h"

namespace cytodet::graph {
namespace {

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text.empty()) text = "line " + std::to_string(line + 1) + ", column " + std::to_string(column + 1) + ": " + message;
  }
  std::string text;
};

// Text graphs are printable and have braces; binary ones hold lengths and tags below 0x20.
bool looks_like_text(std::string_view bytes) {
  std::string_view head = bytes.substr(0, 512);
  bool printable =
      std::none_of(head.begin(), head.end(), [](unsigned char c) { return c < 0x20 && c != '\n' && c != '\r' && c != '\t'; });
  return printable && head.find('{') != std::string_view::npos;
}

// No binary message of ours begins with a byte-order mark: its first byte is a field's tag.
std::string_view without_mark(std::string_view bytes, std::string& decoded, const std::string& where) {
  const bool marked = bytes.starts_with("\xef\xbb\xbf") || bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff");
  return marked ? as_utf8(bytes, decoded, where) : bytes;
}

}  // namespace

void silence_protobuf() { [[maybe_unused]] static const auto silent = google::protobuf::SetLogHandler(nullptr); }

void parse_text(std::string_view bytes, const std::string& where, const std::string& kind, google::protobuf::Message& message,
                UnknownFields unknown) {
  silence_protobuf();
  std::string decoded;
  bytes = without_mark(bytes, decoded, where);
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  FirstError first;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&first);
  parser.SetRecursionLimit(100);
  parser.AllowUnknownField(unknown == UnknownFields::skipped);
  if (!parser.Parse(&stream, &message)) throw Error(where, "is not a text " + kind + ": " + first.text, "check the file");
}

void parse_message(std::string_view bytes, const std::string& where, const std::string& kind, google::protobuf::Message& message,
                   UnknownFields unknown) {
  silence_protobuf();
  std::string decoded;
  bytes = without_mark(bytes, decoded, where);
  if (looks_like_text(bytes)) return parse_text(bytes, where, kind, message, unknown);
  google::protobuf::io::CodedInputStream coded(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  coded.SetRecursionLimit(100);
  if (!message.ParseFromCodedStream(&coded) || !coded.ConsumedEntireMessage())
    throw Error(where, "is not a " + kind + " (near byte " + std::to_string(coded.CurrentPosition()) + ")",
                "the file is damaged or of another kind; name a frozen .pb or .pbtxt");
}

}  // namespace cytodet::graph
