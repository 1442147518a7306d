"""Write an exported network with its description, once it has proved equal to Keras."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from utils.exported import KIND, VERSION, checksum, description_path, network_files
from utils.files import write_bytes, write_json


def write_checked(path: Path, kind: str, write: Callable[[Path], None], describe: Callable[[Path], dict]) -> None:
    """Write a network's files and its description. If a step fails, the files that were there stay.

    Args:
        path: of the network; its extension says the format.
        kind: of utils.exported, EXTRACTOR or HEAD.
        write: writes the network to a temporary path.
        describe: compares that file with Keras and returns what the description says of it. Raises InputError to
            refuse it.
    """
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, path.name)
        write(temporary)
        description = {KIND: kind, "version": VERSION, **describe(temporary), "sha256": checksum(temporary)}
        for file in network_files(temporary):
            write_bytes(path.parent / file.name, file.read_bytes())
    write_json(description_path(path), description)
