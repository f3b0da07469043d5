// A detection network's file becomes a model file beside it.
#pragma once

#include <string>

#include "models/recognise.h"

namespace cytodet::pipeline {

struct ImportedModel {
  Recognition recognition;
  ModelFile model;  // paths can be opened
};

// Recognises the network and tries the model file: the network is compiled and run on a gray image. Throws Error with the path:
// what recognise() throws; a network that cannot be run or does not give what was recognised. UsageError where something must be
// asked.
ImportedModel import_model(const std::string& path, const std::string& name, const ImportAnswers& answers);

// What was recognised and where from, a line each.
std::string text_of(const ImportedModel& imported);
// The table of families.
std::string families_text();

}  // namespace cytodet::pipeline
