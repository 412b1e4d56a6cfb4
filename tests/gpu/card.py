"""card.py: the card that gpu-check and gpu-bench would run on.

    python3 tests/gpu/card.py [arch]

Prints its name, or with arch what nvcc is to build for (90 for compute capability 9.0). Asks the driver
itself, so it needs neither nvidia-smi nor PyTorch. Without a usable card it says what is missing and
ends with 1.
"""
import ctypes
import sys

LEAST = 80  # as kernels/cuda/device.c


def ask(cuda, function, *arguments):
    failed = getattr(cuda, function)(*arguments)
    if failed:
        sys.exit(f"no card: the NVIDIA driver is there, but {function} says {failed}; see nvidia-smi")


def main():
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        sys.exit("no card: libcuda.so.1, the NVIDIA driver's library, is not on this machine")
    count, capability, name = ctypes.c_int(), [ctypes.c_int(), ctypes.c_int()], ctypes.create_string_buffer(96)
    ask(cuda, "cuInit", 0)
    ask(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if not count.value:
        sys.exit("no card: the NVIDIA driver shows none; see nvidia-smi")
    ask(cuda, "cuDeviceGetName", name, len(name), 0)
    for part, attribute in zip(capability, (75, 76)):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
        ask(cuda, "cuDeviceGetAttribute", ctypes.byref(part), attribute, 0)
    arch = capability[0].value * 10 + capability[1].value
    if arch < LEAST:
        sys.exit(f"no card: {name.value.decode()} has compute capability {arch / 10}, {LEAST / 10} is needed")
    print(arch if "arch" in sys.argv[1:] else name.value.decode())


if __name__ == "__main__":
    main()
