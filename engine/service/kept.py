"""Pictures that are kept because `--keep` says so: for so many days, and no longer than the person is enrolled."""

import hashlib
import os
import shutil
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from engine.errors import OutputError
from engine.files.atomic_files import new_file, own_folder

_NOBODY = "unknown"


class KeptPictures:
    """`FOLDER/DAY/WHOSE/REQUEST-N`: WHOSE is a hash of the name, so that no name lies in the folder."""

    def __init__(self, folder: Path, days: int) -> None:
        """Make the folder, for its owner alone. Raises `OutputError` where that cannot be."""
        self.folder, self.days = folder, days
        own_folder(folder)

    def keep(self, request_id: str, pictures: list[tuple[bytes, str | None]]) -> None:
        """Keep pictures, each under the identity that it was recognised as. Raises `OutputError` where one cannot be written."""
        day = self.folder / datetime.now(UTC).date().isoformat()
        try:
            for number, (data, identity) in enumerate(pictures):
                folder = day / _whose(identity)
                for each in (day, folder):
                    with suppress(FileExistsError):
                        each.mkdir(0o700)
                with os.fdopen(new_file(folder / f"{request_id}-{number}"), "wb") as file:
                    file.write(data)
        except OSError as error:
            raise OutputError(f"cannot write {day}: {error.strerror or error}") from error

    def erase(self, identity: str) -> int:
        """Delete all pictures that were recognised as somebody, and return how many there were."""
        count = 0
        for folder in self.folder.glob(f"*/{_whose(identity)}"):
            count += sum(1 for _ in folder.iterdir())
            shutil.rmtree(folder)
        return count

    def expire(self) -> None:
        """Delete pictures that are older than they may be kept."""
        oldest = datetime.now(UTC).date() - timedelta(days=self.days)
        for folder in self.folder.iterdir():
            with suppress(ValueError):
                if date.fromisoformat(folder.name) < oldest:
                    shutil.rmtree(folder)


def _whose(identity: str | None) -> str:
    return _NOBODY if identity is None else hashlib.sha256(identity.encode()).hexdigest()[:32]
