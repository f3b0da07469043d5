// Milliseconds from a tile's pixels to the network's input; at 512 nothing is resized. usage: bench_preprocess [ROUNDS]
#include <cstdio>
#include <cstdlib>

#include "core/timing.h"
#include "models/common/preprocess.h"

int main(int argc, char** argv) {
  using namespace cytodet;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
  InputSettings input;
  input.width = input.height = 512;
  std::vector<float> out(512 * 512 * 3);
  for (int side : {512, 640, 1024}) {
    Image image(side, side);
    for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
    const Letterbox box = letterbox_of(side, side, input);
    std::vector<double> ms;
    for (int r = 0; r < rounds; ++r) {
      Stopwatch watch;
      preprocess(image, input, box, out.data());
      ms.push_back(watch.ms());
    }
    std::printf("%4d -> 512: %.3f ms (5%% %.3f, 95%% %.3f), first value %.6f\n", side, median(ms), percentile(ms, 5),
                percentile(ms, 95), static_cast<double>(out[0]));
  }
}
