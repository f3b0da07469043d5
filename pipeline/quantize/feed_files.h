// What a network is fed, as files that Python reads.
#pragma once

#include <filesystem>
#include <string>

#include "pipeline/quantize/target.h"

namespace cytodet::pipeline {

// A tensor as numpy's .npy file, version 1.0. Throws Error of a type that numpy does not have.
std::string npy_bytes(const Tensor& t);

// The name of a sample's file.
std::string feed_name(size_t sample);

// The input of each sample as FOLDER/00000.npy, 00001.npy, ...: files of the program's own (FolderManifest); others of such names
// are not replaced unless asked for. Returns how many were written; samples that cannot be fed are left out with a warning.
// Throws UsageError for a network of several inputs, Error where no sample can be fed or a file not be written; files appear
// whole.
int write_feed_files(QuantizationTarget& target, const CalibrationData& data, const std::filesystem::path& folder,
                     bool overwrite);

}  // namespace cytodet::pipeline
