// What the host hands to the kernels, by value: it lies in the launch itself, so a recorded launch keeps it.
#pragma once

#include <cstdint>

namespace pliant {

// Threads of a block.
constexpr int kThreads = 256;

// Numbers of one block: each thread has two times four, which keeps enough loads under way.
constexpr int kPiece = kThreads * 8;

// Most tensors of one launch.
constexpr int kTensors = 48;

// The blocks of several tensors: tensor i has those from first_block[i] to before first_block[i + 1].
struct Blocks {
    int64_t numbers[kTensors];
    int32_t first_block[kTensors + 1];
    int32_t tensors;
};

// The variables of one launch, with what belongs to them.
struct Variables {
    Blocks blocks;
    float* variable[kTensors];
    const float* gradient[kTensors];
    float* moments[3][kTensors];
    // One number each; only Adam reads them.
    const float* steps[kTensors];
};

// The tensors of one launch.
struct Tensors {
    Blocks blocks;
    const float* numbers[kTensors];
};

// A launch takes 4096 bytes of parameters on every device and driver; settings go beside the tables.
static_assert(sizeof(Variables) <= 3500, "too many tensors for the parameters of a launch");

}  // namespace pliant
