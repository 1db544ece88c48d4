#!/usr/bin/env python3
"""bench_cpu: Trikl's CPU kernels beside PyTorch's, same machine, same run, same thread counts.

in:  the built program (TRIKL, default build/compiler/cli/trikl); PyTorch and NumPy
out: a Markdown table on stdout (bench/RESULTS.md holds one), raw times with --json FILE
run: python3 bench/bench_cpu.py [--threads 1,2] [--seconds 2] [--rounds 3] [--only NAME] [--json FILE]

Every time is the best of runs that fill --seconds, in --rounds rounds that take the ways in turn, so that a noisy
neighbour hits all of them; a warm-up that includes all compilation comes before. A way that takes longer than
--seconds runs once. The matrix product's rate is measured in each round too. PyTorch's results are compared with each other; Trikl's are checked by the tests.
FLOPs are 4 D for each visible tuple of each head: two multiply-adds, one for the score, one for the output.
"""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import numpy as np
import torch
import torch._dynamo
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRIKL = os.environ.get("TRIKL", str(ROOT / "build/compiler/cli/trikl"))
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}

# name, spec, lengths, defines
CASES = [
    ("2-simplicial", "two_simplicial", dict(B=1, N=1024, H=16, G=1), dict(D=64, W1=16, W2=128)),
    ("2-simplicial, wide", "two_simplicial", dict(B=1, N=512, H=16, G=1), dict(D=128, W1=32, W2=256)),
    ("causal", "mha", dict(B=1, N=2048, H=16), dict(D=64)),
    ("sliding window", "sliding_window", dict(B=1, N=4096, H=8, G=8), dict(D=64, W=256)),
    ("softcap", "softcap", dict(B=1, N=1024, H=16, G=16), dict(D=64)),
]


def timed(run, seconds):
    """Best seconds of `run`, called until `seconds` have passed."""
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def tuples(spec, n, p):
    """Visible key tuples of one head of one sequence."""
    wide = lambda i, w: min(i + 1, w)
    if spec == "two_simplicial":
        return sum(wide(i, p["W1"]) * wide(i, p["W2"]) for i in range(n))
    return sum(wide(i, p.get("W", n)) for i in range(n))


# --- 2-simplicial in PyTorch; q is [B, H, N, D], keys and values are [B, G, N, D] ---


def windows(x, w):
    """[B, G, N, D] -> [B, G, N, w, D]: the w positions that end at each position; zeros before the start."""
    return F.pad(x, (0, 0, w - 1, 0)).unfold(2, w, 1).transpose(-1, -2)


def visible(n, w):
    """[N, w]: whether the window's slot is inside the sequence."""
    return torch.arange(n)[:, None] - torch.arange(w - 1, -1, -1)[None] >= 0


