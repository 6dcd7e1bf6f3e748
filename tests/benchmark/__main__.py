"""``make bench``: every benchmark after the other. Run it on a machine that does nothing else."""

from __future__ import annotations

import sys

from tests.benchmark import inspection, knn, registration, small_defects

if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    registration.main()
    inspection.main()
    knn.main()
    small_defects.main()
