// A box list: [{"class": "roi", "x": 1, "y": 2, "w": 3, "h": 4}, ...].
#include "core/settings.h"
#include "tiling/regions/formats/fields.h"

namespace cytodet::tiling {

bool is_box_list(const RegionDocument& d) {
  return !d.is_xml && d.json.is_array() && !d.json.empty() && d.json[0].is_object() && !d.json[0].contains("type") &&
         (d.json[0].contains("class") || (d.json[0].contains("x") && d.json[0].contains("w")));
}

RegionFile read_box_list(const RegionDocument& d) {
  RegionFields read(d.where);
  RegionFile file;
  file.roi_only = true;
  read.list(d.json, "", [&](const Json& item, const std::string& at) {
    const Json& label = read.member(item, "class", at);
    const std::string name = label.is_string() ? label.get<std::string>() : "";
    if (!is_wanted_box(d.choice, name)) {
      file.other_labels.insert(name);
      return;
    }
    const auto side = [&](const char* key) { return read.number(read.member(item, key, at), at); };
    Region region;
    region.label = name;
    region.rings.push_back(read.rectangle(side("x"), side("y"), side("w"), side("h"), at));
    file.regions.push_back(std::move(region));
  });
  return file;
}

}  // namespace cytodet::tiling
