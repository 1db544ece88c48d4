#!/usr/bin/env python3
"""gpu_library: the C library on a GPU, called from PyTorch: results, CUDA graphs, streams, strides, what it refuses.

in:  libtrikl.so (LIBTRIKL, default build/compiler/api/libtrikl.so), a GPU, PyTorch with CUDA
out: one line a check on stdout; exit 1 when one failed
run: LIBTRIKL=build/compiler/api/libtrikl.so python3 bench/gpu_library.py
"""
import ctypes as c
import os
import pathlib
import sys
import tempfile
import threading
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBTRIKL = os.environ.get("LIBTRIKL", ROOT / "build/compiler/api/libtrikl.so")
OK, SHAPE, DEVICE, LAYOUT, CAPTURE = 0, 4, 6, 7, 13

SPEC = b"""
attention two(q : T[B, i, H, D], k1 : T[B, j, G, D], v1 : T[B, j, G, D], k2 : T[B, k, G, D], v2 : T[B, k, G, D])
    -> (o : T[B, i, H, D], lse : f32[B, H, i])
{
    const D = 64, T = bf16
    param W1 = 8, W2 = 32
    group G of H
    index i, j, k : N
    window j in (i - W1, i]
    window k in (i - W2, i]
    s = sum(d) q[d] * k1[d] * k2[d] / sqrt(D)
    p = softmax(j, k) s
    o = sum(j, k) p * v1 * v2
    lse = logsumexp(j, k) s
}
"""


class Device(c.Structure):
    _fields_ = [("type", c.c_int32), ("id", c.c_int32)]


class DType(c.Structure):
    _fields_ = [("code", c.c_uint8), ("bits", c.c_uint8), ("lanes", c.c_uint16)]


class Tensor(c.Structure):
    _fields_ = [("data", c.c_void_p), ("device", Device), ("ndim", c.c_int32), ("dtype", DType),
                ("shape", c.POINTER(c.c_int64)), ("strides", c.POINTER(c.c_int64)), ("byte_offset", c.c_uint64)]


class Param(c.Structure):
    _fields_ = [("index", c.c_int), ("value", c.c_int64)]


class LaunchArgs(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("tensors", c.POINTER(c.POINTER(Tensor))), ("tensor_count", c.c_size_t),
                ("params", c.POINTER(Param)), ("param_count", c.c_size_t), ("lengths", c.c_void_p),
                ("length_count", c.c_size_t), ("stream", c.c_void_p), ("progress", c.c_void_p),
                ("progress_user", c.c_void_p)]


class ContextOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("threads", c.c_int), ("cache_directory", c.c_char_p),
                ("no_disk_cache", c.c_int), ("note", c.c_void_p), ("note_user", c.c_void_p)]


class CompileOptions(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("spec", c.c_char_p), ("source_name", c.c_char_p), ("target", c.c_char_p),
                ("defines", c.c_void_p), ("define_count", c.c_size_t), ("diagnostics_format", c.c_int)]


class Counters(c.Structure):
    _fields_ = [("struct_size", c.c_size_t), ("compiles", c.c_uint64), ("cache_hits", c.c_uint64), ("loads", c.c_uint64)]


lib = c.CDLL(str(LIBTRIKL))
lib.tkl_last_error_message.restype = c.c_char_p
for name in "tkl_context_destroy", "tkl_kernel_destroy":
    getattr(lib, name).argtypes = [c.c_void_p]
    getattr(lib, name).restype = None
lib.tkl_launch.argtypes = [c.c_void_p, c.c_void_p]
lib.tkl_prepare.argtypes = [c.c_void_p, c.c_int]
lib.tkl_context_counters.argtypes = [c.c_void_p, c.c_void_p]


def message():
    return lib.tkl_last_error_message().decode()


class Context:
    def __init__(self, cache):
        self.handle = c.c_void_p()
        options = ContextOptions(c.sizeof(ContextOptions), 1, cache.encode() or None, 0, None, None)
        assert lib.tkl_context_create(c.byref(options), c.byref(self.handle)) == OK, message()

    def compile(self, target=b"cuda:0", text=SPEC):
        kernel = c.c_void_p()
        options = CompileOptions(struct_size=c.sizeof(CompileOptions), target=target)
        status = lib.tkl_compile(self.handle, text, c.c_size_t(len(text)), c.byref(options), c.byref(kernel), None)
        assert status == OK, message()
        return kernel

    def counters(self):
        n = Counters(c.sizeof(Counters))
        assert lib.tkl_context_counters(self.handle, c.byref(n)) == OK
        return n.compiles, n.cache_hits, n.loads


