// Optimiser steps of many variables in one launch. `scripts/kernels` makes optimizers.ptx of it.

#include "device.cuh"

#include "../shim/rules.hpp"

namespace {

using namespace pliant;

// All streams of a block's piece: the variable and its moments.
template <int moments>
struct Streams {
    float* of[1 + moments];
    const float* gradient;
    int count;

    __device__ Streams(const Variables& table, const Piece& piece) : count(piece.count) {
        gradient = table.gradient[piece.tensor] + piece.begin;
        of[0] = table.variable[piece.tensor] + piece.begin;
        for (int moment = 0; moment < moments; ++moment) {
            of[1 + moment] = table.moments[moment][piece.tensor] + piece.begin;
        }
    }

    // True if four numbers can be read and written at a time.
    __device__ bool are_fours() const {
        bool aligned = is_aligned(gradient);
        for (const float* numbers : of) {
            aligned = aligned && is_aligned(numbers);
        }
        return aligned && count % 4 == 0;
    }
};

__device__ __forceinline__ float& lane_of(float& number, int) { return number; }
__device__ __forceinline__ float& lane_of(float4& four, int lane) { return (&four.x)[lane]; }

// One float or float4 of each stream at a time. All that a thread has to read is under way before the rule is made, which
// may take as long as the reading, and before anything is written.
template <typename Vector, int moments, typename MakeRule>
__device__ __forceinline__ void step_by(const Streams<moments>& streams, MakeRule make_rule) {
    constexpr int lanes = sizeof(Vector) / sizeof(float);
    constexpr int rounds = kPiece / (lanes * kThreads);
    const int count = streams.count / lanes;
    Vector gradient[rounds], own[rounds][1 + moments];
#pragma unroll
    for (int round = 0; round < rounds; ++round) {
        const int place = round * kThreads + threadIdx.x;
        if (place < count) {
            gradient[round] = reinterpret_cast<const Vector*>(streams.gradient)[place];
#pragma unroll
            for (int stream = 0; stream <= moments; ++stream) {
                own[round][stream] = reinterpret_cast<const Vector*>(streams.of[stream])[place];
            }
        }
    }
    const auto rule = make_rule();
#pragma unroll
    for (int round = 0; round < rounds; ++round) {
        const int place = round * kThreads + threadIdx.x;
        if (place < count) {
#pragma unroll
            for (int lane = 0; lane < lanes; ++lane) {
                float numbers[1 + moments];
#pragma unroll
                for (int stream = 0; stream <= moments; ++stream) {
                    numbers[stream] = lane_of(own[round][stream], lane);
                }
                rule(lane_of(gradient[round], lane), numbers[0], numbers + 1);
#pragma unroll
                for (int stream = 0; stream <= moments; ++stream) {
                    lane_of(own[round][stream], lane) = numbers[stream];
                }
            }
#pragma unroll
            for (int stream = 0; stream <= moments; ++stream) {
                reinterpret_cast<Vector*>(streams.of[stream])[place] = own[round][stream];
            }
        }
    }
}

// `make_rule(tensor)`: the rule for a variable, made by all threads of a block together.
template <typename Rule, typename MakeRule>
__device__ __forceinline__ void step(const Variables& table, MakeRule make_rule) {
    const Piece piece = piece_of(table.blocks, blockIdx.x);
    const Streams<Rule::kMoments> streams(table, piece);
    const auto make = [&] { return make_rule(piece.tensor); };
    streams.are_fours() ? step_by<float4>(streams, make) : step_by<float>(streams, make);
}

}  // namespace

#define PLIANT_KERNEL extern "C" __global__ void __launch_bounds__(kThreads)

#define PLIANT_RMSPROP(name, centered, inside, with_momentum)                       \
    PLIANT_KERNEL name(const __grid_constant__ Variables table,                     \
                       const __grid_constant__ RmsPropSettings settings) {          \
        using Rule = RmsProp<centered, inside, with_momentum>;                      \
        step<Rule>(table, [&](int) { return Rule{settings}; });                     \
    }

PLIANT_RMSPROP(pliant_rmsprop_0, false, false, false)
PLIANT_RMSPROP(pliant_rmsprop_1, false, false, true)
PLIANT_RMSPROP(pliant_rmsprop_2, false, true, false)
PLIANT_RMSPROP(pliant_rmsprop_3, false, true, true)
PLIANT_RMSPROP(pliant_rmsprop_4, true, false, false)
PLIANT_RMSPROP(pliant_rmsprop_5, true, false, true)
PLIANT_RMSPROP(pliant_rmsprop_6, true, true, false)
PLIANT_RMSPROP(pliant_rmsprop_7, true, true, true)

// The corrections are made here of the counter in the device's memory: a recorded launch is repeated as it is, and
// nothing in it may change from step to step. Two threads do it for the block, since f64 is slow on most devices.
PLIANT_KERNEL pliant_adam(const __grid_constant__ Variables table,
                          const __grid_constant__ AdamSettings settings) {
    __shared__ float corrections[2];
    step<Adam>(table, [&](int tensor) {
        if (threadIdx.x < 2) {
            const double log_beta = threadIdx.x == 0 ? settings.log_beta1 : settings.log_beta2;
            corrections[threadIdx.x] = bias_correction(log_beta, *table.steps[tensor]);
        }
        __syncthreads();
        return Adam{settings, corrections[0], corrections[1]};
    });
}

#define PLIANT_SGD(name, with_momentum)                                                                    \
    PLIANT_KERNEL name(const __grid_constant__ Variables table,                                            \
                       const __grid_constant__ SgdSettings settings) {                                     \
        step<Sgd<with_momentum>>(table, [&](int) { return Sgd<with_momentum>{settings}; });                 \
    }

PLIANT_SGD(pliant_sgd_0, false)
PLIANT_SGD(pliant_sgd_1, true)
