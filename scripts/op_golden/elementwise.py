import numpy as np

from op_golden.recorder import bfloat16, case

FLOATS = (np.float32, np.float64, np.float16, bfloat16)
INTS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
nan, inf = np.nan, np.inf
SPECIAL = np.array([nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 20.0, -20.0], np.float32)


@case("Rint", "Floor", "Ceil", "Exp", "Expm1", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Erf", "Erfc", "Sigmoid", "Softplus",
      "Softsign", "Elu", "Selu", "Sqrt", "Rsqrt", "Log", "Log1p", "Reciprocal", "Inv", "Lgamma", "Digamma", "Acosh", "Asin", "Acos", "Atanh", "Erfinv",
      "Ndtri", "BesselI0", "BesselI0e", "BesselI1", "BesselI1e", "Abs", "Neg", "Sign", "Square", "Round", "Relu", "Relu6", "LeakyRelu", "IsNan", "IsInf",
      "IsFinite", "OnesLike", "ZerosLike", "Softmax", "LogSoftmax", "L2Loss", "Expint", "BesselJ0",
      "BesselJ1", "BesselK0", "BesselK1", "BesselY0", "BesselY1", "BesselK0e", "BesselK1e")
def unary(g):
    lo, hi = {"Acosh": (1, 6), "Asin": (-1, 1), "Acos": (-1, 1), "Atanh": (-.99, .99), "Erfinv": (-1, 1), "Ndtri": (.01, .99)}.get(g.name, (-4, 4))
    key = {"Softplus": "features", "Softsign": "features", "Elu": "features", "Selu": "features", "Relu": "features", "Relu6": "features",
           "LeakyRelu": "features", "Softmax": "logits", "LogSoftmax": "logits", "L2Loss": "t"}.get(g.name, "x")
    for dtype in FLOATS:
        g(**{key: g.rand(3, 5, dtype=dtype, lo=lo, hi=hi)})
    if not g.name.startswith(("Bessel", "Fresnel", "Expint")) and g.name not in ("L2Loss", "Softmax", "LogSoftmax", "Lgamma", "Digamma"):
        g(**{key: SPECIAL})
    g(**{key: g.rand(2, 0, 3)})
    g(**{key: g.rand(2, 3, 2, dtype=np.float64, lo=lo, hi=hi)})
    if g.name == "LogSoftmax":
        g(logits=np.array([[17.0625, -1.735, 8.586], [14.61, -13.97, 9.75], [-4.79, -17.17, -7.2]], np.float16))


@case("Abs", "Neg", "Sign", "Square", "Round", "Relu", "Relu6", "OnesLike", "ZerosLike", "Invert", "PopulationCount")
def unary_integers(g):
    for dtype in INTS:
        g(**{"features" if g.name.startswith("Relu") else "x": g.rand(7, dtype=dtype, lo=-90, hi=90)})


@case("LeakyRelu")
def leaky(g):
    g(features=g.rand(9), alpha=0.0)
    g(features=g.rand(9), alpha=0.7)


@case("LogicalNot")
def logical_not(g):
    g(x=g.rand(2, 3, dtype=bool))


@case("LogicalAnd", "LogicalOr")
def logical(g):
    for a, b in (((2, 3), (2, 3)), ((2, 3), ()), ((3, 1, 5), (1, 2, 1)), ((0, 3), (1, 3))):
        g(x=g.rand(*a, dtype=bool), y=g.rand(*b, dtype=bool))


SHAPES = (((2, 3), (2, 3)), ((2, 3), ()), ((), (4,)), ((3, 1, 5), (1, 2, 1)), ((2, 1, 3), (4, 1)), ((0, 3), (1, 3)))


@case("Add", "AddV2", "Sub", "Mul", "Div", "RealDiv", "FloorDiv", "FloorMod", "TruncateMod", "Mod", "Maximum", "Minimum", "Pow", "SquaredDifference",
      "DivNoNan", "MulNoNan", "Xdivy", "Xlogy", "Xlog1py", "Atan2", "NextAfter", "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual",
      "ApproximateEqual", "TruncateDiv")
