// Bodies of ExpressionKernels: loops over scalar functions without branches, which the compiler turns into vectors of the
// instruction set that the including source is compiled for. Everything has internal linkage and uses no standard library
// templates, so that no code for one instruction set can be linked into another.
#include <cstdint>

#include "exec/kernels/expression/expression.h"

namespace cytodet::exec {
namespace {

#ifdef __FMA__
inline float fma_of(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
inline float fma_of(float a, float b, float c) { return a * b + c; }
#endif
inline int32_t bits_of(float x) { return __builtin_bit_cast(int32_t, x); }
inline float float_of(int32_t bits) { return __builtin_bit_cast(float, bits); }

constexpr float kInfinity = __builtin_inff();
constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;  // their sum is ln 2; n * kLn2High is exact for |n| < 2^15

// The polynomial k[0] + x * (k[1] + x * (...)).
template <int N>
inline float polynomial(const float (&k)[N], float x) {
  float y = k[N - 1];
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; --i) y = fma_of(y, x, k[i]);
  return y;
}

// e^x = 2^n * e^r with |r| <= ln 2 / 2. 2^n is multiplied in two halves, so that results may be subnormal or infinite.
inline float exp_of(float x) {
  constexpr float k[] = {0.499999935f, 0.166665207f, 0.0416683874f, 0.00836871004f, 0.0013814611f};
  constexpr float magic = 12582912.0f;  // adding it rounds to an integer, which is then in the low bits
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = fma_of(x, 1.44269504f, magic), n = shifted - magic;
  const float r = fma_of(n, -kLn2Low, fma_of(n, -kLn2High, x));
  const float y = fma_of(r * r, polynomial(k, r), r) + 1.0f;
  const int32_t power = bits_of(shifted) - bits_of(magic), half = power >> 1;
  return y * float_of((half + 127) << 23) * float_of((power - half + 127) << 23);
}

// e^x - 1: a polynomial where the difference would lose digits.
inline float expm1_of(float x) {
  constexpr float k[] = {0.500000042f, 0.16666668f, 0.0416653155f, 0.00833307301f, 0.00139974568f, 0.000199928948f};
  const float t = x < 0 ? -x : x;
  return t < 0.5f ? fma_of(x * x, polynomial(k, x), x) : exp_of(x) - 1.0f;
}

// ln x = e * ln 2 + ln(1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
inline float log_of(float x) {
  constexpr float k[] = {0.333333104f,  -0.249999866f, 0.200022266f,  -0.166692508f, 0.142186581f,
                         -0.123843485f, 0.118729763f,  -0.117898076f, 0.0691536798f};
  const bool subnormal = x < 1.17549435e-38f;
  const float whole = subnormal ? x * 8388608.0f : x;
  const int32_t exponent = (bits_of(whole) - bits_of(0.707106781f)) >> 23;
  const float f = float_of(bits_of(whole) - (exponent << 23)) - 1.0f;
  const float e = static_cast<float>(exponent) - (subnormal ? 23.0f : 0.0f), square = f * f;
  float y = fma_of(square * f, polynomial(k, f), e * kLn2Low);
  y = fma_of(square, -0.5f, y);
  y = fma_of(e, kLn2High, f + y);
  y = x < kInfinity ? y : x;
  return x > 0 ? y : x == 0 ? -kInfinity : __builtin_nanf("");
}

// ln(1 + x): what rounding 1 + x loses is added again.
inline float log1p_of(float x) {
  const float u = 1.0f + x, y = log_of(u) + (x - (u - 1.0f)) / u;
  return x == kInfinity ? x : u == 0 ? -kInfinity : y;
}

inline float tanh_of(float x) {
  constexpr float k[] = {-0.333332839f, 0.133314912f, -0.0537434953f, 0.020650579f, -0.00571703655f};
  const float t = x < 0 ? -x : x, s = x * x;
  const float near_zero = fma_of(x * s, polynomial(k, s), x);
  const float far = 1.0f - 2.0f / (exp_of(t + t) + 1.0f);
  return t < 0.625f ? near_zero : x < 0 ? -far : far;
}

// erf x = x + x * P(x^2) below 1; above, 1 - e^(-x * Q(x)).
inline float erf_of(float x) {
  constexpr float p[] = {0.128379166f,   -0.376126271f,    0.112836002f,   -0.0268544446f,
                         0.00518953534f, -0.000802084128f, 7.88911953e-05f};
  constexpr float q[] = {1.12857113f,    0.635536436f,     0.105433477f,     -0.0228525304f,
                         0.00303945042f, -8.88394456e-05f, -3.79316845e-05f, 4.31436251e-06f};
  const float t = x < 0 ? -x : x, bounded = t > 4.1f ? 4.1f : t;
  const float near_zero = fma_of(x, polynomial(p, x * x), x);
  const float far = 1.0f - exp_of(-bounded * polynomial(q, bounded));
  return t < 1.0f ? near_zero : x < 0 ? -far : far;
}

inline float sigmoid_of(float x) {
  const float e = exp_of(x < 0 ? x : -x);
  return (x >= 0 ? 1.0f : e) / (1.0f + e);
}
inline float softplus_of(float x) { return (x > 0 ? x : 0.0f) + log1p_of(exp_of(x > 0 ? -x : x)); }
inline float elu_of(float x) { return x < 0 ? expm1_of(x) : x; }
inline float selu_of(float x) { return x < 0 ? 1.7580993408473768f * expm1_of(x) : 1.0507009873554805f * x; }

// The nearest whole number, half-way ones to the even: beyond 2^23 all numbers are whole.
inline float round_of(float x) {
  const float t = __builtin_fabsf(x), whole = (t + 8388608.0f) - 8388608.0f;
  return __builtin_copysignf(t < 8388608.0f ? whole : t, x);
}
inline float floor_of(float x) {
  const float r = round_of(x);
  return r > x ? r - 1.0f : r;
}
inline float ceil_of(float x) { return -floor_of(-x); }

// a ^ b; a negative a has a power only for whole b, odd ones keep its sign.
inline float power_of(float a, float b) {
  const float t = __builtin_fabsf(a), y = exp_of(b * log_of(t)), not_a_number = __builtin_nanf("");
  float of_fraction = t == 0 ? 1.0f : not_a_number;
  of_fraction = t == kInfinity ? 1.0f : of_fraction;
  const float of_whole = 2 * round_of(b * 0.5f) == b ? 1.0f : -1.0f;
  const float factor = round_of(b) == b ? of_whole : of_fraction;
  float of_sign = bits_of(a) < 0 ? y * factor : y;
  of_sign = a == 1 ? 1.0f : of_sign;
  return b == 0 ? 1.0f : of_sign;
}

inline float max_of(float a, float b) { return a != a ? a : ((a < b) | (b != b)) ? b : a; }
inline float min_of(float a, float b) { return a != a ? a : ((b < a) | (b != b)) ? b : a; }
inline float relu_of(float x) { return ((x > 0) | (x != x)) ? x : 0.0f; }
inline float sign_of(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x; }

// ivdep: `out` is an operand or none of them.
#define CYTODET_UNARY(NAME, EXPR)                            \
  void unary_##NAME(const float* a, float* out, int64_t n) { \
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; ++i) {   \
      const float x = a[i];                                  \
      out[i] = EXPR;                                         \
    }                                                        \
  }
