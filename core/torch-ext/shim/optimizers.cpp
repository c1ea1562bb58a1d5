// Optimiser steps that read and write each number once.

#include "shim.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/Parallel.h>

namespace {

// Numbers per piece of work: small enough that all its streams stay in the second-level cache.
constexpr int64_t kPiece = 8192;

// A run of numbers of one variable, with what belongs to them.
struct Piece {
    float* variable;
    const float* gradient;
    float* moments[3];
    int64_t count;
    // Of the variable.
    float mean_correction, square_correction;
};

struct RmsProp {
    float rate, keep, take, eps, momentum;
    bool is_inside, is_centered;
};

struct Adam {
    float rate, beta1, take1, beta2, take2, eps, eps_root, shrink;
};

template <bool centered, bool inside, bool with_momentum>
inline __attribute__((always_inline)) void rmsprop_piece(const Piece& piece, const RmsProp& s) {
    float* __restrict variable = piece.variable;
    const float* __restrict gradient = piece.gradient;
    float* __restrict square = piece.moments[0];
    float* __restrict mean = centered ? piece.moments[1] : nullptr;
    float* __restrict velocity = with_momentum ? piece.moments[centered ? 2 : 1] : nullptr;
    for (int64_t i = 0; i < piece.count; ++i) {
        const float g = gradient[i];
        const float v = square[i] + s.take * (g * g - square[i]);
        square[i] = v;
        float variance = v;
        if (centered) {
            const float m = mean[i] + s.take * (g - mean[i]);
            mean[i] = m;
            variance = v - m * m;
            variance = variance < 0.0f ? 0.0f : variance;  // rounding can go below; NaN stays
        }
        const float divisor = inside ? std::sqrt(variance + s.eps) : std::sqrt(variance) + s.eps;
        float step = g / divisor;
        if (with_momentum) {
            step = velocity[i] * s.momentum + step;
            velocity[i] = step;
        }
        variable[i] -= s.rate * step;
    }
}

PLIANT_CLONES void rmsprop(const Piece& piece, const RmsProp& s) {
    const bool with_momentum = s.momentum > 0.0f;
    switch ((s.is_centered ? 4 : 0) + (s.is_inside ? 2 : 0) + (with_momentum ? 1 : 0)) {
        case 0: return rmsprop_piece<false, false, false>(piece, s);
        case 1: return rmsprop_piece<false, false, true>(piece, s);
        case 2: return rmsprop_piece<false, true, false>(piece, s);
        case 3: return rmsprop_piece<false, true, true>(piece, s);
        case 4: return rmsprop_piece<true, false, false>(piece, s);
        case 5: return rmsprop_piece<true, false, true>(piece, s);
        case 6: return rmsprop_piece<true, true, false>(piece, s);
        default: return rmsprop_piece<true, true, true>(piece, s);
    }
}

PLIANT_CLONES void adam(const Piece& piece, const Adam& s) {
    float* __restrict variable = piece.variable;
    const float* __restrict gradient = piece.gradient;
    float* __restrict mean = piece.moments[0];
    float* __restrict square = piece.moments[1];
    const float mean_correction = piece.mean_correction;
    const float square_correction = piece.square_correction;
    for (int64_t i = 0; i < piece.count; ++i) {
        const float g = gradient[i];
        const float m = mean[i] + s.take1 * (g - mean[i]);
        const float v = square[i] * s.beta2 + s.take2 * g * g;
        mean[i] = m;
        square[i] = v;
        const float divisor = std::sqrt(v / square_correction + s.eps_root) + s.eps;
        variable[i] = variable[i] * s.shrink - m / mean_correction / divisor * s.rate;
    }
}

// True if two tensors have the same numbers in the same places.
bool lies_alike(const at::Tensor& a, const at::Tensor& b) {
    return a.sizes() == b.sizes() && a.strides() == b.strides();
}

bool is_plain(const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided &&
           tensor.is_non_overlapping_and_dense();
}

// Cuts variables into pieces. `corrections`: two per variable, or null.
std::vector<Piece> cut(int64_t count, int64_t moments, Handle* variables, Handle* gradients,
                       Handle* moment_tensors, const double* corrections) {
    std::vector<Piece> pieces;
    for (int64_t index = 0; index < count; ++index) {
        const at::Tensor &variable = *variables[index], &gradient = *gradients[index];
        Handle* own = moment_tensors + index * moments;
        Piece whole{variable.mutable_data_ptr<float>(), gradient.const_data_ptr<float>(), {}, 0, 1.0f, 1.0f};
        for (int64_t moment = 0; moment < moments; ++moment) {
            whole.moments[moment] = own[moment]->mutable_data_ptr<float>();
        }
        if (corrections != nullptr) {
            whole.mean_correction = static_cast<float>(corrections[2 * index]);
            whole.square_correction = static_cast<float>(corrections[2 * index + 1]);
        }
        for (int64_t begin = 0; begin < variable.numel(); begin += kPiece) {
            Piece piece = whole;
            piece.variable += begin;
            piece.gradient += begin;
            for (int64_t moment = 0; moment < moments; ++moment) {
                piece.moments[moment] += begin;
            }
            piece.count = std::min(kPiece, variable.numel() - begin);
            pieces.push_back(piece);
        }
    }
    return pieces;
}

template <typename Step>
void in_parallel(const std::vector<Piece>& pieces, Step step) {
    // Fewer than four pieces each are done before a second thread wakes up.
    at::parallel_for(0, static_cast<int64_t>(pieces.size()), 4, [&](int64_t begin, int64_t end) {
        for (int64_t index = begin; index < end; ++index) {
            step(pieces[index]);
        }
    });
}

// Autograd must learn that values changed in place.
void bump(int64_t count, Handle* variables) {
    for (int64_t index = 0; index < count; ++index) {
        variables[index]->unsafeGetTensorImpl()->bump_version();
    }
}

}  // namespace

