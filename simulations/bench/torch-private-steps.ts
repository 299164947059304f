/**
 * The steps of measure-privacy.ts in PyTorch, for `python3 -c`: gradients of single examples as Opacus' hooks compute them
 * (Yousefpour et al. 2021, arXiv:2109.12298, section 2.2), from each layer's input and the derivative by its output, written
 * down by einsum; one thread. Prints the medians in ms as JSON.
 */
export const TORCH_PRIVATE_STEPS = `
import json, sys, time
import torch
import torch.nn.functional as F
torch.set_num_threads(1)
torch.manual_seed(1)
BATCH, BOUND, NOISE, RATE = 32, 1.0, 1.0, 0.01

def weights(*shape):
    fan = 1
    for n in shape[1:]:
        fan *= n
    return (torch.randn(*shape) * (2 / fan) ** 0.5).requires_grad_()

def mlp():
    layers = [('dense', weights(o, i), torch.zeros(o, requires_grad=True)) for i, o in [(784, 200), (200, 200), (200, 10)]]
    return torch.randn(BATCH, 784), layers

def cnn():
    convs = [('conv', weights(o, i, 5, 5), torch.zeros(o, requires_grad=True)) for i, o in [(1, 16), (16, 32)]]
    return torch.randn(BATCH, 1, 28, 28), convs + [('dense', weights(10, 1568), torch.zeros(10, requires_grad=True))]

def forward(x, layers):
    taps = []
    for n, (kind, w, b) in enumerate(layers):
        if kind == 'conv':
            z = F.conv2d(x, w, b, stride=2, padding=2)
        else:
            x = x.flatten(1)
            z = F.linear(x, w, b)
        taps.append((x, z))
        x = F.relu(z) if n < len(layers) - 1 else z
    return x, taps

def step(x, y, layers):
    logits, taps = forward(x, layers)
    of_outputs = torch.autograd.grad(F.cross_entropy(logits, y, reduction='sum'), [z for _, z in taps])
    with torch.no_grad():
        each = []
        for (kind, w, b), (inputs, _), of_output in zip(layers, taps, of_outputs):
            if kind == 'conv':
                windows = F.unfold(inputs, 5, stride=2, padding=2)
                rows = of_output.flatten(2)
                each.append((w, torch.einsum('bop,bkp->bok', rows, windows).reshape(BATCH, *w.shape)))
                each.append((b, rows.sum(2)))
            else:
                each.append((w, torch.einsum('bo,bi->boi', of_output, inputs)))
                each.append((b, of_output))
        norms = torch.stack([g.flatten(1).norm(dim=1) for _, g in each], 1).norm(dim=1)
        factors = (BOUND / norms).clamp(max=1)
        for w, g in each:
            total = torch.einsum('b,b...->...', factors, g) + NOISE * BOUND * torch.randn_like(w)
            w -= RATE / BATCH * total

medians = []
for network in (mlp, cnn):
    x, layers = network()
    y = torch.arange(BATCH) % 10
    times = []
    for _ in range(int(sys.argv[1]) + 2):
        start = time.process_time()
        step(x, y, layers)
        times.append(1000 * (time.process_time() - start))
    times = sorted(times[2:])
    medians.append(times[len(times) // 2])
print(json.dumps(medians))
`;
