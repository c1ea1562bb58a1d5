// The root of the sum of all squares of many tensors, in two launches without atomics: the same bits every time.
// `scripts/kernels` makes magnitude.ptx of it.

#include "device.cuh"

#include <cmath>

namespace {

using namespace pliant;

// The sum of the block's numbers, in its first thread.
__device__ __forceinline__ double sum_of_block(double own) {
    __shared__ double of_warps[kThreads / 32];
    for (int distance = 16; distance > 0; distance /= 2) {
        own += __shfl_down_sync(0xffffffffu, own, distance);
    }
    if (threadIdx.x % 32 == 0) {
        of_warps[threadIdx.x / 32] = own;
    }
    __syncthreads();
    double sum = 0.0;
    if (threadIdx.x == 0) {
        for (double of_warp : of_warps) {
            sum += of_warp;
        }
    }
    return sum;
}

// Squares are f32: those that have no room there are infinite, as on the CPU.
__device__ __forceinline__ float squares(float4 four) {
    return (four.x * four.x + four.y * four.y) + (four.z * four.z + four.w * four.w);
}

}  // namespace

// sums[block]: of the squares of a block's numbers.
extern "C" __global__ void __launch_bounds__(kThreads)
    pliant_sums_of_squares(const __grid_constant__ Tensors table, double* sums) {
    const Piece piece = piece_of(table.blocks, blockIdx.x);
    const float* numbers = table.numbers[piece.tensor] + piece.begin;
    double sum = 0.0;
    if (piece.count == kPiece && is_aligned(numbers)) {
        const float4* fours = reinterpret_cast<const float4*>(numbers) + threadIdx.x;
        const float4 one = fours[0], other = fours[kThreads];
        static_assert(kPiece == 2 * 4 * kThreads, "two reads of four for each thread");
        sum = static_cast<double>(squares(one)) + squares(other);
    } else {
#pragma unroll
        for (int round = 0; round < kPiece / kThreads; ++round) {
            const int place = round * kThreads + threadIdx.x;
            const float number = place < piece.count ? numbers[place] : 0.0f;
            sum += number * number;
        }
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = sum;
    }
}

// By one block.
extern "C" __global__ void __launch_bounds__(kThreads)
    pliant_root_of_sum(const double* sums, int64_t count, double* result) {
    double sum = 0.0;
    for (int64_t index = threadIdx.x; index < count; index += kThreads) {
        sum += sums[index];
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) {
        *result = sqrt(sum);
    }
}
