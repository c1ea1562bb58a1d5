// What every function of the shim does with exceptions: none crosses into Rust.
#pragma once

#include <cstdlib>
#include <cstring>
#include <exception>

#include <ATen/core/Tensor.h>

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
