"""The version of an experiment's protocol: which of its numbers compare with each other."""

from __future__ import annotations

import functools

from experiments.config.compose import ConfigError, compose_config, group_options


@functools.cache
def protocol_of(experiment: str) -> int:
    """The version that configs/experiment/<experiment>.yaml states as `about.protocol`, 1 where it states none.

    It is raised with any change of the experiment after which its older numbers no longer compare: it enters
    the ids of runs, and rows of another version count as stale. An experiment that is no longer there has
    version 1. Raises ConfigError where the file states no positive integer.
    """
    if experiment not in group_options("experiment"):
        return 1
    version = (
        compose_config([f"experiment={experiment}", "profile=paper"])[0].get("about", {}).get("protocol", 1)
    )
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ConfigError(
            f"experiment={experiment}: `about.protocol`={version!r}: must be an integer, 1 or more"
        )
    return version
