"""Zip files of data in the competition's layout, and what is below a folder."""

import zipfile
from io import BytesIO
from pathlib import Path

LAYOUT = {
    "train.csv": b"id,class\n1,chapati\n2,ugali\n",
    "test.csv": b"id\n3\n",
    **{f"images/images/{number}.jpg": b"image %d" % number for number in (1, 2, 3)},
}
TRAIN = "\nNext:\n  kenyan13 train model=efficientnet_b4 freeze=pt5"


def pack(members: dict[str, bytes], links: tuple[str, ...] = ()) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if name in links else 0o100644) << 16
            archive.writestr(info, content)
    return file.getvalue()


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
