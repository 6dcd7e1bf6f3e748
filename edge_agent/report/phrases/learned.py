"""What a learning from confirmed parts notes for a person. One entry is one phrase."""

from __future__ import annotations

from typing import Final

from edge_agent.wording import mark

__all__ = ["LEARNED"]

LEARNED: Final = (
    mark(
        "the bundle is of a version that did not keep what was asked of its calibration: the defaults are taken, and "
        "the share of false rejects that its limit was set for"
    ),
    mark(
        "the limit of the bundle in use was set by hand, by {by}: {why}; that of the new bundle is found by its "
        "calibration"
    ),
    mark("the journal {name} is not there: what people said in it is not known here"),
    mark("of {known} known defects the newest {looked} are looked at"),
    mark("{number} of the parts to add rest on the word of {by} alone: have somebody else look"),
    mark(
        "PART {part} IS A KNOWN DEFECT, and its image is among the good ones that the bundle was made of: it is taken "
        "out of the new bundle"
    ),
    mark("no known defect of this camera: nothing tells whether the new bundle still finds defects"),
    mark("NOT TRIED, known defects without an image that can be judged: {parts}"),
    mark("NOT TRIED, parts that somebody calls defective and somebody else good, to be decided first: {parts}"),
)
