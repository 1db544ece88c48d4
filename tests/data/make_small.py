#!/usr/bin/env python3
"""Makes the small tensors of this folder, f32, with the standard library only.

fortran_*.npy   [2, 13, 3, 8] in column-major order, so that every stride is unusual
odd_k.npy       [1, 40, 1, 8] with NaN at positions 0 and 21, infinity at 30
odd_v.npy       [1, 40, 1, 8] with NaN at position 5, infinities of both signs at 12 and 13
huge_q.npy      [1, 40, 1, 8] with rows of 1e12, -1e18 and 1e30: the exponentials must not overflow
Values are those of a linear congruential generator, roughly uniform in [-2, 2].
"""
import pathlib
import struct


def values(seed, n):
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) % 2**31
        yield (seed / 2**31 - 0.5) * 4


def save(name, shape, data, fortran=False):
    head = f"{{'descr': '<f4', 'fortran_order': {fortran}, 'shape': {shape}, }}"
    head += " " * (-(10 + len(head) + 1) % 64) + "\n"
    raw = b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head.encode()
    (pathlib.Path(__file__).parent / name).write_bytes(raw + struct.pack(f"<{len(data)}f", *data))


def position(data, n, value):
    """Sets all 8 features at position n."""
    data[8 * n : 8 * n + 8] = [value] * 8


def main():
    for seed, name in enumerate(("q", "k", "v"), 1):
        save(f"fortran_{name}.npy", (2, 13, 3, 8), list(values(seed, 2 * 13 * 3 * 8)), True)
    nan, inf = float("nan"), float("inf")
    k, v, q = (list(values(seed, 40 * 8)) for seed in (4, 5, 6))
    position(k, 0, nan)
    position(k, 21, nan)
    position(k, 30, inf)
    position(v, 5, nan)
    position(v, 12, inf)
    position(v, 13, -inf)
    for n in range(0, 40, 3):
        position(q, n, (1e12, -1e18, 1e30)[n // 3 % 3])
    for name, data in (("odd_k", k), ("odd_v", v), ("huge_q", q)):
        save(f"{name}.npy", (1, 40, 1, 8), data)


if __name__ == "__main__":
    main()
