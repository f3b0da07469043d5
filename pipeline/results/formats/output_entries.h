// The entries of outputs(), each in the file of its name.
#pragma once

#include "pipeline/results/formats/output.h"

namespace cytodet::pipeline {

std::unique_ptr<OutputFile> open_coco(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_box_list(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_csv(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_csv_excel(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_geojson(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_geojson_gz(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_geojson_points(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_heat_map(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_crops(const OutputImage&, const OutputSettings&, const std::filesystem::path&);
std::unique_ptr<OutputFile> open_summary(const OutputImage&, const OutputSettings&, const std::filesystem::path&);

}  // namespace cytodet::pipeline
