// Sums of products in registers, written as inline assembly: with intrinsics GCC 12 keeps two copies of every sum and runs out of
// registers. With CYTODET_EMULATED they are intrinsics, which can be emulated.
#pragma once

#ifdef CYTODET_EMULATED
#define CYTODET_ADD_PRODUCTS(instruction, intrinsic, sum, a, b) sum = intrinsic(sum, a, b)
#define CYTODET_ADD(intrinsic, sum, x) sum = intrinsic(sum, x)
#else
#define CYTODET_ADD_PRODUCTS(instruction, intrinsic, sum, a, b) asm(instruction " %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b))
#define CYTODET_ADD(intrinsic, sum, x) asm("vpaddd %1, %0, %0" : "+v"(sum) : "v"(x))
#endif
