"""``make bench``: every benchmark after the other. Run it on a machine that does nothing else."""

from __future__ import annotations

import argparse

from tests.benchmark import inspection, knn, registration, small_defects

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__).parse_args()
    registration.main()
    inspection.main()
    knn.main()
    small_defects.main()
