#!/usr/bin/env python3
"""gpu_check: every spec of specs/ on a GPU against the float64 reference, over odd shapes; then times.

in:  the program (TRIKL, default build/compiler/cli/trikl; libraries beside it are found), a GPU with its driver
out: progress on stderr; last a short table on stdout; exit 1 when a check failed
run: bench/gpu_check.sh [--device cuda:0] [--only NAME]... [--quick] [--cuda] [--no-times]

A check is `trikl run --device cuda:0 --check`: outputs start as NaN, so an element that no thread writes fails it.
--cuda checks the CUDA C of each spec too, compiled by nvcc, and compares its results with those of the PTX: they are the
same bits, or differ by rounding. --emitters does nothing else. Times are CUDA events around single launches, the median.
"""
import argparse
import array
import concurrent.futures
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRIKL = pathlib.Path(os.environ.get("TRIKL", ROOT / "build/compiler/cli/trikl")).resolve()
ENV = dict(os.environ, LD_LIBRARY_PATH=f"{TRIKL.parent}:{os.environ.get('LD_LIBRARY_PATH', '')}")

# Lengths by the specs' own names; those that a spec lacks are left out. M and L are other sequences.
SHAPES = [
    dict(B=1, N=1, H=1, G=1, M=1, L=1),
    dict(B=2, N=7, H=3, G=1, M=5, L=9),
    dict(B=1, N=16, H=4, G=2, M=64, L=16),
    dict(B=2, N=33, H=5, G=5, M=1, L=40),
    dict(B=1, N=65, H=6, G=3, M=130, L=17),
    dict(B=1, N=127, H=2, G=1, M=63, L=65),
    dict(B=1, N=129, H=8, G=2, M=257, L=31),
    dict(B=3, N=200, H=7, G=1, M=100, L=70),
    dict(B=1, N=515, H=4, G=4, M=77, L=129),
    dict(B=2, N=9, H=4, G=2, M=0, L=0),
    dict(B=2, N=0, H=4, G=2, M=3, L=3),
    dict(B=0, N=5, H=2, G=1, M=5, L=5),
]
# Compile-time and run-time values that every spec which has them is also tried with.
DEFINES = [dict(T="f16"), dict(D=64), dict(D=48, E=80), dict(D=36), dict(W=1, W1=1, W2=1, W3=1, C=3),
           dict(W=10**12, W1=10**12, W2=40, W3=7)]
TIMED = [
    ("two_simplicial", "B=4,N=8192,H=128,G=1", ["-D", "W1=32", "-D", "W2=512"]),
    ("two_simplicial", "B=4,N=8192,H=128,G=1", ["-D", "W1=512", "-D", "W2=32"]),
    ("mha", "B=4,N=8192,H=16", []),
    ("gqa", "B=4,N=8192,H=16,G=4", []),
]


def trikl(*args, timeout=600):
    """(exit code, stdout, stderr) of the program."""
    p = subprocess.run([TRIKL, *map(str, args)], capture_output=True, text=True, env=ENV, cwd=ROOT, timeout=timeout,
                       errors="replace")
    return p.returncode, p.stdout, p.stderr


class Spec:
    """A spec's lengths and the names that -D may set."""

    def __init__(self, path):
        self.path, self.name, text = path, path.stem, path.read_text()
        _, model, _ = trikl("build", path, "--emit", "model", "-o", "-")
        self.lengths = re.findall(r"^  length  (\w+)", model, re.M)
        settings = " ".join(re.findall(r"^\s*(?:const|param) (.*?)(?:#.*)?$", text, re.M))
        self.names = set(re.findall(r"(\w+) *=", settings))
        self.outputs = re.findall(r"(\w+) *:", text[text.index("->"):].partition("{")[0])

    def dims(self, shape):
        shape = {k: v for k, v in shape.items() if k in self.lengths}
        return ["--dims", ",".join(f"{k}={v}" for k, v in shape.items())] if shape else []


def cases(specs, quick):
    """(spec, label, arguments): all shapes, then one shape for each set of defines."""
    for spec in specs:
        for shape in SHAPES[1::3] if quick else SHAPES:
            args = spec.dims(shape)
            yield spec, " ".join(args[1:]), args
        for define in [] if quick else DEFINES:
            known = {k: v for k, v in define.items() if k in spec.names}
            if known:
                args = [a for k, v in known.items() for a in ("-D", f"{k}={v}")]
                yield spec, " ".join(args[1::2]), args + spec.dims(SHAPES[6])


