#!/usr/bin/env python3
"""Trikl beside cuBLAS, PyTorch's SDPA (cuDNN and FlashAttention) and FlexAttention, in one run on one GPU.

  bench/gpu_peers.py [--trikl build/compiler/cli/trikl] [--rounds 3] [--flex] [--only NAME] [--svg FILE]

Every case is timed in rounds: Trikl, then its peers, then the next round; a figure is the median over rounds. FLOPs are 4 D for
each visible tuple of each head. Needs PyTorch with CUDA for the peers; without it only Trikl's columns are filled.
"""
import argparse
import json
import statistics
import subprocess
import sys

try:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError:
    torch = None

# name, spec, dims, defines, head dimension, peers: "full", "causal", a window, or None (no peer computes it)
CASES = [
    ("2-simplicial H=128 W=(32,512)", "two_simplicial", "B=4,N=8192,H=128,G=1", [], None, 128),
    ("2-simplicial H=128 W=(32,256)", "two_simplicial", "B=4,N=8192,H=128,G=1", ["W2=256"], None, 128),
    ("2-simplicial H=128 W=(32,1024)", "two_simplicial", "B=4,N=8192,H=128,G=1", ["W2=1024"], None, 128),
    ("2-simplicial H=64 W=(32,512)", "two_simplicial", "B=4,N=8192,H=64,G=1", [], None, 128),
    ("2-simplicial H=64 W=(512,32)", "two_simplicial", "B=4,N=8192,H=64,G=1", ["W1=512", "W2=32"], None, 128),
    ("2-simplicial H=32 G=4 W=(64,256)", "two_simplicial", "B=4,N=8192,H=32,G=4", ["W1=64", "W2=256"], None, 128),
    ("2-simplicial H=16 G=16 W=(32,256)", "two_simplicial", "B=4,N=8192,H=16,G=16", ["W1=32", "W2=256"], None, 128),
    ("2-simplicial H=128 D=64", "two_simplicial", "B=4,N=8192,H=128,G=1", ["D=64"], None, 64),
    ("determinant H=128 D=96", "determinant", "B=4,N=8192,H=128,G=1", ["D=96"], None, 96),
    ("pairwise H=128", "pairwise", "B=4,N=8192,H=128,G=1", [], None, 128),
    ("causal D=128", "mha", "B=4,N=8192,H=16", ["D=128"], "causal", 128),
    ("causal D=64", "mha", "B=4,N=8192,H=16", ["D=64"], "causal", 64),
    ("full D=128", "cross_attention", "B=4,N=8192,M=8192,H=16", ["D=128"], "full", 128),
    ("sliding window 512", "sliding_window", "B=4,N=8192,H=16,G=16", ["W=512", "D=128"], 512, 128),
]


def trikl_rate(o, spec, dims, defines):
    command = [o.trikl, "bench", f"specs/{spec}.tkl", "--device", "cuda:0", "--dims", dims, "--min-time", "0.4", "--json"]
    for d in defines:
        command += ["-D", d]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{spec}: {done.stderr.strip()[:200]}", file=sys.stderr)
        return None
    result = json.loads(done.stdout)
    if isinstance(result, list):
        result = result[0]
    return result["gflops_per_s"] / 1e3


def seconds(f):
    for _ in range(3):
        f()
    torch.cuda.synchronize()
    times = []
    for _ in range(9):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        f()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def matmul_rate():
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    return 2 * 8192**3 / seconds(lambda: a @ b) / 1e12


def sdpa_rate(backend, kind, d, flops):
    q, k, v = (torch.randn(4, 16, 8192, d, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    try:
        with sdpa_kernel(backend):
            run = lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=kind == "causal")
            return flops / seconds(run) / 1e12
    except RuntimeError as e:
        print(f"{backend}: {str(e)[:120]}", file=sys.stderr)
        return None


def flex_rate(kind, d, flops):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    window = kind if isinstance(kind, int) else 1 << 30
    q, k, v = (torch.randn(4, 16, 8192, d, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    torch._dynamo.reset()
    flex = torch.compile(flex_attention)
    mask = None
    if kind != "full":
        mask = create_block_mask(lambda b, h, i, j: (j <= i) & (i - j < window), None, None, 8192, 8192)
    return flops / seconds(lambda: flex(q, k, v, block_mask=mask)) / 1e12


def visible(kind):
    n = 8192
    if kind == "full":
        return n * n
    w = kind if isinstance(kind, int) else n
    return sum(min(w, i + 1) for i in range(n))


def peers_of(o, kind, d):
    if torch is None or kind is None:
        return {}
    flops = 4 * d * visible(kind) * 4 * 16
    p = {}
    if isinstance(kind, str):
        p["cuDNN"] = lambda: sdpa_rate(SDPBackend.CUDNN_ATTENTION, kind, d, flops)
        p["FlashAttention"] = lambda: sdpa_rate(SDPBackend.FLASH_ATTENTION, kind, d, flops)
    if o.flex:
        p["FlexAttention"] = lambda: flex_rate(kind, d, flops)
    return p


def median(values):
    values = [v for v in values if v]
    return statistics.median(values) if values else None


def plot(rows, path):
    """A bar for Trikl and each peer of each case."""
    width, step = 900, 22
    lines, y = [], 30
    most = max(v for r in rows for v in r[1].values() if v)
    for name, rates in rows:
        lines.append(f'<text x="10" y="{y}" font-weight="bold">{name}</text>')
        for who, v in rates.items():
            y += step
            if not v:
                continue
            fill = "#3465a4" if who == "Trikl" else "#aaaaaa"
            lines.append(f'<rect x="170" y="{y - 14}" width="{v / most * 600:.0f}" height="16" fill="{fill}"/>')
            lines.append(f'<text x="20" y="{y}">{who}</text><text x="{180 + v / most * 600:.0f}" y="{y}">{v:.0f}</text>')
        y += step + 10
    with open(path, "w") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" font-family="sans-serif" font-size="13">'
                f'<text x="10" y="14">TFLOP/s</text>{"".join(lines)}</svg>\n')


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--trikl", default="build/compiler/cli/trikl")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--flex", action="store_true", help="FlexAttention too (its compilation takes long)")
    a.add_argument("--only", help="cases whose name has this")
    a.add_argument("--svg", metavar="FILE")
    o = a.parse_args()
    cases = [c for c in CASES if not o.only or o.only in c[0]]
    rates = {c[0]: {"Trikl": []} for c in cases}
    products = []
    for _ in range(o.rounds):
        if torch is not None:
            products.append(matmul_rate())
        for name, spec, dims, defines, kind, d in cases:
            rates[name]["Trikl"].append(trikl_rate(o, spec, dims, defines))
            for who, rate in peers_of(o, kind, d).items():
                rates[name].setdefault(who, []).append(rate())
    product = median(products)
    if torch is not None:
        print(f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}; bf16; medians of {o.rounds} rounds")
        print(f"cuBLAS 8192^3: {product:.0f} TFLOP/s")
    print("| case | Trikl TFLOP/s | of cuBLAS | peers |\n| --- | --: | --: | --- |")
    rows = []
    for name, r in rates.items():
        m = {who: median(v) for who, v in r.items()}
        rows.append((name, m))
        share = f"{m['Trikl'] / product:.0%}" if product and m["Trikl"] else ""
        text = ", ".join(f"{who} {v:.0f}" for who, v in m.items() if who != "Trikl" and v)
        print(f"| {name} | {m['Trikl'] or 0:.0f} | {share} | {text} |")
    if o.svg:
        plot(rows, o.svg)


if __name__ == "__main__":
    main()
