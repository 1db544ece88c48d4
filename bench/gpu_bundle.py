#!/usr/bin/env python3
"""gpu_bundle: libtrikl-rt on a GPU, called from PyTorch: a spec compiled ahead of time by the program, then launched by
the small library alone.

in:  the program (TRIKL, default build/compiler/cli/trikl), libtrikl-rt.so (LIBTRIKL_RT, default
     build/runtime/api/libtrikl-rt.so), a GPU, PyTorch with CUDA
out: one line a check on stdout; exit 1 when one failed
run: python3 bench/gpu_bundle.py
"""
import ctypes as c
import os
import pathlib
import subprocess
import sys
import tempfile

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRIKL = os.environ.get("TRIKL", ROOT / "build/compiler/cli/trikl")
os.environ["LIBTRIKL"] = os.environ.get("LIBTRIKL_RT", str(ROOT / "build/runtime/api/libtrikl-rt.so"))
import gpu_library as g  # noqa: E402  (it loads the library that LIBTRIKL names)


def build(folder, targets, ptxas):
    """The bundle's path."""
    spec = pathlib.Path(folder) / "two.tkl"
    spec.write_bytes(g.SPEC)
    env = dict(os.environ) if ptxas else dict(os.environ, TRIKL_PTXAS="none")
    subprocess.run([TRIKL, "build", spec, "--target", targets, "--emit", "bundle", "-o", folder], check=True, env=env)
    return spec.with_suffix(".tklb")


def load(context, path):
    kernel = c.c_void_p()
    status = g.lib.tkl_bundle_open(context.handle, str(path).encode(), None, c.byref(kernel))
    assert status == g.OK, g.message()
    return kernel


def check_capture(kernel):
    """A kernel that was not loaded is refused, and runs once it is."""
    t = g.inputs(1, 64, 4, 1)
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        status = g.Call(kernel, t).launch()
        torch.zeros(1, device="cuda")
    g.check("a load during capture is refused", status == g.CAPTURE, status)
    g.expect_ok("prepared", g.lib.tkl_prepare(kernel, 0))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        status = g.Call(kernel, t).launch()
    graph.replay()
    torch.cuda.synchronize()
    g.check("and captured once it is prepared", status == g.OK and g.is_close(t)[0])


def check_bundle(context, targets, ptxas):
    print(f"-- {targets}, {'machine code and PTX' if ptxas else 'PTX'}")
    with tempfile.TemporaryDirectory() as folder:
        path = build(folder, targets, ptxas)
        kernel = load(context, path)
    check_capture(kernel)
    g.check_results(kernel)
    g.check_layouts(kernel)
    torch.cuda.synchronize()
    g.lib.tkl_kernel_destroy(kernel)


def main():
    torch.zeros(1, device="cuda")
    context = g.Context("")
    check_bundle(context, "sm_80", False)
    check_bundle(context, "sm_80,sm_90,sm_90a", True)
    with tempfile.TemporaryDirectory() as folder:
        kernel = load(context, build(folder, "sm_90a", True))
        g.expect_ok("prepared", g.lib.tkl_prepare(kernel, 0))
        g.check_threads(kernel)
        g.check_launch_time(kernel)
        other = load(context, build(folder, "sm_120", False))
        g.check("code for another GPU is refused", g.Call(other, g.inputs(1, 9, 2, 1)).launch() == 12, g.message())
    for k in kernel, other:
        g.lib.tkl_kernel_destroy(k)
    g.lib.tkl_context_destroy(context.handle)
    sys.exit(g.failures > 0)


if __name__ == "__main__":
    main()
