"""Type and shape annotations of `rwf` are checked in every test, by jaxtyping and beartype."""

from jaxtyping import install_import_hook

hook = install_import_hook("rwf", "beartype.beartype")
