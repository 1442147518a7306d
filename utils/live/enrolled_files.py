"""What an enrollment adds to a person's two folders, and takes from them again.

Everything is written as capture.py and extract_features.py would have written it, so that a later run
of extract_features.py finds nothing to do.
"""

import contextlib
from pathlib import Path

import numpy as np

from utils.cli import InputError
from utils.faces.folder import FaceSaver
from utils.features.feature_files import PersonFeatures, delete_person, image_entry, load_person, save_person
from utils.files import make_folder


class PersonFiles:
    """The folders of capture.py and extract_features.py. fingerprint: of the extractor in use."""

    def __init__(self, faces_path: Path, features_path: Path, fingerprint: str):
        self.faces_path, self.features_path, self.fingerprint = faces_path, features_path, fingerprint

    def add(self, name: str, chip: np.ndarray, embedding: np.ndarray) -> Path:
        """Save a chip in the person's folder, and its features (1, D): both or neither. Returns the chip's path.

        Raises InputError or OSError where one of them cannot be written.
        """
        folder, saver = self.faces_path / name, None
        try:
            make_folder(folder)
            saver = FaceSaver(folder)
            path = saver.save(chip)
            self._add_features(name, path, embedding)
        except (InputError, OSError):
            with contextlib.suppress(OSError):
                if saver is not None:
                    saver.undo()
                self._remove_empty(name)
            raise
        return path

    def remove(self, name: str, paths: list[Path]) -> None:
        """Take chips and their features away, and what is empty then; may be called again where it failed."""
        for path in paths:
            path.unlink(missing_ok=True)
        self._remove_features(name, {path.name for path in paths})
        self._remove_empty(name)

    def _stored(self, name: str) -> PersonFeatures | None:
        try:
            return load_person(self.features_path, name)
        except FileNotFoundError:
            return None

    def _add_features(self, name: str, path: Path, embedding: np.ndarray) -> None:
        """Add a row (1, D) to a person's feature file, in the order of the image names.

        A file of which is not known what it was made from is left: extract_features.py makes it anew.
        """
        stored = self._stored(name)
        manifest = stored.manifest if stored else None
        if stored and (manifest is None or manifest.extractor != self.fingerprint or manifest.align):
            return
        known = list(zip(manifest.images, stored.matrix, strict=True)) if stored else []
        known.append((image_entry(path), embedding[0]))
        known.sort(key=lambda item: item[0][0])
        matrix = np.stack([row for _, row in known])
        try:
            save_person(self.features_path, name, matrix, [entry for entry, _ in known], self.fingerprint, align=0)
        except OSError:
            # The data may be written and the manifest not: the old data fits the old manifest.
            with contextlib.suppress(OSError):
                if stored:
                    save_person(self.features_path, name, stored.matrix, manifest.images, self.fingerprint, align=0)
                else:
                    delete_person(self.features_path, name)
            raise

    def _remove_features(self, name: str, gone: set[str]) -> None:
        stored = self._stored(name)
        if stored is None or stored.manifest is None:
            return
        manifest = stored.manifest
        kept = [index for index, entry in enumerate(manifest.images) if entry[0] not in gone]
        if kept:
            images = [manifest.images[index] for index in kept]
            save_person(self.features_path, name, stored.matrix[kept], images, manifest.extractor, manifest.align)
        else:
            delete_person(self.features_path, name)

    def _remove_empty(self, name: str) -> None:
        for folder in (self.faces_path / name, self.features_path / name):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
