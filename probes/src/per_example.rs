//! Gradients of single examples, without a backward pass for each.
//!
//! The gradient of a dense layer's weight is the outer product of what arrives at its output and what it
//! read; of two examples the inner product is then the product of two inner products. Other parameters'
//! gradients are made from the same two things. What the network did not write down takes a backward pass
//! per example.

use pliant_core::{
    error::Result,
    network::{Model, Taps, Traced},
    tch::{Kind, Tensor, no_grad},
};

/// Floats of single examples' gradients that are held at a time.
const MOST_FLOATS: i64 = 1 << 26;

/// The same where a backward pass for each example makes them: what is not held takes all passes again.
const MOST_FLOATS_OF_PASSES: i64 = 1 << 28;

/// Inner products of the examples' gradients with respect to all parameters, f32 `[examples, examples]`,
/// where `losses` f32 `[examples]` came of a traced pass through `model` in which no example looks at
/// another.
pub(crate) fn inner_products(model: &Model, taps: &Taps, losses: &Tensor) -> Result<Tensor> {
    let traced: Vec<&Traced> = taps.trace().iter().filter(|one| is_alone(one, taps)).collect();
    let outputs: Vec<Tensor> = traced.iter().map(|one| one.output().shallow_clone()).collect();
    let total = losses.sum(Kind::Float);
    let arrived = gradients(&total, &outputs)?;
    let count = losses.size()[0];
    let mut products = Tensor::zeros([count, count], (Kind::Float, losses.device()));
    no_grad(|| {
        for (one, arrived) in traced.iter().zip(&arrived) {
            if arrived.defined() {
                add(&mut products, model, one, arrived);
            }
        }
    });
    let is_missing = |name: &str| !traced.iter().any(|one| one.variable() == name);
    let rest: Vec<Tensor> = (model.variables().parameters())
        .filter(|(name, _)| is_missing(name))
        .map(|(_, parameter)| parameter.shallow_clone())
        .collect();
    add_one_by_one(&mut products, losses, &rest, MOST_FLOATS_OF_PASSES)?;
    Ok(products)
}

/// A parameter that enters at two places has a gradient that is a sum, and is left to the slow way.
fn is_alone(one: &Traced, taps: &Taps) -> bool {
    taps.trace().iter().filter(|other| other.variable() == one.variable()).count() == 1
}

/// Gradients of a scalar; undefined where it does not depend on an input. The graph is kept.
pub(crate) fn gradients(loss: &Tensor, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Tensor::f_run_backward(&[loss], inputs, true, false)?)
}

fn add(products: &mut Tensor, model: &Model, one: &Traced, arrived: &Tensor) {
    match one {
        Traced::Dense { input, .. } if input.dim() == 2 => {
            let square = |matrix: &Tensor| matrix.matmul(&matrix.transpose(0, 1));
            *products += square(input) * square(arrived);
        }
        // [examples, places, inputs] and [examples, places, units].
        Traced::Dense { input, .. } => {
            let read = |from: i64, count: i64| input.narrow(0, from, count);
            let arrived = arrived.transpose(1, 2);
            add_products(products, &arrived, input.size()[2], MOST_FLOATS, read);
        }
        Traced::Convolution { input, weight, stride, padding, .. } => {
            let size = model.variables().get(weight).expect("a traced parameter").size();
            let (units, sides) = (size[0], [size[2], size[3]]);
            let columns = size[1] * sides[0] * sides[1];
            // [examples, columns, places] to [examples, places, columns].
            let read = |from: i64, count: i64| {
                let some = input.narrow(0, from, count);
                some.im2col(sides, [1, 1], [*padding; 2], [*stride; 2]).transpose(1, 2)
            };
            let examples = arrived.size()[0];
            let arrived = arrived.reshape([examples, units, -1]);
            add_products(products, &arrived, columns, MOST_FLOATS, read);
        }
        Traced::Elementwise { view, factor, .. } => {
            let each = factor.as_ref().map_or_else(|| arrived.shallow_clone(), |it| arrived * it);
            let own = summed_to(&each, view).flatten(1, -1);
            *products += own.matmul(&own.transpose(0, 1));
        }
    }
}

/// Adds the inner products of `arrived[i] @ read[i]`, where `arrived` is f32 `[examples, units, places]` and
/// `read(from, count)` gives f32 `[count, places, columns]`; as many units and examples at a time as do not need
/// more than `most` floats.
fn add_products(
    products: &mut Tensor,
    arrived: &Tensor,
    columns: i64,
    most: i64,
    read: impl Fn(i64, i64) -> Tensor,
) {
    let [examples, units, places] = [0, 1, 2].map(|dimension| arrived.size()[dimension]);
    let units_at_once = (most / (examples * columns)).clamp(1, units);
    let examples_at_once = (most / (places * columns)).clamp(1, examples);
    for unit in (0..units).step_by(units_at_once as usize) {
        let some_units = arrived.narrow(1, unit, units_at_once.min(units - unit));
        let part = |from: usize| {
            let (from, count) = (from as i64, examples_at_once.min(examples - from as i64));
            some_units.narrow(0, from, count).bmm(&read(from, count)).flatten(1, -1)
        };
        let parts: Vec<Tensor> =
            (0..examples as usize).step_by(examples_at_once as usize).map(part).collect();
        let own = Tensor::cat(&parts, 0);
        *products += own.matmul(&own.transpose(0, 1));
    }
}

