// Single tensors: gradients, observations.

#include "shim.hpp"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

namespace {

constexpr int64_t kGrain = 1 << 14;

PLIANT_CLONES void scale(const uint8_t* __restrict in, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = static_cast<float>(in[i]) / 255.0f;
    }
}

}  // namespace

extern "C" {

void pliant_free(char* text) { std::free(text); }

// Drops the gradient: the next backward pass leaves its own rather than adding to one.
char* pliant_forget_gradient(Handle tensor) {
    return pliant::guarded([&] { tensor->mutable_grad().reset(); });
}

// f32 in 0..1 of bytes in the CPU's memory, of the same shape.
char* pliant_scaled_observations(Handle bytes, Handle* result) {
    return pliant::guarded([&] {
        const at::Tensor in = bytes->contiguous();
        TORCH_CHECK(in.scalar_type() == at::kByte && in.is_cpu(), "expected bytes in the CPU's memory");
        at::Tensor out = at::empty(in.sizes(), in.options().dtype(at::kFloat));
        const uint8_t* from = in.const_data_ptr<uint8_t>();
        float* to = out.mutable_data_ptr<float>();
        at::parallel_for(0, in.numel(), kGrain, [&](int64_t begin, int64_t end) {
            scale(from + begin, end - begin, to + begin);
        });
        *result = new at::Tensor(std::move(out));
    });
}

}  // extern "C"
