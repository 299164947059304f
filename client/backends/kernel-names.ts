/**
 * Kernels of our own that fuse what our gradients would otherwise compose. Only the wasm back end registers them; whoever
 * calls one asks first whether the current back end has it.
 */

/** {dy, x} -> dy where x > 0, else 0 */
export const RELU_GRAD = 'starling.ReluGrad';
/** {dy, y} -> dy · (1 - y²) */
export const TANH_GRAD = 'starling.TanhGrad';
/** {dy, y} -> dy · y · (1 - y) */
export const SIGMOID_GRAD = 'starling.SigmoidGrad';
/** {a, b}, {scale} -> a + scale · b */
export const ADD_SCALED = 'starling.AddScaled';
/** {x}, {shape, axes, scale} -> scale · x repeated along `axes`, where it has size 1, up to `shape` */
export const SPREAD = 'starling.Spread';
/** {x} -> x/2 · (1 + tanh(sqrt(2/π) · (x + 0.044715 x³))); differentiable */
export const GELU = 'starling.Gelu';
/** {dy, x} -> dy times the derivative of it */
export const GELU_GRAD = 'starling.GeluGrad';
/** {x, dy}, attributes of Conv2DBackpropFilter -> the filter's gradient for each example, [batch, ...filterShape] */
export const EXAMPLE_FILTER_GRADIENTS = 'starling.ExampleFilterGradients';
