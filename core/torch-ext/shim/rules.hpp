// What a step of each optimiser does to one number: for the loops on the CPU and for the kernels on the GPU. The same
// operations in the same order, each rounded once, so that both come to the same bits.
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define PLIANT_RULE __device__ __forceinline__
#else
#define PLIANT_RULE inline __attribute__((always_inline))
#endif

namespace pliant {

struct RmsPropSettings {
    float rate, take, eps, momentum;
};

// Moments: mean squared gradient; mean gradient, if centred; velocity, if there is momentum.
template <bool centered, bool inside, bool with_momentum>
struct RmsProp {
    static constexpr int kMoments = 1 + (centered ? 1 : 0) + (with_momentum ? 1 : 0);

    RmsPropSettings s;

    PLIANT_RULE void operator()(float g, float& variable, float* moments) const {
        const float v = moments[0] + s.take * (g * g - moments[0]);
        moments[0] = v;
        float variance = v;
        if (centered) {
            const float m = moments[1] + s.take * (g - moments[1]);
            moments[1] = m;
            variance = v - m * m;
            variance = variance < 0.0f ? 0.0f : variance;  // rounding can go below; NaN stays
        }
        const float divisor = inside ? std::sqrt(variance + s.eps) : std::sqrt(variance) + s.eps;
        float step = g / divisor;
        if (with_momentum) {
            float& velocity = moments[kMoments - 1];
            step = velocity * s.momentum + step;
            velocity = step;
        }
        variable -= s.rate * step;
    }
};

struct AdamSettings {
    float rate, beta1, take1, beta2, take2, eps, eps_root, shrink;
    // Logarithms of the decays.
    double log_beta1, log_beta2;
};

// 1 - beta^steps, in f64: with beta = 0.999 f32 would lose three digits at the first steps.
PLIANT_RULE float bias_correction(double log_beta, float steps) {
    return static_cast<float>(-std::expm1(static_cast<double>(steps) * log_beta));
}

// Moments: mean gradient, mean squared gradient.
struct Adam {
    static constexpr int kMoments = 2;

    AdamSettings s;
    float mean_correction, square_correction;

    PLIANT_RULE void operator()(float g, float& variable, float* moments) const {
        const float m = moments[0] + s.take1 * (g - moments[0]);
        const float v = moments[1] * s.beta2 + s.take2 * g * g;
        moments[0] = m;
        moments[1] = v;
        const float divisor = std::sqrt(v / square_correction + s.eps_root) + s.eps;
        variable = variable * s.shrink - m / mean_correction / divisor * s.rate;
    }
};

struct SgdSettings {
    float rate, momentum;
};

// Moment: velocity, if there is momentum.
template <bool with_momentum>
struct Sgd {
    static constexpr int kMoments = with_momentum ? 1 : 0;

    SgdSettings s;

    PLIANT_RULE void operator()(float g, float& variable, float* moments) const {
        float step = g;
        if (with_momentum) {
            step = moments[0] * s.momentum + g;
            moments[0] = step;
        }
        variable -= step * s.rate;
    }
};

}  // namespace pliant
