"""What host and agent add to every subnet of a campaign: slicing, framing, forking, storing. Prints one JSON object.

Wall time per subnet minus the child's own time from loading to its last run; medians over the campaign. `share` is how
much of a campaign's wall time that is.
"""

from __future__ import annotations

import tempfile

import numpy as np
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

from benchmarks.runs import arguments, publish

SUBNETS = 200


def main() -> None:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, Workbench(folder) as bench:
        pair = bench.pair("local")
        profiled = pair.profile(CampaignOptions(SUBNETS))
        records = pair.records()
    added = [record.overhead_ms for record in records if record.overhead_ms is not None]
    child = [record.measurement.child_ms for record in records if record.measurement.child_ms is not None]
    result = {
        "added_ms": profiled.summary.overhead_ms,
        "added_p10_p90_ms": np.percentile(added, [10, 90]).tolist(),
        "child_ms": float(np.median(child)),
        "emit_ms": float(np.median([r.measurement.emit_ms for r in records if r.measurement.emit_ms is not None])),
        "share": float(np.sum(added) / (np.sum(added) + np.sum(child))),
        "records": len(records),
        "wall_s": profiled.summary.wall_s,
    }
    publish("campaign", result, options.json)


if __name__ == "__main__":
    main()
