// Optimiser steps that read and write each number once.

#include "kernels.hpp"
#include "rules.hpp"
#include "shim.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

namespace {

using pliant::Adam, pliant::AdamSettings, pliant::bias_correction, pliant::RmsProp, pliant::RmsPropSettings,
    pliant::Sgd, pliant::SgdSettings;

// Numbers per piece of work: small enough that all its streams stay in the second-level cache.
constexpr int64_t kPiece = 8192;

// A run of numbers of one variable, with what belongs to them.
struct Piece {
    float* variable;
    const float* gradient;
    // Those that the optimiser has not are null.
    float* moments[3];
    int64_t count;
    // Of the variable.
    int64_t index;
};

template <typename Rule>
inline __attribute__((always_inline)) void each_number(const Piece& piece, const Rule rule) {
    float* __restrict variable = piece.variable;
    const float* __restrict gradient = piece.gradient;
    float* __restrict first = piece.moments[0];
    float* __restrict second = piece.moments[1];
    float* __restrict third = piece.moments[2];
    constexpr int moments = Rule::kMoments;
    for (int64_t i = 0; i < piece.count; ++i) {
        float own[3];
        if (moments > 0) own[0] = first[i];
        if (moments > 1) own[1] = second[i];
        if (moments > 2) own[2] = third[i];
        rule(gradient[i], variable[i], own);
        if (moments > 0) first[i] = own[0];
        if (moments > 1) second[i] = own[1];
        if (moments > 2) third[i] = own[2];
    }
}

// Variants as the kernels have them.
PLIANT_CLONES void rmsprop(const Piece& piece, const RmsPropSettings& s, int variant) {
    switch (variant) {
        case 0: return each_number(piece, RmsProp<false, false, false>{s});
        case 1: return each_number(piece, RmsProp<false, false, true>{s});
        case 2: return each_number(piece, RmsProp<false, true, false>{s});
        case 3: return each_number(piece, RmsProp<false, true, true>{s});
        case 4: return each_number(piece, RmsProp<true, false, false>{s});
        case 5: return each_number(piece, RmsProp<true, false, true>{s});
        case 6: return each_number(piece, RmsProp<true, true, false>{s});
        default: return each_number(piece, RmsProp<true, true, true>{s});
    }
}

PLIANT_CLONES void adam(const Piece& piece, const Adam& rule) { each_number(piece, rule); }

PLIANT_CLONES void sgd(const Piece& piece, const SgdSettings& s, bool with_momentum) {
    with_momentum ? each_number(piece, Sgd<true>{s}) : each_number(piece, Sgd<false>{s});
}

// True if two tensors have the same numbers in the same places.
bool lies_alike(const at::Tensor& a, const at::Tensor& b) {
    return a.sizes() == b.sizes() && a.strides() == b.strides();
}

bool is_plain(const at::Tensor& tensor) {
    return (tensor.is_cpu() || tensor.is_cuda()) && tensor.scalar_type() == at::kFloat &&
           tensor.layout() == at::kStrided && tensor.is_non_overlapping_and_dense();
}

// What a step takes, of `count` variables with `moments` each; the moments of one stand together. `steps`: a counter for
// each, or null.
struct Parts {
    int64_t count, moments;
    const Handle *variables, *gradients, *moment_tensors, *steps;

    c10::Device device() const { return variables[0]->device(); }

    float* moment(int64_t index, int64_t which) const {
        return moment_tensors[index * moments + which]->mutable_data_ptr<float>();
    }
};

// Cuts variables in the CPU's memory into pieces.
std::vector<Piece> cut(const Parts& parts) {
    std::vector<Piece> pieces;
    for (int64_t index = 0; index < parts.count; ++index) {
        const at::Tensor &variable = *parts.variables[index], &gradient = *parts.gradients[index];
        const Piece whole{variable.mutable_data_ptr<float>(), gradient.const_data_ptr<float>(), {}, 0, index};
        for (int64_t begin = 0; begin < variable.numel(); begin += kPiece) {
            Piece piece = whole;
            piece.variable += begin;
            piece.gradient += begin;
            for (int64_t which = 0; which < parts.moments; ++which) {
                piece.moments[which] = parts.moment(index, which) + begin;
            }
            piece.count = std::min(kPiece, variable.numel() - begin);
            pieces.push_back(piece);
        }
    }
    return pieces;
}

template <typename Step>
void on_cpu(const Parts& parts, Step step) {
    const std::vector<Piece> pieces = cut(parts);
    // Fewer than four pieces each are done before a second thread wakes up.
    at::parallel_for(0, static_cast<int64_t>(pieces.size()), 4, [&](int64_t begin, int64_t end) {
        for (int64_t index = begin; index < end; ++index) {
            step(pieces[index]);
        }
    });
}

template <typename Settings>
void on_cuda(const Parts& parts, int kernel, const Settings& settings) {
    const auto put = [&](pliant::Variables& table, int place, int64_t index) {
        table.variable[place] = parts.variables[index]->mutable_data_ptr<float>();
        table.gradient[place] = parts.gradients[index]->const_data_ptr<float>();
        table.steps[place] = parts.steps == nullptr ? nullptr : parts.steps[index]->const_data_ptr<float>();
        for (int64_t which = 0; which < parts.moments; ++which) {
            table.moments[which][place] = parts.moment(index, which);
        }
        return parts.variables[index]->numel();
    };
    pliant::in_tables<pliant::Variables>(parts.count, put, [&](const pliant::Variables& table, int blocks) {
        pliant::launch(parts.device(), static_cast<pliant::Kernel>(kernel), blocks, {&table, &settings});
    });
}

// The kernel on CUDA, `step` on each piece on the CPU.
template <typename Settings, typename Step>
void make(const Parts& parts, int kernel, const Settings& settings, Step step) {
    if (parts.count == 0) {
        return;
    }
    for (int64_t index = 0; index < parts.count; ++index) {
        TORCH_CHECK(parts.variables[index]->device() == parts.device(), "variables of one step on ",
                    parts.device(), " and ", parts.variables[index]->device());
    }
    parts.device().is_cuda() ? on_cuda(parts, kernel, settings) : on_cpu(parts, step);
    // Autograd must learn that values changed in place.
    for (int64_t index = 0; index < parts.count; ++index) {
        parts.variables[index]->unsafeGetTensorImpl()->bump_version();
    }
}

}  // namespace