CYTODET_UNARY(neg, -x)
CYTODET_UNARY(abs, __builtin_fabsf(x))
CYTODET_UNARY(sign, sign_of(x))
CYTODET_UNARY(square, x* x)
CYTODET_UNARY(sqrt, __builtin_sqrtf(x))
CYTODET_UNARY(rsqrt, 1.0f / __builtin_sqrtf(x))
CYTODET_UNARY(reciprocal, 1.0f / x)
CYTODET_UNARY(exp, exp_of(x))
CYTODET_UNARY(expm1, expm1_of(x))
CYTODET_UNARY(log, log_of(x))
CYTODET_UNARY(log1p, log1p_of(x))
CYTODET_UNARY(tanh, tanh_of(x))
CYTODET_UNARY(sigmoid, sigmoid_of(x))
CYTODET_UNARY(relu, relu_of(x))
CYTODET_UNARY(relu6, x > 6.0f ? 6.0f : relu_of(x))
CYTODET_UNARY(elu, elu_of(x))
CYTODET_UNARY(selu, selu_of(x))
CYTODET_UNARY(softplus, softplus_of(x))
CYTODET_UNARY(softsign, x / (1.0f + __builtin_fabsf(x)))
CYTODET_UNARY(erf, erf_of(x))
CYTODET_UNARY(floor, floor_of(x))
CYTODET_UNARY(ceil, ceil_of(x))
CYTODET_UNARY(round, round_of(x))
CYTODET_UNARY(logical_not, x != 0 ? 0.0f : 1.0f)
#undef CYTODET_UNARY

#define CYTODET_BINARY_LOOP(NAME, LEFT, RIGHT, EXPR)                 \
  void NAME(const float* a, const float* b, float* out, int64_t n) { \
    [[maybe_unused]] const float first = *a, second = *b;            \
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; ++i) {           \
      const float x = (LEFT), y = (RIGHT);                           \
      out[i] = EXPR;                                                 \
    }                                                                \
  }
