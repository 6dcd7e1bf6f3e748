"""What is said of golden parts and reject samples: when they are due, why a line is locked, what is odd about one."""

from __future__ import annotations

from typing import Final

from edge_agent.wording import mark

__all__ = ["GOLDEN"]

GOLDEN: Final = (
    mark("no challenge was passed yet: edge-agent challenge"),
    mark("the challenge is overdue since {time}"),
    mark("the challenge is overdue since part {part}"),
    mark("the last challenge was not passed: show the samples again"),
    mark("the bundle is new since the last challenge: show the samples"),
    mark("from the agent's next start on: {words}"),
    mark("the clock was set back since the last challenge: show the samples again"),
    mark("it is not known how many parts came since the last challenge"),
    mark("the line is locked, nothing passes: {words}"),
    mark("nothing says that the samples were shown"),
    mark("it cannot be known whether the samples were shown"),
    mark("samples are due in {parts} parts"),
    mark("samples are due in {parts} parts or in {span}"),
    mark("samples are due in {minutes} min"),
    mark("samples are due in {hours} h"),
    mark("reject sample {name} scored {score} now; its first {times} times {least} to {most}: {words}"),
    mark("golden sample {name} scored {score} now; its first {times} times {least} to {most}: {words}"),
    mark("reject sample {name} scored {score}; line.toml expects {least} to {most}"),
    mark("golden sample {name} scored {score}; line.toml expects {least} to {most}"),
    mark("it may be worn, or may have been swapped with another"),
    mark("it may have been swapped with another"),
    mark("it scores as {other} does, and may have been swapped with it"),
    mark("it has been coming down for its last times, which is how a sample wears or gets dirty"),
    mark("it has been coming up for its last times, which is how a sample wears or gets dirty"),
    mark("broken off"),
    mark("broken off: {words}"),
    mark("{came} of {number} samples came"),
    mark("{came} of {number} samples came in time"),
    mark("the agent was started anew in the middle"),
    mark("a person answered for it (bypass)"),
    mark("it was judged by an unknown program, not by {wanted}"),
    mark("it was judged by program {program}, not by {wanted}"),
    mark("camera {camera} has no image of it"),
    mark("camera {camera} did not judge it"),
)