def check(options, case):
    """(spec, label, verdict, detail): verdict is ok, unsupported or FAILED."""
    spec, label, args = case
    code, out, err = trikl("run", spec.path, "--device", options.device, "--check", "--threads", 2, *args)
    last = (err.strip().splitlines() or ["?"])[0]
    if code == 0:
        return spec.name, label, "ok", ""
    if code == 1:  # the planner or the checker refused these values
        return spec.name, label, "unsupported", last
    if code == 2:
        worst = [line.strip() for line in out.splitlines() if "<--" in line or "reference says" in line]
        return spec.name, label, "FAILED", " ".join(worst)[:150]
    return spec.name, label, "FAILED", f"exit {code}: {err.strip()[:300]}"


def check_cuda(options, spec):
    """The same with the CUDA C of the spec, compiled by nvcc."""
    with tempfile.TemporaryDirectory() as folder:
        code, _, err = trikl("build", spec.path, "--target", options.target, "--emit", "cuda", "-o", folder)
        if code:
            return spec.name, "cuda", "unsupported", err.strip().splitlines()[0]
        source = next(pathlib.Path(folder).glob("*.cu"))
        cubin = source.with_suffix(".cubin")
        nvcc = subprocess.run(["nvcc", "-std=c++17", "-O3", f"-arch={options.target}", "-I", ROOT / "generated",
                               "-cubin", "-o", cubin, source], capture_output=True, text=True)
        if nvcc.returncode:
            return spec.name, "cuda", "FAILED", nvcc.stderr.strip()[:300]
        case = spec, "cuda " + str(SHAPES[6]), [*spec.dims(SHAPES[6]), "--target", options.target, "--code", cubin]
        result = check(options, case)
        return compare_emitters(options, spec, cubin, folder) if result[2] == "ok" else result


# --- both emitters' results ---

def read_npy(path):
    """The values of a small .npy file as ordered integers (so that neighbours differ by 1), and as floats."""
    data = pathlib.Path(path).read_bytes()
    end = 10 + struct.unpack("<H", data[8:10])[0]
    kind = re.search(rb"'descr': '<?(\w+)'", data[:end])[1].decode()
    code, bits = {"u2": ("H", 16), "f2": ("H", 16), "f4": ("I", 32)}[kind]
    raw = array.array(code, data[end:])
    ordered = [(1 << (bits - 1)) - x if x >> (bits - 1) else (1 << (bits - 1)) + x for x in raw]
    if kind == "u2":  # bf16
        return ordered, [struct.unpack("<f", struct.pack("<I", x << 16))[0] for x in raw]
    return ordered, [x[0] for x in struct.iter_unpack("<e" if kind == "f2" else "<f", data[end:])]


def differing(path, other):
    """(elements, how many differ, most units in the last place, largest relative difference) of two files."""
    (a, x), (b, y) = read_npy(path), read_npy(other)
    units = [abs(m - n) for m, n in zip(a, b)]
    relative = [abs(p - q) / max(1, abs(p)) for p, q, u in zip(x, y, units) if u]
    return len(a), sum(u > 0 for u in units), max(units, default=0), max(relative, default=0)


def compare_emitters(options, spec, cubin, folder):
    """PTX through ptxas and CUDA C through nvcc, on the same inputs."""
    code, out, err = 0, "", ""
    for name, extra in ("ptx", []), ("cuda", ["--code", cubin]):
        files = [a for o in spec.outputs for a in ("--output", f"{o}={folder}/{name}-{o}.npy")]
        code, out, err = trikl("run", spec.path, "--device", options.device, "--target", options.target, "--no-tune",
                               *spec.dims(SHAPES[6]), *files, *extra)
        if code:
            return spec.name, "emitters", "FAILED", f"{name}: exit {code}: {err.strip()[:300]}"
    words, worst = [], 0
    for o in spec.outputs:
        n, count, units, relative = differing(f"{folder}/ptx-{o}.npy", f"{folder}/cuda-{o}.npy")
        words.append(f"{o}: {count} of {n} differ, by {units} units, {relative:.1e}" if count else f"{o}: same bits")
        worst = max(worst, 0 if units <= 1 else relative)
    print(f"emitters {spec.name}: {'; '.join(words)}", file=sys.stderr, flush=True)
    return spec.name, "emitters", "FAILED" if worst > 1e-5 else "same" if "differ" not in str(words) else "ok", "; ".join(words)


