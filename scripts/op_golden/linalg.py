import numpy as np
import tensorflow as tf

from op_golden.recorder import case

i32, i64, f32 = np.int32, np.int64, np.float32


def positive(g, *shape, dtype=f32):
    a = g.rand(*shape, dtype=np.float64)
    return (a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1]) * .5).astype(dtype)


@case("Cholesky", "MatrixDeterminant", "LogMatrixDeterminant")
def spd(g):
    for dtype in (f32, np.float64):
        g(input=positive(g, 3, 3, dtype=dtype))
        g(input=positive(g, 2, 2, 4, 4, dtype=dtype))
    if g.name != "Cholesky":
        g(input=g.rand(3, 5, 5))
        g(input=np.array([[0, 1], [1, 0]], f32))
    g(input=g.rand(0, 3, 3))


@case("MatrixInverse")
def inverse(g):
    for adjoint in (False, True):
        g(input=g.rand(4, 4), adjoint=adjoint)
        g(input=g.rand(2, 3, 3, dtype=np.float64), adjoint=adjoint)


@case("MatrixSolve")
def solve(g):
    for adjoint in (False, True):
        g(matrix=g.rand(4, 4), rhs=g.rand(4, 2), adjoint=adjoint)
        g(matrix=g.rand(2, 3, 3, dtype=np.float64), rhs=g.rand(2, 3, 1, dtype=np.float64), adjoint=adjoint)


@case("MatrixTriangularSolve")
def triangular(g):
    for lower in (False, True):
        for adjoint in (False, True):
            g(matrix=g.rand(3, 3) + 4 * np.eye(3, dtype=f32), rhs=g.rand(3, 2), lower=lower, adjoint=adjoint)
    g(matrix=g.rand(2, 3, 3) + 4 * np.eye(3, dtype=f32), rhs=g.rand(3, 2))


@case("Lu")
def lu(g):
    g(input=g.rand(4, 4))
    g(input=g.rand(2, 3, 3, dtype=np.float64), output_idx_type=tf.int64)


@case("Qr")
def qr(g):
    for full in (False, True):
        for shape in ((4, 4), (5, 3), (3, 5), (2, 4, 2)):
            g(input=g.rand(*shape), full_matrices=full)


@case("SelfAdjointEigV2")
def eig(g):
    for x in (positive(g, 4, 4), positive(g, 2, 3, 3, dtype=np.float64)):
        g.fetch(g.build("SelfAdjointEigV2", input=x, compute_v=False)[0])  # the second output is whatever the memory holds


@case("Cross")
def cross(g):
    for dtype in (f32, np.float64, i32, np.float16):
        g(a=g.rand(2, 4, 3, dtype=dtype), b=g.rand(2, 4, 3, dtype=dtype))


@case("Einsum")
def einsum(g):
    for equation, *shapes in (("ij,jk->ik", (2, 3), (3, 4)), ("ij->ji", (2, 3)), ("ii->i", (3, 3)), ("ii->", (3, 3)), ("i,i->", (4,), (4,)), ("i,j->ij", (2,), (3,)),
                              ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)), ("...ij,...jk->...ik", (5, 2, 3), (3, 4)), ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
                              ("ijk->k", (2, 3, 4)), ("abc,cd->abd", (2, 3, 4), (4, 2)), ("abc,abd->dc", (2, 3, 4), (2, 3, 5)), ("i...->...", (3, 2, 2)), ("ij,ij->ij", (2, 2), (2, 2))):
        g(inputs=[g.rand(*s) for s in shapes], equation=equation)
    g(inputs=[g.rand(2, 3, dtype=i32), g.rand(3, 2, dtype=i32)], equation="ab,bc->ca")
    g(inputs=[g.rand(2, 3, dtype=np.float64), g.rand(3, dtype=np.float64)], equation="ab,b->a")


@case("MatrixDiag", "Diag")
def diag(g):
    for dtype in (f32, i32):
        g(diagonal=g.rand(3, dtype=dtype))
        g(diagonal=g.rand(2, 3, dtype=dtype))


@case("MatrixDiagPart", "DiagPart")
def diag_part(g):
    if g.name == "DiagPart":
        g(input=g.rand(3, 3))
        g(input=g.rand(2, 3, 2, 3, dtype=i32))
    else:
        g(input=g.rand(3, 4))
        g(input=g.rand(2, 4, 3, dtype=i32))


@case("MatrixSetDiag")
def set_diag(g):
    g(input=g.rand(3, 4), diagonal=g.rand(3))
    g(input=g.rand(2, 4, 3, dtype=i32), diagonal=g.rand(2, 3, dtype=i32))


BANDS = ((0, 0), (1, 1), (-2, -2), (-1, 1), (0, 2), (-2, 0), (-2, -1), (1, 2))


def alignments(g):
    return [{"align": a} for a in ("RIGHT_LEFT", "LEFT_RIGHT", "LEFT_LEFT", "RIGHT_RIGHT")] if g.name.endswith("V3") else [{}]


def band_shape(rows, columns, lo, hi):
    length = min(rows + min(hi, 0), columns - max(lo, 0))
    return (length,) if lo == hi else (hi - lo + 1, length)


@case("MatrixDiagV2", "MatrixDiagV3")
def diag_band(g):
    for lo, hi in BANDS:
        for align in alignments(g):
            for rows, columns in ((4, 4), (3, 5), (5, 3)):
                g(diagonal=g.rand(2, *band_shape(rows, columns, lo, hi)), k=[lo, hi] if lo != hi else lo, num_rows=rows, num_cols=columns, padding_value=9.5, **align)
    g(diagonal=g.rand(3), k=1, num_rows=-1, num_cols=-1, padding_value=0.0)
    g(diagonal=g.rand(3), k=-1, num_rows=-1, num_cols=3, padding_value=0.0)


@case("MatrixDiagPartV2", "MatrixDiagPartV3")
def diag_part_band(g):
    for lo, hi in BANDS:
        for align in alignments(g):
            for rows, columns in ((4, 4), (3, 5)):
                g(input=g.rand(2, rows, columns), k=[lo, hi] if lo != hi else lo, padding_value=9.5, **align)


@case("MatrixSetDiagV2", "MatrixSetDiagV3")
def set_diag_band(g):
    for lo, hi in BANDS:
        for align in alignments(g):
            for rows, columns in ((4, 4), (3, 5)):
                g(input=g.rand(2, rows, columns), diagonal=g.rand(2, *band_shape(rows, columns, lo, hi)), k=[lo, hi] if lo != hi else lo, **align)


@case("MatrixBandPart")
def band_part(g):
    for lower, upper in ((0, 0), (1, 0), (-1, 0), (0, -1), (2, 1), (-1, -1)):
        g(input=g.rand(2, 4, 5), num_lower=i64(lower), num_upper=i64(upper))
    g(input=g.rand(3, 3, dtype=i32), num_lower=i32(1), num_upper=i32(1))
