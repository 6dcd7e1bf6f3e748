"""Good images in, reference bundle out; and the evaluation of the result on labelled images."""

import os
import tempfile

# When its optimisers are imported torch makes this folder, one of its own among the temporary files unless it is told
# which, and leaves it there. Nothing here compiles, so nothing is ever kept in it.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", tempfile.gettempdir())