extern "C" {

// True if the steps below can be made on these tensors: f32 in the CPU's memory, dense, all laid out alike.
bool pliant_is_fusible(Handle variable, Handle gradient, Handle* moments, int64_t count) noexcept {
    bool fits = is_plain(*variable) && is_plain(*gradient) && lies_alike(*variable, *gradient);
    for (int64_t index = 0; index < count; ++index) {
        fits = fits && is_plain(*moments[index]) && lies_alike(*variable, *moments[index]);
    }
    return fits;
}

char* pliant_rmsprop(int64_t count, int64_t moments, Handle* variables, Handle* gradients,
                     Handle* moment_tensors, double rate, double decay, double eps, double momentum,
                     bool is_inside, bool is_centered) {
    return pliant::guarded([&] {
        const RmsProp settings{static_cast<float>(rate), static_cast<float>(decay),
                               static_cast<float>(1.0 - decay), static_cast<float>(eps),
                               static_cast<float>(momentum), is_inside, is_centered};
        const auto pieces = cut(count, moments, variables, gradients, moment_tensors, nullptr);
        in_parallel(pieces, [&](const Piece& piece) { rmsprop(piece, settings); });
        bump(count, variables);
    });
}

char* pliant_adam(int64_t count, Handle* variables, Handle* gradients, Handle* moment_tensors,
                  const double* corrections, double rate, double beta1, double beta2, double eps,
                  double eps_root, double weight_decay) {
    return pliant::guarded([&] {
        const Adam settings{static_cast<float>(rate), static_cast<float>(beta1),
                            static_cast<float>(1.0 - beta1), static_cast<float>(beta2),
                            static_cast<float>(1.0 - beta2), static_cast<float>(eps),
                            static_cast<float>(eps_root), static_cast<float>(1.0 - rate * weight_decay)};
        const auto pieces = cut(count, 2, variables, gradients, moment_tensors, corrections);
        in_parallel(pieces, [&](const Piece& piece) { adam(piece, settings); });
        bump(count, variables);
    });
}

}  // extern "C"
