// What files of regions hold, whatever program wrote them, and the table of their formats. For roi_source.cpp and the readers of
// this folder.
#pragma once

#include <filesystem>
#include <map>
#include <pugixml.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/settings.h"
#include "tiling/regions/roi.h"

namespace cytodet::tiling {

// One region as a file holds it, in level-0 pixels.
struct Region {
  std::vector<Roi::Ring> rings;  // inside is what an odd number of edges lies to the left of
  std::string label;             // its class, group or layer; empty: none
  std::string image;             // file_name of the image that it is for; empty: every one
  bool negative = false;         // the file says that it is to be taken off the others
};

struct RegionFile {
  std::vector<Region> regions;
  bool by_image = false;               // regions name their images
  bool roi_only = false;               // where no class is asked for, regions of class "roi" or "ROI" are meant alone
  std::map<std::string, int> no_area;  // what else the file holds, "points": 2
  std::set<std::string> other_labels;  // classes of boxes that nobody asked for and that were not read
};

// A text that has been parsed: XML where it begins with <, else JSON.
struct RegionDocument {
  std::string where;
  RoiChoice choice;
  bool is_xml = false;
  Json json;
  pugi::xml_document xml;
};

// From where a format counts its pixels: the corner of the slide's canvas, or of what a viewer shows that crops to the scanned
// part.
enum class RegionFrame { slide, viewer };

struct RegionFormat {
  const char* name;
  RegionFrame frame;
  bool (*detect)(const RegionDocument&);
  RegionFile (*read)(const RegionDocument&);  // null: known by sight, not read
  const char* advice = "";                    // where it is not read
};
// In the order in which they are tried; the last takes every JSON, so that its reader says what is wrong.
std::span<const RegionFormat> region_formats();

// Extensions of files of regions beside or for a slide, in the order in which they are preferred; those of formats that are known
// and not read too, so that such a file is an error and not overlooked. In lower case, with the dot.
std::span<const std::string_view> region_extensions();

// The regions in a text of any of the formats. Throws Error that names file and format: not read, damaged, without a region.
struct NamedRegions {
  const RegionFormat* format = nullptr;
  RegionFile file;
};
NamedRegions parse_regions(std::string_view bytes, const std::string& where, const RoiChoice& choice);

// The class that a region of QuPath has, where it is one that QuPath ignores: "Ignore*" and all that end in a star. "Region*" is
// QuPath's class of regions without one.
bool is_ignored_label(std::string_view label);
// Equal but for the case of ASCII letters.
bool same_label(std::string_view a, std::string_view b);
bool is_listed(const std::vector<std::string>& labels, std::string_view label);
// Whether a file of boxes of all kinds (roi_only) means this class.
bool is_wanted_box(const RoiChoice& choice, std::string_view label);

// Entries of region_formats(); each in a file of its own.
bool is_geojson(const RegionDocument& d);
RegionFile read_geojson(const RegionDocument& d);
bool is_box_list(const RegionDocument& d);
RegionFile read_box_list(const RegionDocument& d);
bool is_coco_regions(const RegionDocument& d);
RegionFile read_coco_regions(const RegionDocument& d);
bool is_histomicstk(const RegionDocument& d);
RegionFile read_histomicstk(const RegionDocument& d);
bool is_labelme(const RegionDocument& d);
RegionFile read_labelme(const RegionDocument& d);
bool is_asap(const RegionDocument& d);
RegionFile read_asap(const RegionDocument& d);
bool is_imagescope(const RegionDocument& d);
RegionFile read_imagescope(const RegionDocument& d);

}  // namespace cytodet::tiling
