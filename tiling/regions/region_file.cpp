#include "tiling/regions/region_file.h"

#include <algorithm>

#include "core/ascii.h"
#include "core/error.h"
#include "core/settings.h"
#include "core/stray_text.h"
#include "core/text_decode.h"

namespace cytodet::tiling {
namespace {

constexpr size_t kMaxElements = 5'000'000, kMaxAttributes = 20'000'000;  // of XML, before anything is allocated

std::string_view root(const RegionDocument& d) { return d.is_xml ? d.xml.document_element().name() : ""; }

const Json* first(const RegionDocument& d) {
  if (d.is_xml || (!d.json.is_array() && !d.json.is_object()) || d.json.empty()) return nullptr;
  return &*d.json.begin();
}
bool first_has(const RegionDocument& d, const char* key) {
  const Json* f = first(d);
  return f && f->is_object() && f->contains(key);
}
bool has(const RegionDocument& d, const char* key) { return !d.is_xml && d.json.is_object() && d.json.contains(key); }

constexpr const char* kAsGeoJson = "open it in QuPath and export the objects as GeoJSON";
constexpr const char* kConvertRegions = "convert it to GeoJSON";

constexpr RegionFormat kRegionFormats[] = {
    {"ASAP's XML", RegionFrame::slide, is_asap, read_asap},
    {"Aperio ImageScope's XML", RegionFrame::slide, is_imagescope, read_imagescope},
    {"COCO", RegionFrame::slide, is_coco_regions, read_coco_regions},
    {"a box list", RegionFrame::slide, is_box_list, read_box_list},
    {"HistomicsTK's JSON", RegionFrame::slide, is_histomicstk, read_histomicstk},
    {"labelme's JSON", RegionFrame::slide, is_labelme, read_labelme},
    {"Hamamatsu's NDPA", RegionFrame::slide,
     [](const RegionDocument& d) { return root(d) == "annotations" && d.xml.document_element().child("ndpviewstate"); }, nullptr,
     kAsGeoJson},
    {"CVAT's XML", RegionFrame::slide,
     [](const RegionDocument& d) {
       const pugi::xml_node r = d.xml.document_element();
       return root(d) == "annotations" && (r.child("image") || r.child("meta") || r.child("version"));
     },
     nullptr, kConvertRegions},
    {"Pascal VOC's XML", RegionFrame::slide, [](const RegionDocument& d) { return root(d) == "annotation"; }, nullptr,
     kConvertRegions},
    {"OME-XML", RegionFrame::slide, [](const RegionDocument& d) { return root(d) == "OME" || root(d) == "OME:OME"; }, nullptr,
     kAsGeoJson},
    {"Sedeen's XML", RegionFrame::slide, [](const RegionDocument& d) { return root(d) == "session"; }, nullptr, kConvertRegions},
    {"the VGG Image Annotator's JSON", RegionFrame::slide,
     [](const RegionDocument& d) {
       return has(d, "_via_img_metadata") || has(d, "_via_settings") || (first_has(d, "filename") && first_has(d, "regions"));
     },
     nullptr, kConvertRegions},
    {"Label Studio's JSON", RegionFrame::slide,
     [](const RegionDocument& d) { return first_has(d, "data") && (first_has(d, "annotations") || first_has(d, "completions")); },
     nullptr, "export it as COCO, with a category named roi"},
    {"Supervisely's JSON", RegionFrame::slide, [](const RegionDocument& d) { return has(d, "objects") && has(d, "size"); },
     nullptr, kConvertRegions},
    {"a list of detections", RegionFrame::slide,
     [](const RegionDocument& d) { return first_has(d, "bbox") && d.json.is_array(); }, nullptr, "name the file of the regions"},
    {"TopoJSON", RegionFrame::slide, [](const RegionDocument& d) { return has(d, "type") && d.json["type"] == "Topology"; },
     nullptr, kConvertRegions},
    {"GeoJSON", RegionFrame::viewer, is_geojson, read_geojson},
};

constexpr std::string_view kExtensions[] = {".geojson", ".geojson.gz", ".geojson.zip", ".json", ".json.gz", ".xml",
                                            ".xml.gz",  ".zip",        ".annotations", ".ndpa", ".qpdata",  ".roi"};

// Formats that are no text, by their first bytes.
struct BinaryFormat {
  std::string_view start;
  const char *name, *advice;
};
constexpr BinaryFormat kBinary[] = {{"\xac\xed", "a data file of QuPath (.qpdata)", kAsGeoJson},
                                    {"Iout", "a region of ImageJ (.roi)", kAsGeoJson}};

void parse_xml(std::string_view text, RegionDocument& d) {
  const auto elements = static_cast<size_t>(std::count(text.begin(), text.end(), '<'));
  const auto attributes = static_cast<size_t>(std::count(text.begin(), text.end(), '='));
  if (elements > kMaxElements || attributes > kMaxAttributes)
    throw Error(d.where, "holds too many XML elements", "split the file");
  // The text is UTF-8 here, whatever its first line says: it was decoded if it was UTF-16. Entities of a DTD are not expanded.
  const std::string_view head = text.substr(0, 200);
  const bool latin =
      head.find("encoding=\"ISO-8859-1\"") != std::string_view::npos || head.find("windows-1252") != std::string_view::npos;
  const pugi::xml_parse_result result =
      d.xml.load_buffer(text.data(), text.size(), pugi::parse_default, latin ? pugi::encoding_latin1 : pugi::encoding_utf8);
  if (!result)
    throw Error(d.where,
                "not valid XML at " + text_position(text, static_cast<size_t>(result.offset) + 1) + ": " + result.description(),
                "check the file with an XML tool");
}

}  // namespace

std::span<const RegionFormat> region_formats() { return kRegionFormats; }
std::span<const std::string_view> region_extensions() { return kExtensions; }

bool same_label(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower_ascii(x) == lower_ascii(y); });
}

bool is_listed(const std::vector<std::string>& labels, std::string_view label) {
  return std::any_of(labels.begin(), labels.end(), [&](const std::string& l) { return same_label(l, label); });
}

bool is_ignored_label(std::string_view label) { return label.ends_with('*') && !same_label(label, "Region*"); }

bool is_wanted_box(const RoiChoice& choice, std::string_view label) {
  if (is_listed(choice.ignored, label)) return true;
  return choice.classes.empty() ? label == "roi" || label == "ROI" : is_listed(choice.classes, label);
}

NamedRegions parse_regions(std::string_view bytes, const std::string& where, const RoiChoice& choice) {
  for (const BinaryFormat& b : kBinary)
    if (bytes.starts_with(b.start)) throw Error(where, std::string("is ") + b.name + ", which is not read", b.advice);
  std::string decoded;
  const std::string_view text = as_utf8(bytes, decoded, where);
  RegionDocument d;
  d.where = where;
  d.choice = choice;
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (const std::optional<StrayText> stray = stray_text(text))
    throw Error(where, std::string("is ") + stray->name, stray->advice);
  d.is_xml = start != std::string_view::npos && text[start] == '<';
  if (d.is_xml)
    parse_xml(text, d);
  else
    d.json = parse_json(text, where);
  for (const RegionFormat& f : kRegionFormats) {
    if (!f.detect(d)) continue;
    if (!f.read) throw Error(where, std::string("is ") + f.name + ", which is not read as regions", f.advice);
    return {&f, f.read(d)};
  }
  throw Error(where, "is XML of an unknown kind, <" + std::string(root(d).substr(0, 60)) + ">",
              "see docs/slides.md for the forms of regions");
}

}  // namespace cytodet::tiling
