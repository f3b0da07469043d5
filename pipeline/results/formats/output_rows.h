// The rows, each in the file of its name.
#pragma once

#include "pipeline/results/formats/output.h"

namespace cytodet::pipeline {

std::unique_ptr<OutputFile> open_coco(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_competition(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_csv(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_csv_excel(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_geojson(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_geojson_gz(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_heat_map(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_crops(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_summary(const OutputPicture&, const OutputSettings&, const std::filesystem::path&);

}  // namespace cytodet::pipeline
