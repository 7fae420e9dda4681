"""Type and shape annotations of `rwf` are checked in every test, by jaxtyping and beartype."""

import sys
import types

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# The hook takes its checker by name; this one lets an int stand for a float, as static checkers do.
checker = types.ModuleType("rwf_checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))
sys.modules[checker.__name__] = checker
hook = install_import_hook("rwf", "rwf_checker.check")
