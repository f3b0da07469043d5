// COCO ground truth: the boxes of a category named "roi" or "ROI", by the file name of their image.
#include <map>

#include "core/settings.h"
#include "tiling/regions/formats/fields.h"

namespace cytodet::tiling {

bool is_coco_regions(const RegionDocument& d) {
  return !d.is_xml && d.json.is_object() && d.json.contains("annotations") && d.json.contains("images");
}

RegionFile read_coco_regions(const RegionDocument& d) {
  RegionFields read(d.where);
  std::map<std::string, std::string> images, categories;  // by id, a number or a text
  const auto id = [&](const Json& item, const char* key, const std::string& at) {
    const Json& v = read.member(item, key, at);
    if (!v.is_number_integer() && !v.is_string()) read.bad(at + "." + key, "must be a whole number or a text");
    return v.is_string() ? v.get<std::string>() : v.dump();
  };
  read.list(read.member(d.json, "images", ""), "images",
            [&](const Json& item, const std::string& at) { images[id(item, "id", at)] = read.text(item, "file_name", at); });
  read.list(read.member(d.json, "categories", ""), "categories",
            [&](const Json& item, const std::string& at) { categories[id(item, "id", at)] = read.text(item, "name", at); });
  RegionFile file;
  file.by_image = file.roi_only = true;
  read.list(read.member(d.json, "annotations", ""), "annotations", [&](const Json& item, const std::string& at) {
    Region region;
    region.label = categories[id(item, "category_id", at)];
    if (!is_wanted_box(d.choice, region.label)) {
      file.other_labels.insert(region.label);
      return;
    }
    const auto image = images.find(id(item, "image_id", at));
    if (image == images.end()) read.bad(at + ".image_id", "is not among the images");
    region.image = image->second;
    const std::string here = at + ".bbox";
    const Json& b = read.member(item, "bbox", at);
    if (!b.is_array() || b.size() != 4) read.bad(here, "must be [x, y, width, height]");
    const double x = read.number(b[0], here), y = read.number(b[1], here), w = read.number(b[2], here),
                 h = read.number(b[3], here);
    region.rings.push_back(read.rectangle(x, y, w, h, here));
    file.regions.push_back(std::move(region));
  });
  return file;
}

}  // namespace cytodet::tiling
