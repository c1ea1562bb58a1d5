// NVIDIA's driver without its headers and without linking to it: the program runs where there is none.

#include "kernels.hpp"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <c10/core/impl/VirtualGuardImpl.h>

namespace {

using pliant::kKernels;
using pliant::Kernel;

// build.rs makes these of kernels/*.ptx.
constexpr const char kOptimizers[] =
#include "optimizers.ptx.inc"
    ;
constexpr const char kMagnitude[] =
#include "magnitude.ptx.inc"
    ;

struct Entry {
    const char* name;
    const char* source;
};

constexpr Entry kEntries[kKernels] = {
    {"pliant_rmsprop_0", kOptimizers},       {"pliant_rmsprop_1", kOptimizers},
    {"pliant_rmsprop_2", kOptimizers},       {"pliant_rmsprop_3", kOptimizers},
    {"pliant_rmsprop_4", kOptimizers},       {"pliant_rmsprop_5", kOptimizers},
    {"pliant_rmsprop_6", kOptimizers},       {"pliant_rmsprop_7", kOptimizers},
    {"pliant_adam", kOptimizers},            {"pliant_sgd_0", kOptimizers},
    {"pliant_sgd_1", kOptimizers},           {"pliant_sums_of_squares", kMagnitude},
    {"pliant_root_of_sum", kMagnitude},
};

// As cuda.h declares them. Handles are pointers to what only the driver knows.
using Status = int;
using Context = void*;
using Module = void*;
using Function = void*;
using Stream = void*;

template <typename Signature>
void find(void* library, const char* name, Signature*& symbol) {
    symbol = reinterpret_cast<Signature*>(dlsym(library, name));
    TORCH_CHECK(symbol != nullptr, "NVIDIA's driver has no `", name, "`");
}

// The driver's functions; there is one driver, and it is never unloaded.
struct Driver {
    Status (*error_string)(Status, const char**);
    Status (*init)(unsigned);
    Status (*device_get)(int*, int);
    Status (*primary_context)(Context*, int);
    Status (*push_context)(Context);
    Status (*pop_context)(Context*);
    Status (*load_module)(Module*, const void*, unsigned, int*, void**);
    Status (*get_function)(Function*, Module, const char*);
    Status (*launch)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream,
                     void**, void**);

    Driver() {
        void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
        TORCH_CHECK(library != nullptr, "NVIDIA's driver is not there: ", dlerror());
        find(library, "cuGetErrorString", error_string);
        find(library, "cuInit", init);
        find(library, "cuDeviceGet", device_get);
        find(library, "cuDevicePrimaryCtxRetain", primary_context);
        find(library, "cuCtxPushCurrent_v2", push_context);
        find(library, "cuCtxPopCurrent_v2", pop_context);
        find(library, "cuModuleLoadDataEx", load_module);
        find(library, "cuModuleGetFunction", get_function);
        find(library, "cuLaunchKernel", launch);
        check(init(0), "starting");
    }

    void check(Status status, const char* what) const {
        if (status == 0) {
            return;
        }
        const char* text = nullptr;
        error_string(status, &text);
        TORCH_CHECK(false, what, ": NVIDIA's driver says: ", text == nullptr ? "unknown error" : text, " (",
                    status, ")");
    }
};

// Throws again at every call if the driver is not there.
const Driver& driver() {
    static const Driver found;
    return found;
}

// Makes a context the thread's own for a while. libtorch's may not be: a thread that never called it has none.
class Current {
public:
    explicit Current(Context context) { driver().check(driver().push_context(context), "a context"); }
    ~Current() {
        Context popped;
        driver().pop_context(&popped);
    }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
};

Module load(const char* source) {
    constexpr int kErrorLog = 5, kErrorLogSize = 6;
    char log[4096] = "";
    int options[] = {kErrorLog, kErrorLogSize};
    void* values[] = {log, reinterpret_cast<void*>(sizeof(log))};
    Module module;
    const Status status = driver().load_module(&module, source, 2, options, values);
    driver().check(status, log[0] == '\0' ? "compiling kernels" : log);
    return module;
}

// The kernels in the context that libtorch uses on a device: the primary one. Never unloaded.
struct Loaded {
    Context context = nullptr;
    Function functions[kKernels] = {};

    explicit Loaded(c10::Device device) {
        int ordinal;
        driver().check(driver().device_get(&ordinal, device.index()), "a device");
        driver().check(driver().primary_context(&context, ordinal), "the device's context");
        Current current(context);
        std::map<const char*, Module> modules;
        // All at once: the driver may put off the work of each until its function is asked for.
        for (int kernel = 0; kernel < kKernels; ++kernel) {
            const Entry& entry = kEntries[kernel];
            if (modules.count(entry.source) == 0) {
                modules[entry.source] = load(entry.source);
            }
            driver().check(driver().get_function(&functions[kernel], modules[entry.source], entry.name),
                           entry.name);
        }
    }
};

// What came of loading on a device: the kernels, or the reason why there are none.
struct Attempt {
    std::unique_ptr<Loaded> loaded;
    std::string reason;

    explicit Attempt(c10::Device device) {
        if (!device.is_cuda() || !device.has_index()) {
            reason = "not a CUDA device";
            return;
        }
        try {
            loaded = std::make_unique<Loaded>(device);
        } catch (const c10::Error& error) {
            reason = error.what_without_backtrace();
        }
    }
};

// By device; made at the first call, from whichever thread, and kept.
const Attempt& attempt(c10::Device device) {
    static std::mutex mutex;
    static std::map<std::pair<int, int>, Attempt> attempts;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto key = std::make_pair(static_cast<int>(device.type()), static_cast<int>(device.index()));
    return attempts.try_emplace(key, device).first->second;
}

Stream current_stream(c10::Device device) {
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    return cuda.getStreamNativeHandle(cuda.getStream(device));
}

}  // namespace

namespace pliant {

const std::string& why_no_kernels(c10::Device device) { return attempt(device).reason; }

void launch(c10::Device device, Kernel kernel, int blocks, std::initializer_list<const void*> parameters) {
    const Attempt& made = attempt(device);
    TORCH_CHECK(made.loaded != nullptr, "no kernels on ", device, ": ", made.reason);
    // The driver copies what these lead to before it returns, and changes nothing.
    std::vector<void*> places;
    for (const void* parameter : parameters) {
        places.push_back(const_cast<void*>(parameter));
    }
    const Stream stream = current_stream(device);
    const Current current(made.loaded->context);
    const Status status = driver().launch(made.loaded->functions[kernel], blocks, 1, 1, kThreads, 1, 1, 0,
                                          stream, places.data(), nullptr);
    driver().check(status, kEntries[kernel].name);
}

}  // namespace pliant

extern "C" {

// *reason: null if the kernels can be launched on the CUDA device of this number, else the reason why not, which
// Rust frees with pliant_free.
char* pliant_why_no_kernels(int64_t device, char** reason) {
    return pliant::guarded([&] {
        const auto index = static_cast<c10::DeviceIndex>(device);
        const std::string& text = pliant::why_no_kernels(c10::Device(c10::DeviceType::CUDA, index));
        *reason = text.empty() ? nullptr : strdup(text.c_str());
    });
}

}  // extern "C"
