// CUDA graphs and streams. What belongs to CUDA is looked up in the library that was loaded at the program's
// start, so that nothing is linked against it and its headers are not needed.

#include "shim.hpp"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include <dlfcn.h>

#include <c10/core/Allocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace {

using c10::impl::VirtualGuardImpl;

template <typename Function>
Function* look_up(const char* name) {
    void* found = dlsym(RTLD_DEFAULT, name);
    if (found == nullptr) {
        throw std::runtime_error(std::string("libtorch_cuda.so is not loaded or has no ") + name);
    }
    return reinterpret_cast<Function*>(found);
}

// cudaStreamCaptureModeThreadLocal: other threads may go on using the device.
constexpr int kThreadLocal = 1;

// The methods of at::cuda::CUDAGraph (ATen/cuda/CUDAGraph.h of libtorch 2.11).
struct Methods {
    void (*construct)(void*, bool) = look_up<void(void*, bool)>("_ZN2at4cuda9CUDAGraphC1Eb");
    void (*destroy)(void*) = look_up<void(void*)>("_ZN2at4cuda9CUDAGraphD1Ev");
    void (*begin)(void*, c10::MempoolId_t, int) = look_up<void(void*, c10::MempoolId_t, int)>(
        "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
    void (*end)(void*) = look_up<void(void*)>("_ZN2at4cuda9CUDAGraph11capture_endEv");
    void (*replay)(void*) = look_up<void(void*)>("_ZN2at4cuda9CUDAGraph6replayEv");
};

const Methods& methods() {
    static const Methods found;
    return found;
}

// Streams beside torch's own, the same ones each time: libtorch keeps a workspace for each that was ever used.
constexpr int kStreams = 3;
constexpr int kMostDevices = 64;

c10::Stream side_stream(c10::DeviceIndex device, int number) {
    static thread_local std::array<std::array<c10::optional<c10::Stream>, kStreams>, kMostDevices> made;
    TORCH_CHECK(device >= 0 && device < kMostDevices, "device ", int(device), " is none of the first ", kMostDevices);
    auto& stream = made[device][number];
    if (!stream) {
        const VirtualGuardImpl impl(c10::DeviceType::CUDA);
        stream = impl.getStreamFromGlobalPool(c10::Device(c10::DeviceType::CUDA, device));
    }
    return *stream;
}

// A graph, in room that is more than enough for one (it takes less than 200 bytes).
struct Graph {
    Graph() { methods().construct(room, false); }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    ~Graph() { methods().destroy(room); }

    alignas(std::max_align_t) unsigned char room[2048] = {};
};

// Torch's device and stream of this thread, while another stream is written down: a graph is of those that are
// the current ones.
struct Redirection {
    Redirection(const VirtualGuardImpl& impl, const c10::Stream& stream)
        : device(impl.exchangeDevice(stream.device())), stream(impl.exchangeStream(stream)) {}

    void undo(const VirtualGuardImpl& impl) const {
        impl.exchangeStream(stream);
        impl.uncheckedSetDevice(device);
    }

    c10::Device device;
    c10::Stream stream;
};

// A graph that is being written down.
struct Recording {
    Graph* graph;
    Redirection redirection;
};

// Work on a side stream.
struct Beside {
    c10::Stream main, side;
};

c10::Device cuda(int64_t device) {
    return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
}

void wait_for(const c10::Stream& awaited, const c10::Stream& waiting) {
    c10::Event event(c10::DeviceType::CUDA);
    event.record(awaited);
    event.block(waiting);
}

}  // namespace

extern "C" {

// From here on what this thread launches is written down rather than done, until pliant_graph_end. A graph for
// which this fails is not freed: libtorch's allocator may hold on to it.
char* pliant_graph_begin(int64_t device, void** result) {
    return pliant::guarded([&] {
        const VirtualGuardImpl impl(c10::DeviceType::CUDA);
        const c10::Device where = cuda(device);
        methods();
        impl.synchronizeDevice(where.index());
        const Redirection redirection(impl, side_stream(where.index(), 0));
        try {
            auto recording = std::make_unique<Recording>(Recording{new Graph, redirection});
            methods().begin(recording->graph->room, {0, 0}, kThreadLocal);
            *result = recording.release();
        } catch (...) {
            redirection.undo(impl);
            throw;
        }
    });
}

// Ends that and gives the graph, unless it cannot be: then it is not freed.
char* pliant_graph_end(void* handle, void** result) {
    return pliant::guarded([&] {
        const std::unique_ptr<Recording> recording(static_cast<Recording*>(handle));
        const VirtualGuardImpl impl(c10::DeviceType::CUDA);
        try {
            methods().end(recording->graph->room);
        } catch (...) {
            recording->redirection.undo(impl);
            throw;
        }
        recording->redirection.undo(impl);
        *result = recording->graph;
    });
}

char* pliant_graph_launch(void* handle) {
    return pliant::guarded([&] { methods().replay(static_cast<Graph*>(handle)->room); });
}

char* pliant_graph_free(void* handle) {
    return pliant::guarded([&] { delete static_cast<Graph*>(handle); });
}

// From here on this thread launches on a side stream, which begins when what was launched before is done.
char* pliant_beside_begin(int64_t device, int64_t number, void** result) {
    return pliant::guarded([&] {
        TORCH_CHECK(number >= 1 && number < kStreams, "side stream ", number);
        const VirtualGuardImpl impl(c10::DeviceType::CUDA);
        const c10::Device where = cuda(device);
        auto work = std::make_unique<Beside>(
            Beside{impl.getStream(where), side_stream(where.index(), static_cast<int>(number))});
        wait_for(work->main, work->side);
        impl.exchangeStream(work->side);
        *result = work.release();
    });
}

// Ends that; the side stream goes on.
char* pliant_beside_end(void* handle) {
    return pliant::guarded([&] {
        const VirtualGuardImpl impl(c10::DeviceType::CUDA);
        impl.exchangeStream(static_cast<Beside*>(handle)->main);
    });
}

// What is launched from here on waits until the work on the side stream is done.
char* pliant_beside_join(void* handle) {
    return pliant::guarded([&] {
        const std::unique_ptr<Beside> work(static_cast<Beside*>(handle));
        wait_for(work->side, work->main);
    });
}

}  // extern "C"