def simplicial_operands(q, k1, v1, k2, v2, p):
    b, h, n, d = q.shape
    g = k1.shape[1]
    bias = torch.zeros(n, p["W1"], p["W2"]).masked_fill(
        ~(visible(n, p["W1"])[:, :, None] & visible(n, p["W2"])[:, None]), float("-inf"))
    wide = [windows(x, w) for x, w in ((k1, p["W1"]), (v1, p["W1"]), (k2, p["W2"]), (v2, p["W2"]))]
    return q.view(b, g, h // g, n, d), *wide, bias.to(q.dtype)


def simplicial_einsum(q, k1, v1, k2, v2, p):
    """The formula as torch.einsum writes it, over gathered windows."""
    q5, a1, b1, a2, b2, bias = simplicial_operands(q, k1, v1, k2, v2, p)
    s = torch.einsum("bghnd,bgnjd,bgnkd->bghnjk", q5, a1, a2) * q.shape[-1] ** -0.5 + bias
    w = s.flatten(-2).softmax(-1).view(s.shape)
    return torch.einsum("bghnjk,bgnje,bgnke->bghne", w, b1, b2).reshape(q.shape)


def simplicial_bmm(q, k1, v1, k2, v2, p):
    """The same by hand: one batched matrix product for the scores and one for the output."""
    q5, a1, b1, a2, b2, bias = simplicial_operands(q, k1, v1, k2, v2, p)
    b, g, r, n, d = q5.shape
    rows = (q5.transpose(2, 3)[:, :, :, :, None] * a1[:, :, :, None]) * d**-0.5
    s = rows.reshape(b, g, n, r * p["W1"], d) @ a2.transpose(-1, -2)
    s = s.view(b, g, n, r, p["W1"], p["W2"]) + bias[:, None]
    w = s.flatten(-2).softmax(-1)
    o = (w.view(b, g, n, r * p["W1"], p["W2"]) @ b2).view(b, g, n, r, p["W1"], d)
    return (o * b1[:, :, :, None]).sum(-2).transpose(2, 3).reshape(q.shape)


def simplicial_sdpa(q, k1, v1, k2, v2, p):
    """scaled_dot_product_attention over materialised pairs; the heads of a group are its query positions."""
    q5, a1, b1, a2, b2, bias = simplicial_operands(q, k1, v1, k2, v2, p)
    b, g, r, n, d = q5.shape
    pairs = lambda x, y: (x[..., :, None, :] * y[..., None, :, :]).view(b * g * n, 1, -1, d)
    mask = bias.view(1, n, 1, -1).expand(b * g, n, 1, -1).reshape(b * g * n, 1, 1, -1)
    rows = q5.transpose(2, 3).reshape(b * g * n, 1, r, d)
    o = F.scaled_dot_product_attention(rows, pairs(a1, a2), pairs(b1, b2), attn_mask=mask)
    return o.view(b, g, n, r, d).transpose(2, 3).reshape(q.shape)


def simplicial_flex(n, p):
    """Compiled FlexAttention; its keys are the pairs (j, k) that some query sees, a band of k for each j."""
    w1, w2 = p["W1"], p["W2"]
    band = w1 + w2 - 1

    def seen(_b, _h, i, pair):
        j = pair // band
        k = j - w2 + 1 + pair % band
        return (j <= i) & (i - j < w1) & (k >= 0) & (k <= i) & (i - k < w2)

    mask = create_block_mask(seen, None, None, n, n * band, device="cpu")
    index = torch.arange(n)[:, None] + torch.arange(-w2 + 1, w1)[None]
    index = index.clamp(0, n - 1)
    attend = torch.compile(flex_attention, dynamic=False)

    def run(q, k1, v1, k2, v2, _p):
        pairs = lambda x, y: (x[:, :, :, None] * y[:, :, index]).flatten(2, 3)
        return attend(q, pairs(k1, k2), pairs(v1, v2), block_mask=mask, enable_gqa=q.shape[1] != k1.shape[1])

    return run


# --- plain attention in PyTorch ---


def plain_flex(n, p, cap):
    w = p.get("W", n)
    mask = create_block_mask(lambda _b, _h, i, j: (j <= i) & (i - j < w), None, None, n, n, device="cpu")
    score = (lambda s, _b, _h, _i, _j: 50.0 * torch.tanh(s / 50.0)) if cap else None
    attend = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: attend(q, k, v, score_mod=score, block_mask=mask)


def plain_sdpa(n, p):
    if "W" not in p:
        return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    at = torch.arange(n)
    mask = (at[None] <= at[:, None]) & (at[:, None] - at[None] < p["W"])
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def softcap_eager(n):
    future = torch.ones(n, n).triu(1).bool()

    def run(q, k, v):
        s = 50.0 * torch.tanh(q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 / 50.0))
        return s.masked_fill(future, float("-inf")).softmax(-1) @ v

    return run


def competitors(spec, lengths, p, dtype):
    """(name, function of no argument) for each way that PyTorch has."""
    torch._dynamo.reset()  # else the eighth FlexAttention of a process runs uncompiled
    n, h, g, b = lengths["N"], lengths["H"], lengths.get("G", lengths["H"]), lengths["B"]
    torch.manual_seed(0)
    make = lambda heads: torch.randn(b, heads, n, p["D"]).to(dtype)
    if spec == "two_simplicial":
        x = [make(h)] + [make(g) for _ in range(4)]
        ways = [("einsum", simplicial_einsum), ("eager bmm", simplicial_bmm), ("SDPA on pairs", simplicial_sdpa),
                ("FlexAttention on pairs", simplicial_flex(n, p))]
        return [(name, lambda f=f: f(*x, p)) for name, f in ways]
    x = [make(h), make(g), make(g)]
    ways = [("FlexAttention", plain_flex(n, p, spec == "softcap"))]
    ways.append(("eager", softcap_eager(n)) if spec == "softcap" else ("SDPA", plain_sdpa(n, p)))
    return [(name, lambda f=f: f(*x)) for name, f in ways]


