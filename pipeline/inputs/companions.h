// What lies beside images in a folder: what systems, viewers, scanners and people leave there.
#pragma once

#include <string>
#include <vector>

namespace cytodet::pipeline {

// Whether a file that was found in a folder or by a pattern is no image: neither its extension (in any case) nor its first
// bytes are those of an image or slide, read by this program or not; or it is a download that has not ended, or another
// program's lock. What is called as an image is none of these, so that it fails where it cannot be opened.
bool is_companion(const std::string& file);

// Whether the extension is that of an image or slide format, in any case.
bool named_as_image(const std::string& file);

// The reason in run.json of a companion, whose state is "skipped".
inline constexpr const char* kCompanion = "no image, by name and content";

// "Thumbs.db, desktop.ini, S1.XML, ... (12 files)": names without folders, for one line.
std::string names_of_files(const std::vector<std::string>& files);

}  // namespace cytodet::pipeline
