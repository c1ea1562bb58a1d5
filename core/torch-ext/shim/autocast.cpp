// Computing linear maps and convolutions in less than f32: in bfloat16, as PyTorch's autocast does, or in TF32.

#include "shim.hpp"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

extern "C" {

// Switches autocast to bfloat16 on or off for a kind of device, in this thread; *before: what it was.
char* pliant_autocast(bool is_cuda, bool enabled, bool* before) {
    return pliant::guarded([&] {
        const auto device = is_cuda ? at::kCUDA : at::kCPU;
        *before = at::autocast::is_autocast_enabled(device);
        at::autocast::set_autocast_dtype(device, at::kBFloat16);
        at::autocast::set_autocast_enabled(device, enabled);
    });
}

// Drops the casts of parameters that autocast kept.
char* pliant_forget_casts() {
    return pliant::guarded([] { at::autocast::clear_cache(); });
}

// Lets cuBLAS and cuDNN compute f32 products in TF32, or not; the whole process.
char* pliant_allow_tf32(bool allowed) {
    return pliant::guarded([&] {
        at::globalContext().setAllowTF32CuBLAS(allowed);
        at::globalContext().setAllowTF32CuDNN(allowed);
    });
}

}  // extern "C"