def describe(t):
    code = {torch.bfloat16: (4, 16), torch.float16: (2, 16), torch.float32: (2, 32)}[t.dtype]
    kind = 2 if t.is_cuda else 1
    n = t.dim()
    return Tensor(t.data_ptr(), Device(kind, t.get_device() if t.is_cuda else 0), n, DType(*code, 1),
                  (c.c_int64 * n)(*t.shape), (c.c_int64 * n)(*t.stride()), 0)


class Call:
    """Arguments of a launch, kept alive; launch() gives the status."""

    def __init__(self, kernel, tensors, windows=None):
        self.kernel, self.tensors = kernel, tensors
        self.described = [describe(t) for t in tensors]
        self.pointers = (c.POINTER(Tensor) * len(tensors))(*map(c.pointer, self.described))
        self.params = (Param * 2)(*[Param(n, w) for n, w in enumerate(windows or (8, 32))])
        self.args = LaunchArgs(c.sizeof(LaunchArgs), self.pointers, len(tensors), self.params, 2 if windows else 0)

    def launch(self, stream=None):
        stream = stream or torch.cuda.current_stream()
        self.args.stream = stream.cuda_stream
        return lib.tkl_launch(self.kernel, c.byref(self.args))


def inputs(B, N, H, G, D=64, seed=0):
    g = torch.Generator(device="cuda").manual_seed(seed)
    shapes = [(B, N, H, D)] + [(B, N, G, D)] * 4
    made = [torch.randn(s, device="cuda", generator=g).to(torch.bfloat16) for s in shapes]
    return made + outputs(B, N, H, D)


def outputs(B, N, H, D=64):
    return [torch.full((B, N, H, D), float("nan"), device="cuda", dtype=torch.bfloat16),
            torch.full((B, H, N), float("nan"), device="cuda")]


