// What the kernels share.
#pragma once

#include "tables.hpp"

namespace pliant {

// The numbers of one block: `count` of them from `begin` in a tensor.
struct Piece {
    int tensor;
    int64_t begin;
    int count;
};

__device__ __forceinline__ Piece piece_of(const Blocks& blocks, int block) {
    int tensor = 0;
    for (int after = blocks.tensors; after - tensor > 1;) {
        const int middle = (tensor + after) / 2;
        (blocks.first_block[middle] <= block ? tensor : after) = middle;
    }
    const int64_t begin = static_cast<int64_t>(block - blocks.first_block[tensor]) * kPiece;
    const int64_t left = blocks.numbers[tensor] - begin;
    return {tensor, begin, static_cast<int>(left < kPiece ? left : kPiece)};
}

// True if four numbers can be read and written at a time.
__device__ __forceinline__ bool is_aligned(const float* numbers) {
    return reinterpret_cast<uintptr_t>(numbers) % sizeof(float4) == 0;
}

}  // namespace pliant
