"""The files behind an enrollment: a person's chips and features, added and removed.

They are written just as capture.py and extract_features.py write them, so a later run of
extract_features.py finds nothing to do.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.cli import WRITE_ERRORS
from utils.faces.folder import FaceSaver
from utils.features.feature_files import FeatureRow, PersonFeatures, image_entry, load_person, save_rows
from utils.files import make_folder, subfolder


@dataclass(frozen=True)
class EnrolledFiles:
    """The two folders that enrollments write to."""

    faces_path: Path  # person folders with chips, as capture.py writes them
    features_path: Path  # person folders with features, as extract_features.py writes them
    fingerprint: str  # of the extractor in use

    def add(self, name: str, chip: np.ndarray, embedding: np.ndarray) -> Path:
        """Save a person's chip and its features (1, D): both or neither. Returns the chip's path.

        Raises one of WRITE_ERRORS if one of them cannot be written.
        """
        folder, saver = subfolder(self.faces_path, name), None
        try:
            make_folder(folder, private=True)
            saver = FaceSaver(folder)
            path = saver.save(chip)
            self._add_features(name, path, embedding)
        except WRITE_ERRORS:
            with contextlib.suppress(*WRITE_ERRORS):
                if saver is not None:
                    saver.undo()
                self.remove_if_empty(name)
            raise
        return path

    def remove(self, name: str, paths: list[Path]) -> None:
        """Delete chips with their features, then empty folders. After an OSError it can be called again."""
        for path in paths:
            path.unlink(missing_ok=True)
        self._remove_features(name, {path.name for path in paths})
        self.remove_if_empty(name)

    def _stored(self, name: str) -> PersonFeatures | None:
        try:
            return load_person(self.features_path, name)
        except FileNotFoundError:
            return None

    def _add_features(self, name: str, path: Path, embedding: np.ndarray) -> None:
        """Add a row (1, D) to a person's feature file.

        A file of unknown or different origin is left alone: extract_features.py will replace it.
        """
        stored = self._stored(name)
        manifest = stored.manifest if stored else None
        if stored and (manifest is None or manifest.extractor != self.fingerprint or manifest.align):
            return
        rows = [*(stored.rows() if stored else []), FeatureRow(image_entry(path), embedding[0])]
        save_rows(self.features_path, name, rows, self.fingerprint, align=0, faces=path.parent)

    def _remove_features(self, name: str, image_names: set[str]) -> None:
        stored = self._stored(name)
        if stored and stored.manifest:
            rows = [row for row in stored.rows() if row.image.name not in image_names]
            faces = subfolder(self.faces_path, name)
            save_rows(self.features_path, name, rows, stored.manifest.extractor, stored.manifest.align, faces)

    def remove_if_empty(self, name: str) -> None:
        for folder in (subfolder(self.faces_path, name), subfolder(self.features_path, name)):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
