"""Stands in for ale-py's build backend while pip downloads its sources.

pip asks a source package for its metadata before it hands the archive over, and for ale-py that means
installing the backend and jax first. This answers instead; nothing is built with it.
"""

import os


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = "ale_py-0.12.1.dist-info"
    os.makedirs(os.path.join(metadata_directory, folder))
    with open(os.path.join(metadata_directory, folder, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\nName: ale-py\nVersion: 0.12.1\n")
    return folder
