// Single tensors: gradients, observations, memory formats.

#include "shim.hpp"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

namespace {

constexpr int64_t kGrain = 1 << 14;

// out[n][y][x][c] = table[in[n][c][y][x]] for one image: planes side by side become channels.
void interleave(const uint8_t* in, const float* table, int64_t channels, int64_t area, float* out) {
    if (channels == 4) {
        const uint8_t *a = in, *b = in + area, *c = in + 2 * area, *d = in + 3 * area;
        for (int64_t i = 0; i < area; ++i) {
            out[4 * i] = table[a[i]];
            out[4 * i + 1] = table[b[i]];
            out[4 * i + 2] = table[c[i]];
            out[4 * i + 3] = table[d[i]];
        }
        return;
    }
    for (int64_t channel = 0; channel < channels; ++channel) {
        for (int64_t i = 0; i < area; ++i) {
            out[i * channels + channel] = table[in[channel * area + i]];
        }
    }
}

}  // namespace

extern "C" {

void pliant_free(char* text) { std::free(text); }

// Drops the gradient: the next backward pass leaves its own rather than adding to one.
char* pliant_forget_gradient(Handle tensor) {
    return pliant::guarded([&] { tensor->mutable_grad().reset(); });
}

// f32 in 0..1 of u8 [n, c, h, w] in the CPU's memory, with channels last in memory or not.
char* pliant_scaled_observations(Handle bytes, bool channels_last, Handle* result) {
    return pliant::guarded([&] {
        const at::Tensor in = bytes->contiguous();
        TORCH_CHECK(in.dim() == 4 && in.scalar_type() == at::kByte && in.is_cpu(),
                    "expected u8 [n, c, h, w] in the CPU's memory");
        float table[256];
        for (int value = 0; value < 256; ++value) {
            table[value] = static_cast<float>(value) / 255.0f;
        }
        const auto format = channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
        at::Tensor out = at::empty(in.sizes(), in.options().dtype(at::kFloat).memory_format(format));
        const uint8_t* from = in.const_data_ptr<uint8_t>();
        float* to = out.mutable_data_ptr<float>();
        const int64_t channels = in.size(1), area = in.size(2) * in.size(3), image = channels * area;
        if (channels_last && channels > 1) {
            const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, image));
            at::parallel_for(0, in.size(0), grain, [&](int64_t begin, int64_t end) {
                for (int64_t n = begin; n < end; ++n) {
                    interleave(from + n * image, table, channels, area, to + n * image);
                }
            });
        } else {
            at::parallel_for(0, in.numel(), kGrain, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    to[i] = static_cast<float>(from[i]) / 255.0f;
                }
            });
        }
        *result = new at::Tensor(std::move(out));
    });
}

// The same tensor with channels last in memory.
char* pliant_channels_last(Handle tensor, Handle* result) {
    return pliant::guarded([&] {
        *result = new at::Tensor(tensor->contiguous(at::MemoryFormat::ChannelsLast));
    });
}

}  // extern "C"
