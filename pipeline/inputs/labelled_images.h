// Images of classification data sets, with their labels: folders of classes, tables, TFRecord files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/image.h"

namespace cytodet::pipeline {

// A class as its data set calls it: by name or by number. Empty: the image has no label.
struct ImageLabel {
  std::string name;               // of a folder, or as a table says it; may be a number, too
  std::optional<int64_t> number;  // of a TFRecord, or where the name is a whole number
  bool given() const { return number.has_value() || !name.empty(); }
  std::string text() const { return name.empty() && number ? std::to_string(*number) : name; }
};

struct LabelledImage {
  std::string name;                             // for messages and results: its path, or "FILE, record 17"
  std::string path;                             // of the image, or of the TFRecord file that it lies in
  ImageLabel label;                             // of a record: read with the image
  int64_t record_offset = -1, record_size = 0;  // bytes in that file; -1: the file is the image
};

struct LabelledImages {
  std::vector<LabelledImage> images;
  std::vector<std::string> companions;  // found in folders, and no images (pipeline/inputs/companions.h)
};

// What a user names, as images in order:
//  - a folder whose own files are no images: a folder per class, sorted, with its images, sorted;
//  - a CSV file (.csv, .tsv): image and label a row; further cells do not count. A first row whose first cell is "file",
//    "filename", "path", "image" or "name" is a heading. Paths are relative to the table;
//  - TFRecord files of tensorflow.Example, by content; the folder of such files: all of them, sorted;
//  - whatever list_inputs() takes: images without labels.
// Throws Error on what cannot be read.
LabelledImages list_labelled_images(const std::vector<std::string>& inputs);

// The files that the images of list_labelled_images() lie in. TFRecord files are named, not read.
std::vector<std::string> files_of_labelled_images(const std::vector<std::string>& inputs);

// The pixels of an image whatever its form. Throws Error naming it.
struct LoadedImage {
  Image image;
  ImageLabel label;
};
LoadedImage load_labelled_image(const LabelledImage& image, const JpegDecoding& jpeg);

// The whole of an image file, of its full resolution; what is no JPEG, PNG or BMP is read as a slide is.
Image read_whole_image(const std::string& path, const JpegDecoding& jpeg);

}  // namespace cytodet::pipeline