def reference(tensors, windows=(8, 32)):
    """o and lse in float64, by materialised pairs."""
    q, k1, v1, k2, v2 = (t.double() for t in tensors[:5])
    H, G, N, D = q.shape[2], k1.shape[2], q.shape[1], q.shape[3]
    k1, v1, k2, v2 = (t.repeat_interleave(H // G, 2) for t in (k1, v1, k2, v2))
    s = torch.einsum("bihd,bjhd,bkhd->bhijk", q, k1, k2) / D**0.5
    i = torch.arange(N, device=q.device)
    age = i[:, None] - i[None, :]
    seen = [(age >= 0) & (age < w) for w in windows]
    s = s.masked_fill(~(seen[0][:, :, None] & seen[1][:, None, :]), float("-inf"))
    lse = torch.logsumexp(s.flatten(-2), -1)
    p = torch.exp(s - lse[..., None, None])
    return torch.einsum("bhijk,bjhd,bkhd->bihd", p, v1, v2), lse


failures = 0


def check(what, fine, detail=""):
    global failures
    failures += not fine
    print(f"{'ok    ' if fine else 'FAILED'} {what}{': ' + str(detail) if detail != '' else ''}", flush=True)


def expect_ok(what, status):
    check(what, status == OK, "" if status == OK else message())


def is_close(tensors, windows=(8, 32)):
    o, lse = reference(tensors, windows)
    error = (tensors[5].double() - o).norm() / o.norm().clamp(min=1e-30)
    return bool(error < 2e-2 and (tensors[6].double() - lse).abs().max() < 2e-2), f"relative error {error:.1e}"


def check_results(kernel):
    for shape in (1, 1, 1, 1), (2, 33, 4, 2), (1, 100, 6, 1), (3, 65, 3, 3):
        t = inputs(*shape)
        status = Call(kernel, t).launch()
        check(f"B, N, H, G = {shape}", status == OK and is_close(t)[0], message() if status else is_close(t)[1])


def check_sweep(context, kernel):
    before, wrong = context.counters(), 0
    pairs = [(a, b) for a in (1, 2, 5, 16, 100) for b in (1, 7, 32, 1 << 40)]
    for n in range(200):
        for windows in pairs:
            t = inputs(1, n, 2, 1) if n % 40 == 3 else None
            call = Call(kernel, t or inputs_of(n), windows)
            wrong += call.launch() != OK
            if t and n < 130:
                wrong += not is_close(t, windows)[0]
    torch.cuda.synchronize()
    check("200 lengths by 20 pairs of windows", wrong == 0, f"{wrong} wrong")
    check("compile and load counters stand still", context.counters() == before, context.counters())


LARGE = {}


def inputs_of(n):
    """Slices of tensors that are made once: values do not matter."""
    if not LARGE:
        LARGE["t"] = inputs(1, 256, 2, 1)
    t = LARGE["t"]
    return [x[:, :n] for x in t[:6]] + [t[6][:, :, :n]]


def check_graph(context, kernel):
    assert lib.tkl_prepare(kernel, 0) == OK, message()
    t = inputs(2, 96, 4, 1)
    call, graph = Call(kernel, t), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        status = call.launch()
    fresh = inputs(2, 96, 4, 1, seed=7)
    for a, b in zip(t[:5], fresh[:5]):
        a.copy_(b)
    graph.replay()
    direct = Call(kernel, fresh).launch()
    torch.cuda.synchronize()
    fine = status == direct == OK and torch.equal(t[5], fresh[5])
    check("a graph replays with new data", fine, "" if fine else message())
    other = context.compile(text=SPEC.replace(b"W1 = 8", b"W1 = 9"))
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        status = Call(other, t).launch()
        torch.zeros(1, device="cuda")
    check("an unprepared kernel is refused during capture", status == CAPTURE, message())
    expect_ok("and runs after it", Call(other, t).launch())
    torch.cuda.synchronize()
    lib.tkl_kernel_destroy(other)


def check_layouts(kernel):
    t = inputs(2, 80, 4, 2)
    assert Call(kernel, t).launch() == OK
    expected = t[5].clone()

    def same(what, views, bits=True):
        """The same bits; of a launch that another kernel takes, the same but for rounding."""
        out = outputs(2, 80, 4)
        status = Call(kernel, views + out).launch()
        fine = torch.equal(out[0], expected) if bits else is_close(t[:5] + out)[0]
        check(what, status == OK and fine, message() if status else "")

    same("strided rows", [torch.cat([x, x], -1)[..., :64] for x in t[:5]])
    same("heads before positions", [x.transpose(1, 2).contiguous().transpose(1, 2) for x in t[:5]])
    flat = [torch.cat([x.flatten()[:1], x.flatten()]) for x in t[:5]]
    same("misaligned by one element", [f[1:].view(x.shape) for f, x in zip(flat, t)], bits=False)
    views = [x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in t[:5]]
    status = Call(kernel, views + outputs(2, 80, 4)).launch()
    check("a last dimension that is not contiguous is refused", status == LAYOUT, message())
    status = Call(kernel, [x.cpu() for x in t[:5]] + outputs(2, 80, 4)).launch()
    check("a tensor of the host is refused", status == DEVICE, message())


def check_threads(kernel):
    results = []

    def work(seed):
        stream, t = torch.cuda.Stream(), inputs(1, 64, 4, 1, seed=seed)
        torch.cuda.synchronize()
        fine = all(Call(kernel, t).launch(stream) == OK for _ in range(200))
        stream.synchronize()
        results.append(fine and is_close(t)[0])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    check("eight threads, each on its stream", results == [True] * 8)


def check_launch_time(kernel):
    call = Call(kernel, inputs(1, 1, 1, 1))
    handle, args, stream = call.kernel, c.byref(call.args), torch.cuda.current_stream()
    call.launch(stream)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(1000):
        lib.tkl_launch(handle, args)
    took = (time.perf_counter() - began) * 1e3
    torch.cuda.synchronize()
    check("host time of a launch, through ctypes", took < 20, f"{took:.1f} us")


def check_times(cache, kernel):
    check_launch_time(kernel)
    began = time.perf_counter()
    context = Context(cache)
    again = context.compile()
    assert lib.tkl_prepare(again, 0) == OK, message()
    took = (time.perf_counter() - began) * 1e3
    compiles, hits, loads = context.counters()  # of the kernel, and of its companion where it has one
    check("a cached kernel, ready to launch", compiles == 0 and hits == loads, f"{took:.1f} ms")
    lib.tkl_kernel_destroy(again)
    lib.tkl_context_destroy(context.handle)


def main():
    torch.zeros(1, device="cuda")
    with tempfile.TemporaryDirectory() as cache:
        context = Context(cache)
        began = time.perf_counter()
        kernel = context.compile()
        check("compiled", context.counters() == (1, 0, 0), f"{(time.perf_counter() - began) * 1e3:.0f} ms, with ptxas")
        assert lib.tkl_prepare(kernel, 0) == OK, message()
        check_results(kernel)
        check_sweep(context, kernel)
        check_layouts(kernel)
        check_graph(context, kernel)
        check_threads(kernel)
        check_times(cache, kernel)
        torch.cuda.synchronize()
        lib.tkl_kernel_destroy(kernel)
        lib.tkl_context_destroy(context.handle)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
