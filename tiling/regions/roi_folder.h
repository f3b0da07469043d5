// Which file of a folder or archive holds the regions of interest of a slide.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace cytodet::tiling {

// For a slide S1.ome.tif these files are its own: S1.geojson, S1.ome.tif.geojson, S1.tif.geojson, S1.ome.geojson, with any of
// region_extensions(). Upper and lower case count only where they distinguish two files; Unicode normal forms never do.
class RoiFolder {
 public:
  RoiFolder() = default;
  // `files`: paths in the folder `where`, or entries of the archive `where`. Hidden files, and files without an extension of
  // region_extensions(), are left out.
  RoiFolder(std::string where, const std::vector<std::string>& files);

  // One of the files; empty: there is none. Throws Error that lists them when there are several.
  std::string of(const std::filesystem::path& slide) const;

 private:
  struct File {
    std::string path;
    std::string image;  // the name without what says that it holds regions
    bool read = true;   // of a format that is read
  };
  std::string where_;
  std::map<std::string, std::vector<File>> by_stem_;  // by the image's name without extensions, folded
};

}  // namespace cytodet::tiling
