"""The vectors in, what verify.py says of each out."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "verify"))
from verify import verify_callback  # noqa: E402

cases = json.load(sys.stdin)["cases"]
json.dump([verify_callback(case["auth"], case["secrets"], case["now"]) for case in cases], sys.stdout)
