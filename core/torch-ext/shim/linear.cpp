// Linear maps by oneDNN. What at::linear calls on the CPU, MKL's sgemm, takes a quarter to a half more time at the
// batches that are learned from, on AMD's processors at least.

#include "shim.hpp"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

using at::Tensor;
using MaybeTensor = std::optional<Tensor>;

// From so many transitions on oneDNN is faster at the gradients of weights too.
constexpr int64_t kDeep = 64;

// oneDNN's product, without a gradient. PyTorch calls it where it compiles models.
Tensor product(const Tensor& input, const Tensor& weight, const MaybeTensor& bias) {
    using Signature = Tensor(const Tensor&, const Tensor&, const MaybeTensor&, c10::string_view,
                             c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);
    static const auto op = c10::Dispatcher::singleton()
                               .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                               .typed<Signature>();
    return op.call(input, weight, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

// What is expanded, or lies otherwise than in order or transposed, is left to libtorch.
bool is_for_onednn(const Tensor& input, const Tensor& weight, const MaybeTensor& bias) {
    const auto is_f32 = [](const Tensor& tensor) {
        return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided;
    };
    const auto is_plain = [&](const Tensor& tensor) {
        return is_f32(tensor) && tensor.dim() == 2 && tensor.numel() > 0 &&
               (tensor.is_contiguous() || tensor.t().is_contiguous());
    };
    if (bias && !(is_f32(*bias) && bias->dim() == 1 && bias->is_contiguous())) {
        return false;
    }
    return at::globalContext().hasMKLDNN() && at::globalContext().userEnabledMkldnn() && is_plain(input) &&
           is_plain(weight) && !at::autocast::is_autocast_enabled(at::kCPU);
}

Tensor affine(const Tensor& input, const Tensor& weight, const MaybeTensor& bias);

// Its backward pass is made of what has a gradient itself.
class Linear : public torch::autograd::Function<Linear> {
public:
    static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input,
                          const Tensor& weight, const MaybeTensor& bias) {
        context->save_for_backward({input, weight});
        context->saved_data["has_bias"] = bias.has_value();
        at::AutoDispatchBelowADInplaceOrView below;
        return product(input, weight, bias);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list outputs) {
        const auto saved = context->get_saved_variables();
        const Tensor &input = saved[0], &weight = saved[1], &gradient = outputs[0];
        Tensor of_input, of_weight, of_bias;
        if (context->needs_input_grad(0)) {
            of_input = affine(gradient, weight.t(), std::nullopt);
        }
        if (context->needs_input_grad(1)) {
            const bool is_deep = input.size(0) >= kDeep;
            of_weight = is_deep ? affine(gradient.t(), input.t(), std::nullopt) : gradient.t().mm(input);
        }
        // What is not there is not counted.
        if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)) {
            of_bias = gradient.sum(0);
        }
        return {of_input, of_weight, of_bias};
    }
};

Tensor affine(const Tensor& input, const Tensor& weight, const MaybeTensor& bias) {
    if (!is_for_onednn(input, weight, bias)) {
        return at::linear(input, weight, bias);
    }
    const bool is_learned = input.requires_grad() || weight.requires_grad() || (bias && bias->requires_grad());
    return is_learned && at::GradMode::is_enabled() ? Linear::apply(input, weight, bias)
                                                    : product(input.detach(), weight.detach(), bias);
}

}  // namespace

extern "C" {

// input [n, inputs] times weight [outputs, inputs] transposed, plus bias [outputs] if it is not null.
char* pliant_linear(Handle input, Handle weight, Handle bias, Handle* result) {
    return pliant::guarded([&] {
        const auto maybe = bias == nullptr ? MaybeTensor() : MaybeTensor(*bias);
        *result = new Tensor(affine(*input, *weight, maybe));
    });
}

}  // extern "C"