#define CYTODET_BINARY(NAME, EXPR)                             \
  CYTODET_BINARY_LOOP(binary_##NAME##_none, a[i], b[i], EXPR)  \
  CYTODET_BINARY_LOOP(binary_##NAME##_left, first, b[i], EXPR) \
  CYTODET_BINARY_LOOP(binary_##NAME##_right, a[i], second, EXPR)
CYTODET_BINARY(add, x + y)
CYTODET_BINARY(sub, x - y)
CYTODET_BINARY(mul, x* y)
CYTODET_BINARY(div, x / y)
CYTODET_BINARY(div_no_nan, y == 0 ? 0.0f : x / y)
CYTODET_BINARY(max, max_of(x, y))
CYTODET_BINARY(min, min_of(x, y))
CYTODET_BINARY(squared_difference, (x - y) * (x - y))
CYTODET_BINARY(leaky_relu, x > 0 ? x : x * y)
CYTODET_BINARY(power, power_of(x, y))
CYTODET_BINARY(equal, x == y ? 1.0f : 0.0f)
CYTODET_BINARY(not_equal, x != y ? 1.0f : 0.0f)
CYTODET_BINARY(less, x < y ? 1.0f : 0.0f)
CYTODET_BINARY(less_equal, x <= y ? 1.0f : 0.0f)
#undef CYTODET_BINARY
#undef CYTODET_BINARY_LOOP

void select(const float* a, const float* b, const float* c, float* out, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float x = b[i], y = c[i];
    out[i] = a[i] != 0 ? x : y;
  }
}

void mul_add(const float* a, const float* b, const float* c, float* out, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = fma_of(a[i], b[i], c[i]);
}
void mul_add_relu(const float* a, const float* b, const float* c, float* out, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = relu_of(fma_of(a[i], b[i], c[i]));
}

// Each lane has a result of its own, so that the order does not depend on the instruction set.
constexpr int kLanes = 32;
template <float (*combine)(float, float)>
inline float reduce(const float* a, int64_t n, float start) {
  float lanes[kLanes];
  for (int j = 0; j < kLanes; ++j) lanes[j] = start;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] = combine(lanes[j], a[i + j]);
  for (int j = 0; i < n; ++i, ++j) lanes[j] = combine(lanes[j], a[i]);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) lanes[j] = combine(lanes[j], lanes[j + half]);
  return lanes[0];
}
inline float sum_of(float a, float b) { return a + b; }
float sum(const float* a, int64_t n) { return reduce<sum_of>(a, n, 0); }
float max_of_all(const float* a, int64_t n, float so_far) { return reduce<max_of>(a, n, so_far); }
float min_of_all(const float* a, int64_t n, float so_far) { return reduce<min_of>(a, n, so_far); }

void softmax(const float* a, float* out, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, a += n, out += n) {
    const float largest = max_of_all(a, n, -kInfinity);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = exp_of(a[i] - largest);
    const float share = 1.0f / sum(out, n);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] *= share;
  }
}

// The sum of (a - mean)^2, in lanes as reduce().
inline float squares(const float* a, int64_t n, float mean) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] = fma_of(a[i + j] - mean, a[i + j] - mean, lanes[j]);
  for (int j = 0; i < n; ++i, ++j) lanes[j] = fma_of(a[i] - mean, a[i] - mean, lanes[j]);
  return sum(lanes, kLanes);
}

void normalize(const float* a, int64_t rows, int64_t n, float epsilon, bool centred, const float* scale, const float* shift,
               float* out) {
  const auto count = static_cast<float>(n);  // divided by, so that the mean of equal values is their value
  for (int64_t row = 0; row < rows; ++row, a += n, out += n) {
    const float mean = centred ? sum(a, n) / count : 0.0f;
    const float factor = 1.0f / __builtin_sqrtf(squares(a, n, mean) / count + epsilon);
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) out[i] = fma_of((a[i] - mean) * factor, scale[i], shift[i]);
  }
}

#define CYTODET_THREE(NAME) \
  { binary_##NAME##_none, binary_##NAME##_left, binary_##NAME##_right }
constexpr ExpressionKernels kThese = {
    {unary_neg,   unary_abs,      unary_sign,     unary_square, unary_sqrt,    unary_rsqrt, unary_reciprocal, unary_exp,
     unary_expm1, unary_log,      unary_log1p,    unary_tanh,   unary_sigmoid, unary_relu,  unary_relu6,      unary_elu,
     unary_selu,  unary_softplus, unary_softsign, unary_erf,    unary_floor,   unary_ceil,  unary_round,      unary_logical_not},
    {CYTODET_THREE(add), CYTODET_THREE(sub), CYTODET_THREE(mul), CYTODET_THREE(div), CYTODET_THREE(div_no_nan),
     CYTODET_THREE(max), CYTODET_THREE(min), CYTODET_THREE(squared_difference), CYTODET_THREE(leaky_relu), CYTODET_THREE(power),
     CYTODET_THREE(equal), CYTODET_THREE(not_equal), CYTODET_THREE(less), CYTODET_THREE(less_equal)},
    {select, mul_add, mul_add_relu},
    sum,
    max_of_all,
    min_of_all,
    softmax,
    normalize};
#undef CYTODET_THREE

}  // namespace
}  // namespace cytodet::exec
