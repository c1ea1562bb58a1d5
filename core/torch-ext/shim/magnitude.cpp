// The size of many tensors together, to see whether all their numbers are finite.

#include "kernels.hpp"
#include "shim.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

namespace {

// Numbers per piece of work.
constexpr int64_t kPiece = 1 << 15;

// Sums that are kept beside each other, so that they are added in vectors.
constexpr int kLanes = 32;

struct Run {
    const float* numbers;
    int64_t count;
};

PLIANT_CLONES double sum_of_squares(const float* __restrict numbers, int64_t count) {
    float lanes[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) {
            lanes[lane] += numbers[i + lane] * numbers[i + lane];
        }
    }
    double sum = 0.0;
    for (; i < count; ++i) {
        sum += static_cast<double>(numbers[i]) * numbers[i];
    }
    for (float lane : lanes) {
        sum += lane;
    }
    return sum;
}

bool is_plain(const at::Tensor& tensor) {
    return tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided &&
           tensor.is_non_overlapping_and_dense();
}

// True if all lie where numbers can be read one after the other, on this device.
bool are_plain_on(c10::Device device, const std::vector<at::Tensor>& tensors) {
    return std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor& tensor) {
        return tensor.device() == device && is_plain(tensor);
    });
}

std::vector<Run> cut(const std::vector<at::Tensor>& tensors) {
    std::vector<Run> runs;
    for (const at::Tensor& tensor : tensors) {
        const float* numbers = tensor.const_data_ptr<float>();
        for (int64_t begin = 0; begin < tensor.numel(); begin += kPiece) {
            runs.push_back({numbers + begin, std::min(kPiece, tensor.numel() - begin)});
        }
    }
    return runs;
}

double magnitude_of(const std::vector<Run>& runs) {
    std::vector<double> sums(runs.size());
    at::parallel_for(0, static_cast<int64_t>(runs.size()), 4, [&](int64_t begin, int64_t end) {
        for (int64_t index = begin; index < end; ++index) {
            sums[index] = sum_of_squares(runs[index].numbers, runs[index].count);
        }
    });
    double total = 0.0;
    for (double sum : sums) {
        total += sum;
    }
    return std::sqrt(total);
}

// Sums of blocks, then their sum by one block. The parameters are the same at every call with the same tensors, but
// for where the sums and the result lie.
at::Tensor magnitude_by_kernels(const std::vector<at::Tensor>& tensors, c10::Device device) {
    const auto options = at::TensorOptions().dtype(at::kDouble).device(device);
    std::vector<std::pair<pliant::Tensors, int>> tables;
    int64_t count = 0;
    const auto put = [&](pliant::Tensors& table, int place, int64_t index) {
        table.numbers[place] = tensors[index].const_data_ptr<float>();
        return tensors[index].numel();
    };
    const auto keep = [&](const pliant::Tensors& table, int blocks) {
        tables.emplace_back(table, blocks);
        count += blocks;
    };
    pliant::in_tables<pliant::Tensors>(static_cast<int64_t>(tensors.size()), put, keep);
    at::Tensor sums = at::empty({count}, options), result = at::empty({}, options);
    double* to = sums.mutable_data_ptr<double>();
    for (const auto& [table, blocks] : tables) {
        pliant::launch(device, pliant::kSumsOfSquares, blocks, {&table, &to});
        to += blocks;
    }
    const double* from = sums.const_data_ptr<double>();
    double* root = result.mutable_data_ptr<double>();
    pliant::launch(device, pliant::kRootOfSum, 1, {&from, &count, &root});
    return result;
}

at::Tensor magnitude(const std::vector<at::Tensor>& tensors) {
    if (are_plain_on(at::kCPU, tensors)) {
        return at::scalar_tensor(magnitude_of(cut(tensors)), at::kDouble);
    }
    const c10::Device device = tensors.front().device();
    if (device.is_cuda() && are_plain_on(device, tensors) && pliant::has_kernels(device)) {
        return magnitude_by_kernels(tensors, device);
    }
    return at::stack(at::_foreach_norm(tensors, 2)).to(at::kDouble).norm();
}

}  // namespace

extern "C" {

// The root of the sum of all squares, as an f64 scalar where the tensors are; nobody waits for it. Squares
// that are too large for f32 make it infinite.
char* pliant_magnitude(int64_t count, Handle* tensors, Handle* result) {
    return pliant::guarded([&] {
        std::vector<at::Tensor> all;
        for (int64_t index = 0; index < count; ++index) {
            all.push_back(tensors[index]->detach());
        }
        *result = new at::Tensor(magnitude(all));
    });
}

}  // extern "C"
