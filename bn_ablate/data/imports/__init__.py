"""Data of one's own, from files as people have them to a TFDS data set like any other."""

from bn_ablate.data.imports.importing import Imported, import_data, imported_from

__all__ = ["Imported", "import_data", "imported_from"]