def agree(results, dtype):
    """Largest difference between PyTorch's own ways, so that no competitor is timed on a wrong answer."""
    first = results[0].float()
    worst = max((r.float() - first).abs().max().item() for r in results)
    assert worst < (1e-4 if dtype == torch.float32 else 0.1), f"PyTorch's ways differ by {worst}"


# --- Trikl and the machine ---


def trikl(spec, lengths, p, dtype, threads, seconds):
    pairs = lambda x: ",".join(f"{k}={v}" for k, v in x.items())
    args = [TRIKL, "bench", str(ROOT / f"specs/{spec}.tkl"), "--json", "--threads", str(threads)]
    args += ["--min-time", str(seconds), "--dims", pairs(lengths)]
    for k, v in {**p, "T": dtype}.items():
        args += ["-D", f"{k}={v}"]
    out = subprocess.run(args, check=True, capture_output=True, text=True).stdout
    return json.loads(out)[0]["min_ms"] / 1e3


SGEMM = """
import numpy as np, time
a, b = (np.random.rand(2048, 2048).astype(np.float32) for _ in range(2))
best = 1e9
for _ in range(12):
    t = time.perf_counter(); a @ b; best = min(best, time.perf_counter() - t)
print(2 * 2048**3 / best / 1e9)
"""


def matmul_rates(threads):
    """GFLOP/s of sgemm (OpenBLAS in NumPy) and of the bf16 product in PyTorch, 2048^3."""
    env = dict(os.environ, OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    f32 = float(subprocess.run([sys.executable, "-c", SGEMM], env=env, check=True, capture_output=True).stdout)
    a, b = (torch.rand(2048, 2048).bfloat16() for _ in range(2))
    return {"f32": f32, "bf16": 2 * 2048**3 / timed(lambda: a @ b, 0.4) / 1e9}


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def measure(case, dtype, threads, seconds, rounds):
    name, spec, lengths, p = case
    torch.set_num_threads(threads)
    ways = competitors(spec, lengths, p, DTYPES[dtype])
    agree([f() for _, f in ways], DTYPES[dtype])
    flops = 4 * p["D"] * lengths["B"] * lengths["H"] * tuples(spec, lengths["N"], p)
    best, matmul = {}, 0
    for _ in range(rounds):
        times = {way: timed(f, seconds / rounds) for way, f in ways if best.get(way, 0) < seconds}
        times["trikl"] = trikl(spec, lengths, p, dtype, threads, seconds / rounds)
        best |= {way: min(t, best.get(way, t)) for way, t in times.items()}
        matmul = max(matmul, matmul_rates(threads)[dtype])
    row = {"case": name, "dtype": dtype, "threads": threads, "lengths": lengths, "defines": p, "gflop": flops / 1e9}
    row["trikl"], row["torch"] = best.pop("trikl"), best
    row["rate"], row["matmul"] = flops / row["trikl"] / 1e9, matmul
    return row


HEAD = """| case | type | threads | Trikl ms | GFLOP/s | matmul GFLOP/s | share | PyTorch ms (Trikl is faster by) |
| --- | --- | --: | --: | --: | --: | --: | --- |"""


def show(r):
    others = ", ".join(f"{w} {t * 1e3:.1f} ({t / r['trikl']:.1f}x)" for w, t in r["torch"].items())
    print(f"| {r['case']} | {r['dtype']} | {r['threads']} | {r['trikl'] * 1e3:.2f} | {r['rate']:.1f} "
          f"| {r['matmul']:.0f} | {r['rate'] / r['matmul']:.0%} | {others} |", flush=True)


def main():
    cli = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    cli.add_argument("--threads", default="1,2")
    cli.add_argument("--seconds", type=float, default=2.0)
    cli.add_argument("--rounds", type=int, default=3)
    cli.add_argument("--only", default="")
    cli.add_argument("--json")
    o = cli.parse_args()
    print(f"{cpu_name()}; PyTorch {torch.__version__}, NumPy {np.__version__}\n\n{HEAD}")
    rows = []
    for case in CASES:
        for dtype in DTYPES:
            for threads in map(int, o.threads.split(",")):
                if o.only in case[0]:
                    rows.append(measure(case, dtype, threads, o.seconds, o.rounds))
                    show(rows[-1])
    if o.json:
        pathlib.Path(o.json).write_text(json.dumps({"cpu": cpu_name(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
