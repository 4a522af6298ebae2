"""What host and agent add to every subnet of a campaign: slicing, framing, forking, storing. Prints one JSON object.

Wall time per subnet minus the child's own time from loading to its last run; medians over the campaign. `share` is how
much of a campaign's wall time that is.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from edgewright.assembler.archive import TrainedSupernet
from edgewright.customize.templates import load_or_build
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices.connect import open_session
from edgewright.devices.registry import Registry
from edgewright.profiling.plan import PlanOptions
from edgewright.profiling.store.store import Store
from edgewright.shipped import shipped_supernet
from edgewright.workbench.profiles import campaign_records, profile_device

SUBNETS = 200


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained = TrainedSupernet.load(shipped_supernet())
        template = load_or_build(trained, folder)
        store = Store.open(folder / "store.sqlite")
        with store, open_session(Registry(folder).get("local"), folder) as session:
            profiled = profile_device(
                session, store, "local", trained, template, PlanOptions(SUBNETS), TimingProtocol()
            )
            records = campaign_records(store, "local", template)
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
    print(json.dumps(result))


if __name__ == "__main__":
    main()
