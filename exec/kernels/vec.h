// V, the vector of the target that is compiled: all kernels are templates over its static functions, compiled once per target
// with the target's own flags (targets/). Kernels have internal linkage and use no templates of the standard library that make
// code, so that no code for one instruction set can be linked into another.
//
//   T, I, width                 vector of floats, of 32-bit integers; floats in T
//   f32_tile_rows, q8_tile_rows, segment_tile_rows   rows of a product whose sums fit the registers
//   load, store, set, zero      unaligned; load_some(p, n): the first n floats, the others 0; store_some(p, x, n): the first n
//   add, sub, mul, div, min, max
//   total(x)                    the sum of x's floats
//   fma(a, b, c), fnma(a, b, c) a * b + c, c - a * b
//   max_keep_nan, min_keep_nan  x where x is NaN; keep_nan(y, x): y, and x where x is NaN
//   limit(x, max_abs)           x clamped to [-max_abs, max_abs]
//   approximate_quotient(a, b)  a / b to 2^-14; approximate_quotient_plus(a, b, c): c added, rounded once (sets with packed4)
//   round, to_int, to_float     to the nearest, ties to even
//   spread(x, lanes)            lane l is lane lanes[l] of x (optional: width 4 has no use for it)
//   scale_by_power(p, shifted)  p * 2^n, n the low bits of shifted = n + 1.5 * 2^23
//   times_power(x, n)           x * 2^n of any n (optional)
//   linear_power(i)             the float with the bits of 1.0f plus i; linear_power_minus(i): minus i
//   iload, istore, izero, four_bytes   integers; the 4 bytes at p in every lane
//
// Products of q8 values (a layout, as PackedQ8Weights says):
//   Q8, group                   element of a packed row (int16_t with group 2, uint8_t with group 4)
//   blocks, dot(sum, a, b)      blocks 1: adds the products of 4 bytes of a row and of each column
//   products, add_products, add_sums   blocks 2: products are summed in 16 bits first
//   vectors, store_q8(p, x, qmin)      packs so many vectors of floats; NaN becomes qmin, bytes count from qmin
//   Safe16Bit                   a second layout, for 16-bit-safe weights (optional)
//   store_bytes(p, ..., qmin)   bytes that count from qmin
//   load_bytes(p)               `width` unsigned bytes as floats
//
// packed4: the target sums products of four bytes in 32 bits (VNNI). Then also, for DepthwisePacked4:
//   packed4_pixels              output pixels whose sums fit the registers
//   ByteLane(qmin, byte), merge_q8(p, x, lane)   byte `byte` of the integers at p becomes q of x, counted from qmin
//   merge_bytes(p, x, lane)     ... becomes the lowest byte of x
//   shift_bytes(low, below, n)  low moved up by n bytes, filled from below
//   repeat_bytes(p)             `width` bytes again and again; spread_bytes(x, lanes): four bytes each, as spread
//   bits                        the bits of floats
//   store_f16, load_f16, store_q8_bytes
//
// Targets with products of bf16: dot_bf16, store_bf16 (one or two vectors), load_bf16.
#pragma once

// The namespace of the target's code. A source of targets/ names its own; elsewhere this makes headers complete on their own.
#ifndef CYTODET_TARGET
#define CYTODET_TARGET any_target
#endif

#if defined(__AVX512F__) || defined(CYTODET_EMULATE_AVX512)
#include "exec/kernels/vec_avx512.h"  // IWYU pragma: export
#elif defined(__AVX2__) || defined(CYTODET_EMULATE_AVX2)
#include "exec/kernels/vec_avx2.h"  // IWYU pragma: export
#else
#include "exec/kernels/vec_sse2.h"  // IWYU pragma: export
#endif

namespace cytodet::exec::CYTODET_TARGET {
namespace {

using Vec = V::T;
constexpr int kPanel = 2 * V::width;  // columns of a panel of weights, channels of a depthwise block

}  // namespace
}  // namespace cytodet::exec::CYTODET_TARGET