/// Sums f32 `[examples, ..]` over the dimensions over which a parameter of this shape was spread.
fn summed_to(each: &Tensor, view: &[i64]) -> Tensor {
    // The parameter's dimensions are the last ones.
    let front = each.dim() - view.len();
    let spread = |index: &usize| *index >= 1 && (*index < front || view[index - front] == 1);
    let dimensions: Vec<i64> =
        (0..each.dim()).filter(spread).map(|dimension| dimension as i64).collect();
    if dimensions.is_empty() {
        return each.shallow_clone();
    }
    each.sum_dim_intlist(dimensions, true, Kind::Float)
}

/// A backward pass for each example, and again for each part of the parameters of which `most` floats hold all
/// examples' gradients.
fn add_one_by_one(
    products: &mut Tensor,
    losses: &Tensor,
    parameters: &[Tensor],
    most: i64,
) -> Result<()> {
    let examples = losses.size()[0];
    let total: i64 = parameters.iter().map(|parameter| parameter.numel() as i64).sum();
    let at_once = (most / examples).clamp(1, total.max(1));
    for from in (0..total).step_by(at_once as usize) {
        let count = at_once.min(total - from);
        let own = Tensor::empty([examples, count], (Kind::Float, losses.device()));
        for example in 0..examples {
            let row = flat(&gradients(&losses.get(example), parameters)?, parameters);
            no_grad(|| own.get(example).copy_(&row.narrow(0, from, count)));
        }
        no_grad(|| *products += own.matmul(&own.transpose(0, 1)));
    }
    Ok(())
}

/// Gradients one after the other, zeros where one is undefined: f32 `[parameters]`.
pub(crate) fn flat(gradients: &[Tensor], parameters: &[Tensor]) -> Tensor {
    let one = |(gradient, parameter): (&Tensor, &Tensor)| {
        if gradient.defined() {
            gradient.reshape([-1])
        } else {
            parameter.zeros_like().reshape([-1])
        }
    };
    let all: Vec<Tensor> = gradients.iter().zip(parameters).map(one).collect();
    Tensor::cat(&all, 0)
}

#[cfg(test)]
mod tests {
    use pliant_core::{seeds::Seeds, tch::Device};

    use super::*;

    fn zeros(examples: i64) -> Tensor {
        Tensor::zeros([examples, examples], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn units_and_examples_in_parts_give_what_all_at_once_do() {
        let mut stream = Seeds::new(0).stream("test");
        let [examples, units, places, columns] = [5, 7, 3, 4];
        let arrived = stream.normal(&[examples, units, places], 1.0);
        let input = stream.normal(&[examples, places, columns], 1.0);
        let whole = arrived.bmm(&input).flatten(1, -1);
        let expected = whole.matmul(&whole.transpose(0, 1));
        // One unit and one example, two units (of 20 floats each) and three examples (of 12), all.
        for most in [1, 40, 1000] {
            let mut products = zeros(examples);
            let read = |from: i64, count: i64| input.narrow(0, from, count);
            add_products(&mut products, &arrived, columns, most, read);
            let off = (&products - &expected).abs().max().double_value(&[]);
            assert!(off < 1e-4, "{most} floats: off by {off}");
        }
    }

    #[test]
    fn parameters_in_parts_give_what_all_at_once_do() {
        let mut stream = Seeds::new(0).stream("test");
        let parameters = [stream.normal(&[3, 2], 1.0), stream.normal(&[5], 1.0)]
            .map(|parameter| parameter.set_requires_grad(true));
        let inputs = [stream.normal(&[4, 6], 1.0), stream.normal(&[4, 5], 1.0)];
        // Linear in the parameters: the gradients are the inputs.
        let losses = inputs[0].mv(&parameters[0].reshape([-1])) + inputs[1].mv(&parameters[1]);
        let whole = Tensor::cat(&inputs, 1);
        let expected = whole.matmul(&whole.transpose(0, 1));
        // One of eleven at a time, three, all.
        for most in [1, 15, 1000] {
            let mut products = zeros(4);
            add_one_by_one(&mut products, &losses, &parameters, most).expect("finite");
            let off = (&products - &expected).abs().max().double_value(&[]);
            assert!(off < 1e-4, "{most} floats: off by {off}");
        }
    }
}
