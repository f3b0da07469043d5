// Winograd's F(2x2, 3x3): the transforms of windows of 4x4 pixels and back to 2x2 results (KernelSet::winograd_input, _output).
// With d a window, g the filter and * element by element: result = A' [(G g G') * (B' d B)] A.
#pragma once

#include "exec/kernels/tile_epilogue-inl.h"

namespace cytodet::exec::CYTODET_TARGET {
namespace {

// B' d of four vectors.
inline void winograd_differences(const Vec (&d)[4], Vec (&out)[4]) {
  out[0] = V::sub(d[0], d[2]);
  out[1] = V::add(d[1], d[2]);
  out[2] = V::sub(d[2], d[1]);
  out[3] = V::sub(d[1], d[3]);
}

// The first n channels of a vector's worth of channels of one window.
template <class Load, class Store>
inline void winograd_window(Load load, Store store) {
  Vec rows[4][4];  // [x][y]
  for (int x = 0; x < 4; ++x) {
    const Vec column[4] = {load(x), load(4 + x), load(8 + x), load(12 + x)};
    winograd_differences(column, rows[x]);
  }
  for (int y = 0; y < 4; ++y) {
    const Vec row[4] = {rows[0][y], rows[1][y], rows[2][y], rows[3][y]};
    Vec out[4];
    winograd_differences(row, out);
    for (int x = 0; x < 4; ++x) store(4 * y + x, out[x]);
  }
}

void winograd_input(const float* const* pixels, int64_t tiles, int64_t channels, float* out, int64_t ldo,
                    int64_t component_stride) {
  for (int64_t t = 0; t < tiles; ++t, pixels += 16, out += ldo) {
    int64_t c = 0;
    for (; c + V::width <= channels; c += V::width)
      winograd_window([&](int i) { return V::load(pixels[i] + c); },
                      [&](int i, Vec x) { V::store(out + i * component_stride + c, x); });
    const int rest = static_cast<int>(channels - c);
    if (rest > 0)
      winograd_window([&](int i) { return V::load_some(pixels[i] + c, rest); },
                      [&](int i, Vec x) { V::store_some(out + i * component_stride + c, x, rest); });
  }
}

// A' m of four vectors.
inline void winograd_sums(const Vec (&m)[4], Vec (&out)[2]) {
  out[0] = V::add(V::add(m[0], m[1]), m[2]);
  out[1] = V::sub(V::sub(m[1], m[2]), m[3]);
}

// results[2 * y + x] of one tile, a vector of columns of it.
inline void winograd_results(const float* sums, int64_t component_stride, Vec (&results)[4]) {
  Vec rows[4][2];  // [x][y]
  for (int x = 0; x < 4; ++x) {
    const Vec column[4] = {V::load(sums + x * component_stride), V::load(sums + (4 + x) * component_stride),
                           V::load(sums + (8 + x) * component_stride), V::load(sums + (12 + x) * component_stride)};
    winograd_sums(column, rows[x]);
  }
  for (int y = 0; y < 2; ++y) {
    const Vec row[4] = {rows[0][y], rows[1][y], rows[2][y], rows[3][y]};
    Vec out[2];
    winograd_sums(row, out);
    results[2 * y] = out[0];
    results[2 * y + 1] = out[1];
  }
}

template <Act act, int Vectors>
void winograd_output_act(const float* sums, int64_t tiles, const int64_t* pixels, const WinogradResults& to, int64_t column,
                         TileEpilogue end) {
  const Epilogue& e = *to.epilogue;
  Vec bias[Vectors];
  for (int v = 0; v < Vectors; ++v) bias[v] = V::load(e.bias + column + v * V::width);
  for (int64_t t = 0; t < tiles; ++t, pixels += 4, sums += kPanel) {
    Vec results[Vectors][4];
    for (int v = 0; v < Vectors; ++v) winograd_results(sums + v * V::width, tiles * kPanel, results[v]);
    for (int i = 0; i < 4; ++i) {
      if (pixels[i] < 0) continue;
      Vec x[1][Vectors];
      for (int v = 0; v < Vectors; ++v) x[0][v] = V::add(results[v][i], bias[v]);
      if (e.residual) end.residual = e.residual + pixels[i] * e.residual_stride + column;
      finish_tile<act, 1, Vectors>(x, to.c + pixels[i] * to.ldc + column, to.ldc, end);
    }
  }
}

void winograd_output(const float* sums, int64_t tiles, const int64_t* pixels, const WinogradResults& to, int64_t panel) {
  const int64_t column = panel * kPanel;
  const int columns = static_cast<int>(to.n - column < kPanel ? to.n - column : kPanel);
  const TileEpilogue end{nullptr, nullptr, 0, to.epilogue->residual_first, columns};
  with_act(to.epilogue->act, [&]<Act act>() {
    if (columns > V::width)
      winograd_output_act<act, 2>(sums, tiles, pixels, to, column, end);
    else
      winograd_output_act<act, 1>(sums, tiles, pixels, to, column, end);
  });
}

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
