#include "graph/io/tensorflow/meta_graph.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/join.h"
#include "graph/io/parse_message.h"
#include "graph/io/tensorflow/proto.h"
#include "saved_model.pb.h"

namespace cytodet::graph {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFile = (int64_t{2} << 30) - 1;

template <class Message>
Message& make(google::protobuf::Arena& arena) {
  return *google::protobuf::Arena::CreateMessage<Message>(&arena);
}

Signature signature_of(const std::string& name, const proto::SignatureDef& m) {
  Signature s{name, {}};
  const std::map<std::string, proto::TensorInfo> sorted(m.outputs().begin(), m.outputs().end());
  for (const auto& [key, info] : sorted) s.outputs.push_back({key, info.name(), static_cast<DType>(info.dtype())});
  return s;
}

std::vector<Signature> signatures_of(const proto::MetaGraphDef& m) {
  const std::map<std::string, proto::SignatureDef> sorted(m.signature_def().begin(), m.signature_def().end());
  std::vector<Signature> signatures;
  for (const auto& [name, s] : sorted)
    if (!name.starts_with("__saved_model_")) signatures.push_back(signature_of(name, s));
  return signatures;
}

std::vector<std::string> tags_of(const proto::MetaGraphDef& m) {
  std::vector<std::string> tags(m.meta_info_def().tags().begin(), m.meta_info_def().tags().end());
  std::sort(tags.begin(), tags.end());
  return tags;
}

MetaGraph from_message(proto::MetaGraphDef& m, const std::string& where) {
  MetaGraph meta;
  meta.tags = tags_of(m);
  meta.restore_op = m.saver_def().restore_op_name();
  meta.signatures = signatures_of(m);
  for (const auto& asset : m.asset_file_def()) meta.assets.push_back(asset.filename());
  if (m.graph_def().node_size() == 0) throw Error(where, "holds no graph", "name a file that TensorFlow saved");
  try {
    meta.graph = graph_of(*m.mutable_graph_def());
  } catch (const Error& e) {
    throw e.within(where);
  }
  return meta;
}

// Null: none has exactly these tags, which are sorted.
proto::MetaGraphDef* tagged(proto::SavedModel& model, const std::vector<std::string>& tags) {
  for (proto::MetaGraphDef& m : *model.mutable_meta_graphs())
    if (tags_of(m) == tags) return &m;
  return nullptr;
}

proto::MetaGraphDef& chosen(proto::SavedModel& model, std::vector<std::string> tags, const std::string& where) {
  if (model.meta_graphs_size() == 0) throw Error(where, "holds no graph", "save the model again");
  std::sort(tags.begin(), tags.end());
  if (tags.empty() && model.meta_graphs_size() == 1) return *model.mutable_meta_graphs(0);
  if (tags.empty())
    if (proto::MetaGraphDef* m = tagged(model, {"serve"})) return *m;
  if (proto::MetaGraphDef* m = tagged(model, tags)) return *m;
  std::string known;
  for (const proto::MetaGraphDef& m : model.meta_graphs()) known += (known.empty() ? "" : " | ") + join(tags_of(m), ",");
  throw Error(where, tags.empty() ? "holds several graphs" : "holds no graph with the tags " + join(tags, ","),
              "choose one with freeze_graph --tags: " + known);
}

}  // namespace

MetaGraph parse_meta_graph(std::string_view bytes, const std::string& where) {
  google::protobuf::Arena arena;
  auto& message = make<proto::MetaGraphDef>(arena);
  parse_message(bytes, where, "MetaGraphDef", message, UnknownFields::skipped);
  return from_message(message, where);
}

MetaGraph read_meta_graph(const fs::path& path) { return parse_meta_graph(read_file(path, kMaxFile), path.string()); }

MetaGraph parse_saved_model(std::string_view bytes, const std::string& where, const std::vector<std::string>& tags) {
  google::protobuf::Arena arena;
  auto& message = make<proto::SavedModel>(arena);
  parse_message(bytes, where, "SavedModel", message, UnknownFields::skipped);
  return from_message(chosen(message, tags, where), where);
}

MetaGraph read_saved_model(const fs::path& file, const std::vector<std::string>& tags) {
  return parse_saved_model(read_file(file, kMaxFile), file.string(), tags);
}

std::string read_restore_op(const fs::path& saver) {
  proto::SaverDef message;
  const std::string bytes = read_file(saver, 1 << 20);
  if (bytes.find("restore_op_name:") != std::string::npos)
    parse_text(bytes, saver.string(), "SaverDef", message, UnknownFields::skipped);
  else
    parse_message(bytes, saver.string(), "SaverDef", message, UnknownFields::skipped);
  return message.restore_op_name();
}

fs::path saved_model_file(const fs::path& folder) {
  std::error_code ignored;
  for (const char* name : {"saved_model.pb", "saved_model.pbtxt"})
    if (fs::is_regular_file(folder / name, ignored)) return folder / name;
  return {};
}

}  // namespace cytodet::graph
