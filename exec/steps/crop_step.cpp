#include "exec/steps/crop_step.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "exec/steps/row_steps.h"
#include "graph/ir/crop_side.h"

namespace cytodet::exec {
namespace {

class CropStep : public Step {
 public:
  CropStep(const Crops& crops, const CropTensors& tensors) : c_(crops), t_(tensors), set_(kernels()) {
    inputs = {t_.map, t_.boxes, t_.index};
    outputs = {t_.output};
    info.kernel = "crops";
    ScratchAllocator alloc(nullptr);
    workspace(alloc);
    scratch_bytes = alloc.total();
  }

  void run(RunContext& context) const override {
    const Tensor &map = at(context, t_.map), &boxes = at(context, t_.boxes), &index = at(context, t_.index);
    require(map, boxes, index);
    const int64_t count = boxes.dim(0);
    float* out = open_output(context, t_.output, {count, c_.height / c_.pool_h, c_.width / c_.pool_w, c_.channels}).data<float>();
    const int64_t crop = (c_.height / c_.pool_h) * (c_.width / c_.pool_w) * c_.channels,
                  image = map.dim(1) * map.dim(2) * c_.channels;
    for_each_chunk(context.threads, count, 1, [&](int64_t begin, int64_t end, int thread) {
      ScratchAllocator alloc(context.scratch + thread * scratch_bytes);
      const Workspace ws = workspace(alloc);
      for (int64_t b = begin; b < end; ++b)
        cut({map.data<float>() + index.as_int(b) * image, map.dim(1), map.dim(2)}, boxes.data<float>() + b * 4, ws,
            out + b * crop);
    });
  }

 private:
  struct Workspace {
    BetweenPixels* columns;  // [width]
    float* rows;             // [pool_h][width][channels], where there are windows
  };
  Workspace workspace(ScratchAllocator& alloc) const {
    auto* columns = reinterpret_cast<BetweenPixels*>(alloc.bytes(c_.width * static_cast<int64_t>(sizeof(BetweenPixels))));
    return {columns, alloc.floats(pools() ? c_.pool_h * c_.width * c_.channels : 0)};
  }
  bool pools() const { return c_.pool_h * c_.pool_w > 1; }

  static const Tensor& at(const RunContext& context, int id) { return context.tensors[static_cast<size_t>(id)]; }
  void require(const Tensor& map, const Tensor& boxes, const Tensor& index) const {
    if (map.rank() != 4 || map.dim(3) != c_.channels || boxes.rank() != 2 || boxes.dim(1) != 4 || index.size() != boxes.dim(0))
      throw Error("node " + info.name, "needs a map of " + std::to_string(c_.channels) + " channels, boxes [n, 4] and n indices");
    for (int64_t b = 0; b < index.size(); ++b)
      if (index.as_int(b) < 0 || index.as_int(b) >= map.dim(0)) throw Error("node " + info.name, "a box index is out of range");
  }

  struct Image {
    const float* pixels;
    int64_t height, width;
  };

  // The columns of a crop that lie inside the map: [first, last).
  struct Columns {
    int64_t first, last;
  };
  Columns columns_of(const graph::CropSide& side, BetweenPixels* columns) const {
    Columns inside{0, 0};
    for (int64_t x = 0; x < c_.width; ++x) {
      const float place = side.at(x);
      if (!side.holds(place)) continue;
      if (inside.last == 0) inside.first = x;
      inside.last = x + 1;
      columns[x] = between(place);
    }
    return inside;
  }
  static BetweenPixels between(float place) {
    return {static_cast<int32_t>(std::floor(place)), static_cast<int32_t>(std::ceil(place)), place - std::floor(place)};
  }

  void cut(const Image& image, const float* box, const Workspace& ws, float* out) const {
    const graph::CropSide rows(box[0], box[2], image.height, c_.height), side(box[1], box[3], image.width, c_.width);
    const Columns inside = columns_of(side, ws.columns);
    const int64_t row = c_.width * c_.channels, out_row = row / c_.pool_w;
    for (int64_t y = 0; y < c_.height; y += c_.pool_h, out += out_row) {
      for (int64_t i = 0; i < c_.pool_h; ++i) cut_row(image, rows, y + i, ws.columns, inside, pools() ? ws.rows + i * row : out);
      if (pools()) average(ws.rows, out);
    }
  }

  void cut_row(const Image& image, const graph::CropSide& rows, int64_t y, const BetweenPixels* columns, const Columns& inside,
               float* out) const {
    const float place = rows.at(y);
    const int64_t first = rows.holds(place) ? inside.first : c_.width, last = rows.holds(place) ? inside.last : c_.width;
    std::fill(out, out + first * c_.channels, c_.outside);
    std::fill(out + last * c_.channels, out + c_.width * c_.channels, c_.outside);
    if (first >= last) return;
    const BetweenPixels at = between(place);
    BilinearRow job;
    job.top = image.pixels + at.low * image.width * c_.channels;
    job.bottom = image.pixels + at.high * image.width * c_.channels;
    job.share = at.share;
    job.columns = columns + first;
    job.out = out + first * c_.channels;
    job.width = last - first;
    job.channels = c_.channels;
    set_.bilinear_row(job);
  }

  void average(const float* scratch, float* out) const {
    const float* rows[kMaxPoolRows];
    for (int64_t i = 0; i < c_.pool_h; ++i) rows[i] = scratch + i * c_.width * c_.channels;
    PoolRow<float> job;
    job.rows = rows;
    job.count = static_cast<int>(c_.pool_h);
    job.kernel_w = job.stride = static_cast<int>(c_.pool_w);
    job.in_w = c_.width;
    job.width = c_.width / c_.pool_w;
    job.channels = c_.channels;
    job.out = out;
    set_.average_pool_row(job, 1.0f);
  }

  const Crops c_;
  const CropTensors t_;
  const KernelSet& set_;
};

}  // namespace

std::unique_ptr<Step> make_crops(const Crops& crops, const CropTensors& tensors) {
  return std::make_unique<CropStep>(crops, tensors);
}

}  // namespace cytodet::exec
