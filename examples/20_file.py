"""A segment in a file: its content is there again tomorrow, and a copy of the file is a segment too."""

import shutil
import tempfile
from pathlib import Path

from aioipc import ManagedMappedFile, SharedDict


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.segment"

        with ManagedMappedFile.create(path, 1 << 20) as segment:
            prices = SharedDict(segment, "prices")
            prices.update(tea=3, cake=5)
            segment.flush()  # on the disk now, whatever happens to the machine's power

        with ManagedMappedFile.open(path) as segment:  # in another process, after a reboot
            prices = SharedDict(segment, "prices")
            print("there again:", prices.copy())

            shutil.copyfile(path, path.with_name("backup.segment"))
            prices["tea"] = 4

        with ManagedMappedFile.open(path.with_name("backup.segment")) as backup:
            print("the backup: ", SharedDict(backup, "prices").copy())
            print("sound:      ", bool(backup.check_sanity()))


if __name__ == "__main__":
    main()
