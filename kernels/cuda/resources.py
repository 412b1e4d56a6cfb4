"""resources.py: what each kernel takes of a processor, held to resources.tsv.

    python3 kernels/cuda/resources.py BUILD NVCC [--write]

Reads what ptxas said of each kernel (BUILD/cuda/kernels/cuda/*.ptxas). No kernel may spill. Registers,
stack and shared memory are those of the table, exactly, where nvcc is the release that the table
names; another release's are printed. --write makes the table anew.
"""
import pathlib
import re
import subprocess
import sys

TABLE = pathlib.Path(__file__).with_name("resources.tsv")
HEAD = "kernel\tarch\tregisters\tstack\tshared\tspilled"


def kernels(build):
    """{(kernel, arch): [registers, stack, shared, spilled]} of all kernels."""
    found = {}
    for path in sorted(pathlib.Path(build, "cuda/kernels/cuda").glob("*.ptxas")):
        key, stack, spilled = None, 0, 0
        for line in path.read_text().split("\n"):
            if m := re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line):
                name = subprocess.run(["c++filt", "-p", m[1]], capture_output=True, text=True).stdout
                key = (re.sub(r"^void |\(.*", "", name.strip()), m[2])
            elif m := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
                stack, spilled = int(m[1]), int(m[2]) + int(m[3])
            elif (m := re.search(r"Used (\d+) registers", line)) and key:
                shared = re.search(r"(\d+) bytes smem", line)
                found[key] = [int(m[1]), stack, int(shared[1]) if shared else 0, spilled]
    return found


def main():
    build, nvcc = sys.argv[1], sys.argv[2]
    out = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    release = re.search(r"release ([\d.]+)", out)[1]
    found = kernels(build)
    rows = [f"{name}\t{arch}\t" + "\t".join(map(str, values)) for (name, arch), values in sorted(found.items())]
    if "--write" in sys.argv:
        TABLE.write_text("\n".join([f"# nvcc {release}", HEAD, *rows]) + "\n")
    wanted = TABLE.read_text().split("\n")
    faults = [f"{name} for {arch}: spills {v[3]} bytes" for (name, arch), v in found.items() if v[3]]
    if not found:
        faults.append("no kernel was found: build the library first")
    if wanted[0] == f"# nvcc {release}":
        faults += [f"not in {TABLE.name}: {row}" for row in rows if row not in wanted]
        faults += [f"only in {TABLE.name}: {row}" for row in wanted[2:] if row and row not in rows]
    else:
        print(f"{TABLE.name} is of {wanted[0][2:]}; with nvcc {release}:", *rows, sep="\n")
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"cuda-resources: {len(found)} kernels, {len(faults)} findings")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
