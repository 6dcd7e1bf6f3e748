"""The optimiser of the autoencoder computes what torch's does."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from calibration.training.descent import OneCycleAdam


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10, 77])
def test_every_step_is_torchs_own_bit_for_bit(steps: int) -> None:
    torch.manual_seed(steps)
    ours = [torch.randn(5, 3), torch.randn(7)]
    theirs = [parameter.clone().requires_grad_() for parameter in ours]
    optimiser = torch.optim.Adam(theirs, lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    descent = OneCycleAdam(ours, 3e-3, steps)

    for _ in range(steps):
        gradients = [torch.randn_like(parameter) for parameter in ours]
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        optimiser.step()
        schedule.step()
        descent.step(gradients)

    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_a_step_imports_no_compiler() -> None:
    script = (
        "import sys, torch; from calibration.training.descent import OneCycleAdam\n"
        "x = torch.ones(3); OneCycleAdam([x], 1e-3, 5).step([torch.ones(3)])\n"
        "assert float(x[0]) < 1.0; sys.exit('torch._dynamo' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
