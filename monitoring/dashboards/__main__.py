"""Write every dashboard's JSON into a folder, by default beside the code."""

from __future__ import annotations

import argparse
from pathlib import Path

from monitoring.dashboards.district import district
from monitoring.dashboards.rendering import render

DASHBOARDS = {"district": district}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "generated")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in DASHBOARDS.items():
        (folder / f"{name}.json").write_text(render(build()), encoding="utf-8")


if __name__ == "__main__":
    main()
