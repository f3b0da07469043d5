// COCO's figures of a model on a folder of images: evaluate MODEL TRUTH.json FOLDER
#include <cstdio>

#include "cytodet/cytodet.h"

int main(int argc, char** argv) try {
  if (argc != 4) return 2;
  const cytodet::Model model(argv[1]);
  const cytodet::GroundTruth truth(argv[2]);
  const cytodet::Results results = model.detect_files({argv[3]});
  const cytodet::Scores scores = cytodet::evaluate(truth, results);
  for (const cytodet::Figure& f : scores.figures) std::printf("%s %.4f\n", f.name.c_str(), f.value);
  for (const cytodet::ClassScores& c : scores.classes) std::printf("AP of %s %.4f\n", c.name.c_str(), c.ap);
  return 0;
} catch (const cytodet::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return static_cast<int>(e.kind());
}
