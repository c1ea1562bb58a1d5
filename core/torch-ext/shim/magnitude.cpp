// The size of many tensors together, to see whether all their numbers are finite.

#include "shim.hpp"

#include <algorithm>
#include <cmath>
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
    return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided &&
           tensor.is_non_overlapping_and_dense();
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
        if (std::all_of(all.begin(), all.end(), is_plain)) {
            *result = new at::Tensor(at::scalar_tensor(magnitude_of(cut(all)), at::kDouble));
            return;
        }
        std::vector<at::Tensor> sizes = at::_foreach_norm(all, 2);
        for (at::Tensor& size : sizes) {
            size = size.to(at::kDouble);
        }
        *result = new at::Tensor(at::stack(sizes).norm());
    });
}

}  // extern "C"
