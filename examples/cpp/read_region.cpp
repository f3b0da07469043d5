// What a slide holds, and the 256 x 256 pixels in its middle as a PPM file: read_region SLIDE OUT.ppm
#include <cstdio>

#include "cytodet/cytodet.h"

int main(int argc, char** argv) try {
  if (argc != 3) return 2;
  const cytodet::Slide slide(argv[1]);
  std::printf("%s, %lld x %lld pixels, %zu levels, %g micrometres per pixel\n", slide.format().c_str(),
              static_cast<long long>(slide.width()), static_cast<long long>(slide.height()), slide.levels().size(),
              slide.mpp_x());
  const cytodet::Image region = slide.read(0, slide.width() / 2 - 128, slide.height() / 2 - 128, 256, 256);
  std::FILE* out = std::fopen(argv[2], "wb");
  if (!out) return 1;
  std::fprintf(out, "P6 %d %d 255\n", region.width, region.height);
  std::fwrite(region.rgb.data(), 1, region.rgb.size(), out);
  return std::fclose(out) == 0 ? 0 : 1;
} catch (const cytodet::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return static_cast<int>(e.kind());
}