def binary(g):
    keys = ("x1", "x2") if g.name == "NextAfter" else ("y", "x") if g.name == "Atan2" else ("x", "y")
    for i, (a, b) in enumerate(SHAPES):
        if g.name == "ApproximateEqual" and a != b:
            continue
        dtype = FLOATS[i % 2]
        g(**dict(zip(keys, (g.rand(*a, dtype=dtype), g.rand(*b, dtype=dtype)))))
    for dtype in (np.float16, bfloat16):
        g(**dict(zip(keys, (g.rand(5, dtype=dtype), g.rand(5, dtype=dtype)))))
    if g.name not in ("ApproximateEqual", "NextAfter"):
        x, y = np.meshgrid(np.array([nan, inf, -inf, 0, 1, -1.5, 2.5], np.float32), np.array([nan, inf, -inf, 0, 1, -2, 2.5], np.float32))
        g(**dict(zip(keys, (x, y))))
    g(**dict(zip(keys, (np.array([1.0, 2.0], np.float32), np.array([1.000001, 2.1], np.float32)))))


@case("Add", "AddV2", "Sub", "Mul", "Div", "FloorDiv", "FloorMod", "TruncateMod", "TruncateDiv", "Mod", "Maximum", "Minimum", "Pow", "SquaredDifference",
      "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def binary_integers(g):
    for dtype in INTS:
        x, y = g.rand(4, 6, dtype=dtype, lo=-100, hi=100), g.rand(6, dtype=dtype, lo=-7, hi=8)
        if "Div" in g.name or "Mod" in g.name:
            y = np.where(y == 0, np.array(3, dtype), y).astype(dtype)
        if g.name == "Pow":
            x, y = g.rand(8, dtype=dtype, lo=-4, hi=5), g.rand(8, dtype=dtype, lo=0, hi=4)
        g(x=x, y=y)
    if g.name in ("Equal", "NotEqual"):
        g(x=g.rand(2, 3, dtype=bool), y=g.rand(3, dtype=bool))


@case("LeftShift", "RightShift")
def shifts(g):
    for dtype in INTS:
        g(x=g.rand(9, dtype=dtype, lo=-100, hi=100), y=g.rand(9, dtype=dtype, lo=0, hi=8))


@case("AddN", "AccumulateNV2")
def add_n(g):
    for dtype in (np.float32, np.float64, np.int32, np.float16):
        inputs = [g.rand(2, 3, dtype=dtype) for _ in range(3)]
        g(inputs=inputs, **({"shape": [2, 3]} if g.name == "AccumulateNV2" else {}))


@case("ClipByValue")
def clip(g):
    g(t=g.rand(3, 4), clip_value_min=np.float32(-1), clip_value_max=np.float32(1.5))
    g(t=g.rand(3, 4), clip_value_min=g.rand(3, 4, lo=-2, hi=0), clip_value_max=g.rand(3, 4, lo=0, hi=2))
    g(t=g.rand(5, dtype=np.int32, lo=-9, hi=9), clip_value_min=np.int32(-3), clip_value_max=np.int32(4))
    g(t=SPECIAL, clip_value_min=np.float32(-1), clip_value_max=np.float32(1.5))


@case("Igamma", "Igammac", "Zeta", "Polygamma")
def special(g):
    for dtype in (np.float32, np.float64):
        a = {"Zeta": g.rand(8, dtype=dtype, lo=1.2, hi=6), "Polygamma": g.rand(8, dtype=np.int32, lo=0, hi=5).astype(dtype)}.get(g.name, g.rand(8, dtype=dtype, lo=.1, hi=9))
        g(**({"x": a, "q": g.rand(8, dtype=dtype, lo=.2, hi=8)} if g.name == "Zeta" else {"a": a, "x": g.rand(8, dtype=dtype, lo=.1, hi=12)}))
        g(**({"x": a, "q": dtype(2.5)} if g.name == "Zeta" else {"a": a, "x": dtype(2.5)}))
    if g.name != "Polygamma":
        x = np.array([0, 1, 0, -1, nan, 2, inf], np.float32)
        y = np.array([0, 0, 1, 2, 1, -1, 2], np.float32)
        g(**({"x": x, "q": y} if g.name == "Zeta" else {"a": x, "x": y}))


@case("Betainc")
def betainc(g):
    for dtype in (np.float32, np.float64):
        g(a=g.rand(12, dtype=dtype, lo=.2, hi=8), b=g.rand(12, dtype=dtype, lo=.2, hi=8), x=g.rand(12, dtype=dtype, lo=0, hi=1))
    g(a=np.float32(2), b=np.float32(3), x=g.rand(2, 3, lo=0, hi=1))
    g(a=np.float32(2), b=np.float32(3), x=np.array([0, 1, nan], np.float32))