def timed(options, name, dims, args):
    if not (ROOT / f"specs/{name}.tkl").exists():
        return f"{name}: no such spec"
    code, out, err = trikl("bench", f"specs/{name}.tkl", "--device", options.device, "--dims", dims, "--min-time", 2,
                           "--json", *args)
    if code:
        return f"{name} {dims} {' '.join(args[1::2])}: exit {code}: {err.strip()[:200]}"
    r = json.loads(out)[0]
    return (f"{name} {dims} {' '.join(args[1::2])}: {r['median_ms']:.3f} ms (min {r['min_ms']:.3f}), "
            f"{r['gflops_per_s'] / 1e3:.0f} TFLOP/s, {100 * r['share_of_peak']:.0f} % of peak, {r['registers']} registers, "
            f"{r['spilled_bytes']} B spilled, {r['shared_bytes'] // 1024} KiB, {r['blocks_per_sm']} blocks/SM")


def compile_times(options):
    """A cold and a cached compilation, from --time-report."""
    with tempfile.TemporaryDirectory() as cache:
        ENV["TRIKL_CACHE_DIR"] = cache
        lines = []
        for what in "cold", "cached":
            code, _, err = trikl("run", "specs/two_simplicial.tkl", "--device", options.device, "--dims", "N=64",
                                 "--time-report")
            stages = re.findall(r"^  (\w[\w ]*?) +([\d.]+)$", err, re.M)
            lines.append(f"compile, {what}: " + ", ".join(f"{k} {float(v):.1f}" for k, v in stages
                                                          if k not in ("inputs", "run")) + " ms")
        ENV.pop("TRIKL_CACHE_DIR")
    return lines


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--device", default="cuda:0")
    a.add_argument("--only", action="append", help="a spec's name; may be repeated")
    a.add_argument("--quick", action="store_true", help="a few shapes only")
    a.add_argument("--cuda", action="store_true", help="check the CUDA C too, by nvcc")
    a.add_argument("--emitters", action="store_true", help="--cuda, and nothing else")
    a.add_argument("--target", default="sm_90", help="of the CUDA C (default: sm_90)")
    a.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    a.add_argument("--no-checks", action="store_true")
    a.add_argument("--no-times", action="store_true")
    options = a.parse_args()
    specs = [Spec(p) for p in sorted((ROOT / "specs").glob("*.tkl")) if not options.only or p.stem in options.only]
    results, began = [], time.time()

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        work = [] if options.no_checks or options.emitters else [pool.submit(check, options, c) for c in cases(specs, options.quick)]
        if options.cuda or options.emitters:
            work += [pool.submit(check_cuda, options, s) for s in specs]
        for n, job in enumerate(concurrent.futures.as_completed(work), 1):
            results.append(job.result())
            if results[-1][2] not in ("ok", "same"):
                print(f"[{n}/{len(work)}]", *results[-1], file=sys.stderr, flush=True)
    took = time.time() - began
    times = [] if options.no_times or options.emitters else compile_times(options) + [timed(options, *t) for t in TIMED]

    count = {v: sum(r[2] == v for r in results) for v in ("ok", "same", "unsupported", "FAILED")}
    print(f"checks in {took:.0f} s: {count['ok'] + count['same']} ok, {count['unsupported']} unsupported, "
          f"{count['FAILED']} FAILED; CUDA C gives the bits of PTX for {count['same']} specs")
    for verdict in "unsupported", "FAILED":
        for name in sorted({r[0] for r in results if r[2] == verdict}):
            mine = [r for r in results if r[0] == name and r[2] == verdict]
            print(f"  {verdict} {name}: {len(mine)} of {sum(r[0] == name for r in results)}; {mine[0][1]}: {mine[0][3][:160]}")
    for line in times:
        print(line)
    sys.exit(count["FAILED"] > 0)


if __name__ == "__main__":
    main()
