// Holds what shim/graphs.cpp knows of libtorch's CUDA library against its header. Compiled by scripts/kernels, which has
// CUDA's headers; nothing comes of it.

#include <cstddef>
#include <type_traits>

#include <ATen/cuda/CUDAGraph.h>

using at::cuda::CUDAGraph;

// Of shim/graphs.cpp: the room that a graph is made in, and how the capture's mode is passed.
static_assert(sizeof(CUDAGraph) <= 2048 && alignof(CUDAGraph) <= alignof(std::max_align_t));
static_assert(cudaStreamCaptureModeThreadLocal == 1);
static_assert(sizeof(cudaStreamCaptureMode) == sizeof(int));

static_assert(std::is_constructible_v<CUDAGraph, bool>);
static_assert(std::is_same_v<decltype(&CUDAGraph::capture_begin),
                             void (CUDAGraph::*)(c10::MempoolId_t, cudaStreamCaptureMode)>);
static_assert(std::is_same_v<decltype(&CUDAGraph::capture_end), void (CUDAGraph::*)()>);
static_assert(std::is_same_v<decltype(&CUDAGraph::replay), void (CUDAGraph::*)()>);
