// Bytes, binary or text, into a protobuf message. Included by the readers in the folders of formats only.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

namespace cytodet::graph {

// What protobuf would print of a damaged message is in our own errors.
void silence_protobuf();

enum class UnknownFields { refused, skipped };  // of a text; binary ones are kept or skipped as protobuf does

// `kind`, "GraphDef", is what an Error of `where` calls it.
void parse_message(std::string_view bytes, const std::string& where, const std::string& kind, google::protobuf::Message& message,
                   UnknownFields unknown = UnknownFields::refused);
void parse_text(std::string_view bytes, const std::string& where, const std::string& kind, google::protobuf::Message& message,
                UnknownFields unknown = UnknownFields::refused);

}  // namespace cytodet::graph
