"""Files that were made to hurt whoever reads them, by what each is."""

import gzip
import io
import pickle
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
LABELS = np.arange(12) % 3


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._marker,)


def npy(shape: Any = (12, 8, 8), descr: Any = "|u1", content: bytes | None = None, **changes: Any) -> bytes:
    """Return an .npy file whose header may say anything."""
    fields = {"descr": descr, "fortran_order": False, "shape": shape, **changes}
    return raw_npy(repr(fields), IMAGES.tobytes() if content is None else content)


def raw_npy(header: str, content: bytes, version: bytes = b"\x01\x00", length: int | None = None) -> bytes:
    """Return an .npy file with this text as its header."""
    text = header.encode("latin1") + b"\n"
    told = struct.pack("<H" if version[:1] == b"\x01" else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + version + told + text + content


def npz(**members: bytes) -> bytes:
    """Return an .npz with good labels, unless they are given, beside the members."""
    return zipped({f"{name}.npy": content for name, content in {"y": npy_of(LABELS), **members}.items()})


def npy_of(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def zipped(members: dict[str, bytes], **options: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def pickled_npy(marker: Path) -> bytes:
    array = np.array([Bomb(marker)] * 12, dtype=object)
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def pickles(marker: Path) -> dict[str, bytes]:
    """Files by name, each of which touches `marker` where it is unpickled."""
    bomb = pickle.dumps(Bomb(marker))
    return {
        "objects.npz": npz(x=pickled_npy(marker)),
        "labels.npz": npz(x=npy_of(IMAGES), y=pickled_npy(marker)),
        "array.npy": pickled_npy(marker),
        "plain.pkl": bomb,
        "pickle-as.npz": bomb,
        "weights.pt": zipped({"archive/data.pkl": bomb, "archive/version": b"3\n"}),
        "weights-as.zip": zipped({"archive/data.pkl": bomb, "archive/version": b"3\n"}),
        "weights-as.npz": zipped({"x.npy": bomb, "y.npy": bomb}),
    }


def npy_mutants() -> dict[str, bytes]:
    """Headers that lie or that no array has."""
    good = npy()
    return {
        "7 TiB": npy((12, 2**43)),
        "overflow": npy((2**62, 4, 4)),
        "product wraps to the size": npy((2**32, 2**32, 12)),
        "negative": npy((-12, -8, 8)),
        "one negative": npy((12, -64)),
        "zero": npy((0, 8, 8), content=b""),
        "no axes": npy(()),
        "too many axes": npy((12, 2, 2, 2, 2, 2, 2)),
        "truth values": npy((True, 768)),
        "floats": npy((12.0, 64)),
        "text shape": npy("12"),
        "more than it holds": npy((13, 8, 8)),
        "less than it holds": npy((11, 8, 8)),
        "objects": npy(descr="|O"),
        "records": npy(descr=[("a", "u1")]),
        "records of objects": npy(descr=[("a", "O"), ("b", "u1")]),
        "subarrays": npy(descr=("|u1", (2, 2))),
        "complex": npy((12, 8), "<c8"),
        "long doubles": npy((12, 4), "<f16"),
        "times": npy((12, 8), "<M8[s]"),
        "bytes": npy((12, 8), "S8"),
        "endless text": npy((12,), "<U100000000"),
        "void": npy((12, 8), "V8"),
        "nonsense type": npy(descr="banana"),
        "missing key": raw_npy("{'descr': '|u1', 'shape': (12, 8, 8)}", IMAGES.tobytes()),
        "extra key": npy(more=1),
        "a call": raw_npy("{'descr': '|u1', 'fortran_order': False, 'shape': exit()}", b""),
        "deep": raw_npy("(" * 3000 + ")" * 3000, b""),
        "long header": raw_npy("#" * 60_000, b""),
        "endless header": raw_npy("{}", b"", version=b"\x02\x00", length=2**32 - 1),
        "version 9": raw_npy("{}", b"", version=b"\x09\x00"),
        "no header": good[:10],
        "half": good[: len(good) // 2],
        "not text": good[:10] + b"\xff" * 118 + good[128:],
        "huge number": raw_npy("{'descr':'|u1','fortran_order':False,'shape':(" + "9" * 4000 + ",)}", b""),
    }


def idx(array: np.ndarray, magic: bytes | None = None, shape: tuple[int, ...] | None = None) -> bytes:
    shape = array.shape if shape is None else shape
    head = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return head + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


def idx_zip(images: bytes, labels: bytes | None = None, ending: str = "") -> bytes:
    """Return a zip of the two training files."""
    labels = idx(LABELS.astype(np.uint8)) if labels is None else labels
    pack = gzip.compress if ending == ".gz" else bytes
    return zipped(
        {f"train-images-idx3-ubyte{ending}": pack(images), f"train-labels-idx1-ubyte{ending}": pack(labels)}
    )


def idx_mutants() -> dict[str, bytes]:
    """IDX files whose magic, axes and length disagree, each in a zip."""
    good = idx(IMAGES)
    flat = idx(IMAGES.reshape(-1))
    packed = gzip.compress(good)
    whole = {"train-labels-idx1-ubyte.gz": gzip.compress(idx(LABELS.astype(np.uint8)))}
    mutants = {
        "empty": b"",
        "magic only": good[:4],
        "axes cut": good[:11],
        "wrong magic": b"\x01\x00\x08\x03" + good[4:],
        "floats": b"\x00\x00\x0d\x03" + good[4:],
        "no axes": b"\x00\x00\x08\x00" + good[4:],
        "255 axes": b"\x00\x00\x08\xff" + good[4:],
        "one axis": flat,
        "4 GiB": idx(IMAGES, shape=(2**32 - 1, 1, 1)),
        "2^96": idx(IMAGES, shape=(2**32 - 1,) * 3),
        "zero": idx(IMAGES, shape=(0, 8, 8)),
        "too short": good[:-1],
        "too long": good + b"\x00",
    }
    found = {
        f"{what}{ending}": idx_zip(content, ending=ending)
        for what, content in mutants.items()
        for ending in ("", ".gz")
    }
    found |= {
        f"gzip: {what}": zipped({"train-images-idx3-ubyte.gz": content, **whole})
        for what, content in {
            "cut": packed[:-9],
            "checksum": packed[:-8] + b"\x00" * 8,
            "no gzip": good,
            "flags": packed[:3] + b"\xff" + packed[4:],
            "damaged": packed[:40] + b"\xff" * 40 + packed[80:],
            "bomb": gzip.compress(idx(np.zeros((60, 1000, 1000), dtype=np.uint8))),
        }.items()
    }
    return found


def png(size: tuple[int, int] = (8, 8), mode: str = "L", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, 7).save(stream, "PNG", **options)
    return stream.getvalue()


def pictures(extra: dict[str, bytes] | None = None) -> dict[str, bytes]:
    good = {f"{kind}/{number}.png": png() for kind in "ab" for number in range(3)}
    return {**good, **(extra or {})}


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG that claims a size; its pixels are zeros, and far too few."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\x00" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def animated(kind: str, frames: int = 50) -> bytes:
    stream = io.BytesIO()
    first, *more = (Image.new("L", (8, 8), number) for number in range(frames))
    first.save(stream, kind, save_all=True, append_images=more)
    return stream.getvalue()


def bad_pictures() -> dict[str, bytes]:
    """Pictures by file name; among good ones each is refused."""
    simple_fits = b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80)
    return {
        "10k.png": png((10_000, 10_000), "1"),
        "claims-2-billion.png": huge_png(2**31 - 1, 2**31 - 1),
        "claims-4096.png": huge_png(4096, 4096),
        "wide.png": png((5000, 1)),
        "truncated.png": png((64, 64))[:60],
        "empty.png": b"",
        "fits.png": simple_fits.ljust(2880),
        "gif.png": animated("GIF", 2),
        "frames.png": animated("PNG"),
        "frames.webp": animated("WEBP"),
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "html.jpg": b"<html><script>alert(1)</script></html>",
        "checksum.png": png()[:-20] + b"\x00" * 20,
        "half.jpg": _encoded("JPEG")[:100],
        "half.webp": _encoded("WEBP")[:30],
        "half.bmp": _encoded("BMP")[:60],
        "text.png": png(pnginfo=_text_bomb()),
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
    }


def _encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (1, 2, 3)).save(stream, kind)
    return stream.getvalue()


def _text_bomb() -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("bomb", "x" * 5_000_000, zip=True)
    return info


def bad_zips() -> dict[str, tuple[bytes, str]]:
    """Archives by what is wrong, each with a word of the member that the refusal names."""
    return {
        "parent": (zipped(pictures({"../../evil.png": png()})), "evil.png"),
        "inner parent": (zipped(pictures({"a/../../evil.png": png()})), "evil.png"),
        "absolute": (zipped(pictures({"/tmp/evil.png": png()})), "evil.png"),
        "drive": (zipped(pictures({"C:/evil.png": png()})), "evil.png"),
        "backslash": (zipped(pictures({"..\\evil.png": png()})), "evil.png"),
        "stream": (zipped(pictures({"evil.png::$DATA/x.png": png()})), "evil.png"),
        "unnamed": (zipped(pictures({".": png()})), "."),
        "long name": (zipped(pictures({"a/" + "e" * 600 + ".png": png()})), "eee"),
        "case": (zipped(pictures({"A/0.PNG": png()})), "0.PNG"),
        "full width": (zipped(pictures({"\uff41/0.png": png()})), "0.png"),
        "twice": (_twice(), "a/0.png"),
        "nul": (_renamed(b"a/0.png", b"a/\x00.png"), "a/"),
        "symlink": (_special(stat.S_IFLNK), "special.png"),
        "device": (_special(stat.S_IFCHR), "special.png"),
        "fifo": (_special(stat.S_IFIFO), "special.png"),
        "encrypted": (_flagged(), "a/0.png"),
        "lzma": (_packed(zipfile.ZIP_LZMA), "special.png"),
        "bzip2": (_packed(zipfile.ZIP_BZIP2), "special.png"),
        "ratio": (
            zipped({f"{kind}/{n}.png": b"\x00" * 4_000_000 for kind in "ab" for n in range(3)}),
            "unpack",
        ),
        "large member": (zipped(pictures({"a/large.png": b"\x00" * (64 * 1024**2 + 1)})), "large.png"),
    }


def understated_zip(declared: int = 1000, real: int = 64 * 1024**2) -> bytes:
    """Return a zip of one image whose directory says that it is far smaller than it unpacks to."""
    content = bytearray(zipped(pictures({"a/9.png": b"\x00" * real})))
    honest, lie = struct.pack("<I", real), struct.pack("<I", declared)
    return bytes(content).replace(honest, lie)


def many_members(count: int) -> bytes:
    """Return a zip of so many empty files, all in its directory."""
    name = b"a/1.png"
    local = struct.pack("<4s5HIIIHH", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    entry = (
        struct.pack(
            "<4s6HIIIHHHHHII", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0
        )
        + name
    )
    directory = entry * count
    # The count of the end record has 16 bits and lies: only the directory itself tells.
    end = struct.pack("<4s4HIIH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), len(local), 0)
    return local + directory + end


def _twice() -> bytes:
    content = zipped(pictures({"a/x.png": png()}))
    return content.replace(b"a/x.png", b"a/0.png")


def _renamed(old: bytes, new: bytes) -> bytes:
    return zipped(pictures()).replace(old, new)


def _flagged() -> bytes:
    content = bytearray(zipped(pictures()))
    first = content.index(b"PK\x01\x02")
    content[first + 8] |= 1
    return bytes(content)


def _special(kind: int) -> bytes:
    info = zipfile.ZipInfo("a/special.png")
    info.external_attr = (kind | 0o777) << 16
    return _with(info, b"/etc/passwd")


def _packed(method: int) -> bytes:
    info = zipfile.ZipInfo("a/special.png")
    info.compress_type = method
    return _with(info, png())


def _with(info: zipfile.ZipInfo, content: bytes) -> bytes:
    stream = io.BytesIO(zipped(pictures()))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(info, content)
    return stream.getvalue()
