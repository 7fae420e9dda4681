"""What the inside test says of meshes: `python -m scripts.inspect_mesh FILE [FILE ...] [--points 262144]`.

A line for each mesh: its size, whether it is watertight, how many rays label a point, and for how many points, near
the surface and in the bounding box, these disagree, so that a vote of 64 rays decides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from experiments.arguments import positive
from experiments.datasets.meshes import mesh_surface
from experiments.datasets.occupancy import near_surface, training_pool
from experiments.files import typed_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.inspect_mesh", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "files", nargs="+", type=typed_path, metavar="FILE", help="PLY, OBJ or STL, gzipped or not"
    )
    parser.add_argument("--points", type=positive, default=1 << 18, help="of each of the two sets (262144)")
    options = parser.parse_args(arguments)
    titles = ("vertices", "faces", "watertight", "rays", "disputed near", "in the box")
    print(f"{'mesh':28}" + "".join(f"{title:>15}" for title in titles))
    for path in options.files:
        try:
            surface = mesh_surface(path, path.name)
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        near, box = near_surface(surface, options.points), training_pool(surface, options.points)
        counts = (len(surface.vertices), len(surface.faces))
        facts = [*(f"{n:,}" for n in counts), *(("yes", "2") if surface.watertight else ("no", "6"))]
        facts += [f"{labelled.disputed / options.points:.3%}" for labelled in (near, box)]
        print(f"{path.name:28}" + "".join(f"{fact:>15}" for fact in facts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
