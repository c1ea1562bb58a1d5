// The GPU's kernels: made ready and launched through NVIDIA's driver, which is looked for when it is needed.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include "../kernels/tables.hpp"
#include "shim.hpp"

namespace pliant {

// The kernels, in the order of their names in kernels.cpp. Variants follow the first of their kind.
enum Kernel {
    kRmsProp = 0,  // + 4 if centred, + 2 if eps stands inside the root, + 1 with momentum
    kAdam = 8,
    kSgd = 9,  // + 1 with momentum
    kSumsOfSquares = 11,
    kRootOfSum = 12,
    kKernels = 13,
};

// Empty if kernels can be launched on a CUDA device, else the reason why not. The first call for a device compiles
// them for it (a few 100 ms once per machine, the driver keeps what it made); whatever comes of it stays for good.
//
// The first call must not be made while a stream is being captured: loading is not allowed then. Every recorded
// step follows an ordinary one, which has made that call.
const std::string& why_no_kernels(c10::Device device);

inline bool has_kernels(c10::Device device) { return why_no_kernels(device).empty(); }

// Launches a kernel on torch's current stream of the device, with copies of these parameters. Waits for nothing and
// allocates nothing, so that it can be captured.
void launch(c10::Device device, Kernel kernel, int blocks, std::initializer_list<const void*> parameters);

// Cuts `count` tensors into blocks, as many tensors at a time as a table holds: `put(table, place, index)` enters
// tensor `index` and returns how many numbers it has, `run(table, number of blocks)` is called with each table.
template <typename Table, typename Put, typename Run>
void in_tables(int64_t count, Put put, Run run) {
    for (int64_t begin = 0; begin < count; begin += kTensors) {
        Table table{};
        Blocks& blocks = table.blocks;
        blocks.tensors = static_cast<int32_t>(std::min<int64_t>(kTensors, count - begin));
        int64_t total = 0;
        for (int place = 0; place < blocks.tensors; ++place) {
            blocks.numbers[place] = put(table, place, begin + place);
            total += (blocks.numbers[place] + kPiece - 1) / kPiece;
            TORCH_CHECK(total <= std::numeric_limits<int32_t>::max(), "too many numbers for one launch");
            blocks.first_block[place + 1] = static_cast<int32_t>(total);
        }
        if (total > 0) {
            run(table, static_cast<int>(total));
        }
    }
}

}  // namespace pliant
