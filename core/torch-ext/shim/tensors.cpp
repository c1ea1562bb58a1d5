// Single tensors: gradients, observations.

#include "shim.hpp"

#include <algorithm>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

namespace {

constexpr int64_t kGrain = 1 << 14;

// Pixels that are interleaved at a time, as bytes: a quarter of the memory that they take as f32.
constexpr int64_t kPixels = 256;

PLIANT_CLONES void scale(const uint8_t* __restrict in, int64_t count, float* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
        out[i] = static_cast<float>(in[i]) / 255.0f;
    }
}

PLIANT_CLONES void interleave_four(const uint8_t* __restrict in, int64_t area, int64_t count,
                                   uint8_t* __restrict out) {
    const uint8_t *a = in, *b = in + area, *c = in + 2 * area, *d = in + 3 * area;
    for (int64_t i = 0; i < count; ++i) {
        out[4 * i] = a[i];
        out[4 * i + 1] = b[i];
        out[4 * i + 2] = c[i];
        out[4 * i + 3] = d[i];
    }
}

// The bytes [channels][count], planes `area` apart, as [count][channels].
void interleave_bytes(const uint8_t* in, int64_t channels, int64_t area, int64_t count, uint8_t* out) {
    if (channels == 4) {
        return interleave_four(in, area, count, out);
    }
    for (int64_t channel = 0; channel < channels; ++channel) {
        for (int64_t i = 0; i < count; ++i) {
            out[i * channels + channel] = in[channel * area + i];
        }
    }
}

// out[place][channel] = in[channel][place] / 255 of one image.
void interleave(const uint8_t* in, int64_t channels, int64_t area, float* out) {
    if (channels == 1) {
        return scale(in, area, out);
    }
    std::vector<uint8_t> pixels(kPixels * channels);
    for (int64_t begin = 0; begin < area; begin += kPixels) {
        const int64_t count = std::min(kPixels, area - begin);
        interleave_bytes(in + begin, channels, area, count, pixels.data());
        scale(pixels.data(), count * channels, out + begin * channels);
    }
}

}  // namespace

extern "C" {

void pliant_free(char* text) { std::free(text); }

// Drops the gradient: the next backward pass leaves its own rather than adding to one.
char* pliant_forget_gradient(Handle tensor) {
    return pliant::guarded([&] { tensor->mutable_grad().reset(); });
}

char* pliant_set_gradient(Handle tensor, Handle gradient) {
    return pliant::guarded([&] { tensor->mutable_grad() = *gradient; });
}

// A copy in page-locked memory, from which a GPU copies by itself.
char* pliant_page_locked(Handle tensor, Handle* result) {
    return pliant::guarded([&] { *result = new at::Tensor(tensor->pin_memory()); });
}

// Where tensors lie and how many numbers they have, two words each; with gradients two more, 0 where there is none.
char* pliant_places(int64_t count, Handle* tensors, bool with_gradients, uint64_t* words) {
    return pliant::guarded([&] {
        const auto put = [&](const at::Tensor& tensor) {
            const bool is_there = tensor.defined();
            *words++ = is_there ? reinterpret_cast<uint64_t>(tensor.const_data_ptr()) : 0;
            *words++ = is_there ? static_cast<uint64_t>(tensor.numel()) : 0;
        };
        for (int64_t index = 0; index < count; ++index) {
            put(*tensors[index]);
            if (with_gradients) {
                put(tensors[index]->grad());
            }
        }
    });
}

// Copies values; between page-locked memory and a device nobody waits for it.
char* pliant_copy_without_waiting(Handle to, Handle from) {
    return pliant::guarded([&] { to->copy_(*from, /*non_blocking=*/true); });
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

// The same of images [n, channels, height, width], with the channels last in memory.
char* pliant_scaled_channels_last(Handle bytes, Handle* result) {
    return pliant::guarded([&] {
        const at::Tensor in = bytes->contiguous();
        TORCH_CHECK(in.dim() == 4 && in.scalar_type() == at::kByte && in.is_cpu(),
                    "expected bytes [n, channels, height, width] in the CPU's memory");
        const auto options = in.options().dtype(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast);
        at::Tensor out = at::empty(in.sizes(), options);
        const uint8_t* from = in.const_data_ptr<uint8_t>();
        float* to = out.mutable_data_ptr<float>();
        const int64_t channels = in.size(1), area = in.size(2) * in.size(3), image = channels * area;
        const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, image));
        at::parallel_for(0, in.size(0), grain, [&](int64_t begin, int64_t end) {
            for (int64_t n = begin; n < end; ++n) {
                interleave(from + n * image, channels, area, to + n * image);
            }
        });
        *result = new at::Tensor(std::move(out));
    });
}

}  // extern "C"