extern "C" {

// True if the steps below can be made on these tensors: f32, dense, all laid out alike, in the CPU's memory or
// on a CUDA device that has the kernels.
bool pliant_is_fusible(Handle variable, Handle gradient, const Handle* moments, int64_t count) noexcept {
    const auto is_like = [&](const at::Tensor& tensor) {
        return is_plain(tensor) && lies_alike(*variable, tensor) && tensor.device() == variable->device();
    };
    bool fits = is_plain(*variable) && is_like(*gradient);
    for (int64_t index = 0; index < count; ++index) {
        fits = fits && is_like(*moments[index]);
    }
    return fits && (variable->is_cpu() || pliant::has_kernels(variable->device()));
}

char* pliant_rmsprop(int64_t count, int64_t moments, const Handle* variables, const Handle* gradients,
                     const Handle* moment_tensors, double rate, double decay, double eps, double momentum,
                     bool is_inside, bool is_centered) {
    return pliant::guarded([&] {
        const Parts parts{count, moments, variables, gradients, moment_tensors, nullptr};
        const RmsPropSettings settings{static_cast<float>(rate), static_cast<float>(1.0 - decay),
                                       static_cast<float>(eps), static_cast<float>(momentum)};
        const int variant = (is_centered ? 4 : 0) + (is_inside ? 2 : 0) + (momentum > 0.0 ? 1 : 0);
        make(parts, pliant::kRmsProp + variant, settings,
             [&](const Piece& piece) { rmsprop(piece, settings, variant); });
    });
}

// The counters are read where they lie: nobody waits for a device.
char* pliant_adam(int64_t count, const Handle* variables, const Handle* gradients,
                  const Handle* moment_tensors, const Handle* steps, double rate, double beta1, double beta2,
                  double eps, double eps_root, double weight_decay) {
    return pliant::guarded([&] {
        const Parts parts{count, 2, variables, gradients, moment_tensors, steps};
        for (int64_t index = 0; index < count; ++index) {
            const at::Tensor &counter = *steps[index], &variable = *variables[index];
            TORCH_CHECK(counter.numel() == 1 && counter.scalar_type() == at::kFloat &&
                            counter.device() == variable.device(),
                        "expected one f32 as the counter of steps, on ", variable.device());
        }
        const AdamSettings settings{
            static_cast<float>(rate),        static_cast<float>(beta1),
            static_cast<float>(1.0 - beta1), static_cast<float>(beta2),
            static_cast<float>(1.0 - beta2), static_cast<float>(eps),
            static_cast<float>(eps_root),    static_cast<float>(1.0 - rate * weight_decay),
            std::log(beta1),                 std::log(beta2)};
        make(parts, pliant::kAdam, settings, [&](const Piece& piece) {
            const float made = *steps[piece.index]->const_data_ptr<float>();
            adam(piece, {settings, bias_correction(settings.log_beta1, made),
                         bias_correction(settings.log_beta2, made)});
        });
    });
}

char* pliant_sgd(int64_t count, int64_t moments, const Handle* variables, const Handle* gradients,
                 const Handle* moment_tensors, double rate, double momentum) {
    return pliant::guarded([&] {
        const Parts parts{count, moments, variables, gradients, moment_tensors, nullptr};
        const SgdSettings settings{static_cast<float>(rate), static_cast<float>(momentum)};
        const bool with_momentum = momentum > 0.0;
        make(parts, pliant::kSgd + (with_momentum ? 1 : 0), settings,
             [&](const Piece& piece) { sgd(piece, settings, with_momentum); });
    });
}

// Adds one to each of these tensors, of one device: on CUDA by one kernel for many.
char* pliant_increment(int64_t count, const Handle* tensors) {
    return pliant::guarded([&] {
        std::vector<at::Tensor> all;
        for (int64_t index = 0; index < count; ++index) {
            all.push_back(*tensors[index]);
        }
        if (!all.empty()) {
            at::_foreach_add_(all, 1);
        }
    });
}

}  // extern "C"
