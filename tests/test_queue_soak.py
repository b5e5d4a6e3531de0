"""A few seconds of the soak of the queue; `python tests/soak_queue.py` is the long form."""

import pytest

from soak_queue import Soak, parse

pytestmark = [pytest.mark.queue, pytest.mark.lycosa]


def test_soak(tmp_path, seed):
    few = ["--seconds=5", "--clients=16", "--processes=4", "--kill-clients-every=1"]
    soak = Soak(tmp_path, parse([*few, "--kill-server-every=2", f"--seed={seed}"]))
    findings = soak.run()
    assert findings.wrong == [] and soak.probes.early == [], soak.server.log()[-3000:]
    assert findings.taken >= findings.acknowledged > 50 and findings.kills >= 4
