"""A user's own configs, in a folder outside the checkout that is laid out like configs/."""

from __future__ import annotations

import os

from experiments.config.compose import OWN_CONFIGS, config_folders
from experiments.files import typed_path


def use_own_configs(folder: str) -> None:
    """Add `folder` to what this process and those that it starts compose from.

    `folder`/experiment/x.yaml then is experiment=x, and so on for every group. Raises ConfigError where it is no
    folder.
    """
    own = str(typed_path(folder).resolve())
    named = [name for name in (os.environ.get(OWN_CONFIGS), own) if name]
    os.environ[OWN_CONFIGS] = os.pathsep.join(named)
    config_folders()
