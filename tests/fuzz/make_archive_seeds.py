"""make_archive_seeds.py: small archives for fuzz_archive, in each form that is read, and of each kind of entry.

    python3 tests/fuzz/make_archive_seeds.py        writes tests/fuzz/corpus/archive
"""
import io
import pathlib
import tarfile
import zipfile

OUT = pathlib.Path(__file__).resolve().parent / "corpus" / "archive"
FILES = {"x/plugin.json": b"{}", "x/adapter_config.json": b'{"r": 8}', "x/README.md": b"---\nlicense: mit\n---\n",
         "x/deeper/plugin.json": b"{}"}
KINDS = {"symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE,
         "folder": tarfile.DIRTYPE}


def tar(path, mode, files, kinds=()):
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as out:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
        for name in kinds:
            entry = tarfile.TarInfo("x/" + name)
            entry.type, entry.linkname = KINDS[name], "plugin.json"
            out.addfile(entry)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for end in ("", "gz", "xz"):
        tar(OUT / f"plugin.tar{'.' if end else ''}{end}", f"w:{end}", FILES)
    tar(OUT / "kinds.tar", "w", {}, KINDS)
    tar(OUT / "paths.tar", "w", {"../plugin.json": b"", "/plugin.json": b"", "PLUGIN.json": b"", "\u00fc" * 120: b"1"})
    tar(OUT / "zeros.tar.gz", "w:gz", {"adapter_model.safetensors": bytes(1 << 21)})
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(OUT / f"plugin{method}.zip", "w", method) as out:
            for name, data in FILES.items():
                out.writestr(zipfile.ZipInfo(name), data, method)


main()
