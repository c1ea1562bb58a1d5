// What every function of the shim does with exceptions: none crosses into Rust.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <ATen/core/Tensor.h>

// A function compiled once for each vector width; the processor's own is taken when the program starts.
#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#define PLIANT_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define PLIANT_CLONES
#endif

// tch's own handle: a pointer to a tensor on the heap.
using Handle = at::Tensor*;

namespace pliant {

// A copy of the text, which Rust frees with pliant_free; null if nothing went wrong.
template <typename Work>
char* guarded(Work work) noexcept {
    try {
        work();
        return nullptr;
    } catch (const std::exception& error) {
        return strdup(error.what());
    } catch (...) {
        return strdup("an exception of unknown type");
    }
}

}  // namespace pliant
