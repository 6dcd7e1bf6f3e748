"""What a calibration says of its good parts, and what its limit promises. One entry is one phrase."""

from __future__ import annotations

from typing import Final

from edge_agent.wording import mark

__all__ = ["CALIBRATED"]

_LIMIT: Final = (
    mark(
        "The limit lies just above the {rank_words} score of {number} good parts, each scored without itself. Of new "
        "good parts like these, expect it to reject {expected}; with 95 % confidence fewer than {bound}. {more_words}"
    ),
    mark(
        "The limit lies where, by the {fitted} largest scores of {number} good parts, each scored without itself, "
        "{target} of good parts score more. That takes their tail for an exponential one. Whatever it is, the limit is "
        "not below the {rank_words} score: of new good parts like these, expect it to reject no more than {expected}; "
        "with 95 % confidence fewer than {bound}. {more_words}"
    ),
    mark(
        "The limit lies where, by the {fitted} largest scores of {number} good parts, each scored without itself, "
        "{target} of good parts score more, the largest of all left aside, for it lies further out than the "
        "others make "
        "likely. That takes their tail for an exponential one. Whatever it is, the limit is not below the {rank_words} "
        "score: of new good parts like these, expect it to reject no more than {expected}; with 95 % confidence fewer "
        "than {bound}. {more_words}"
    ),
    mark(
        "EXTRAPOLATED, NOT PROVEN: the limit lies above the scores of all {number} good parts. If scores fall off as "
        "the {fitted} largest do (an exponential tail), expect {target} of good parts to be rejected, in 9 of 10 such "
        "calibrations {low} to {high}; if their tail is heavier, more. Without that model only this is known: "
        "expect no "
        "more than {expected}; with 95 % confidence fewer than {bound}. A limit this high also lets more defects pass. "
        "{more_words}"
    ),
    mark(
        "At most {target} were asked for: that is what to expect, not what is promised. To have it with 95 % "
        "confidence, ask for {ask}. {more_words}"
    ),
    mark(
        "At most {target} were asked for: that is what to expect, not what is promised. To have it with 95 % "
        "confidence takes {number} good images. {more_words}"
    ),
    mark(
        "A score from {begin} up to the limit is REVIEW: expect {share} of good parts there. On the line REVIEW is a "
        "reject; with it expect {expected} of good parts to be rejected in all, with 95 % confidence fewer than "
        "{bound}. "
        "{more_words}"
    ),
    mark("What share of defects is found cannot be told from good parts."),
    mark("largest"),
    mark("{number}st largest"),
    mark("{number}nd largest"),
    mark("{number}rd largest"),
    mark("{number}th largest"),
    mark("the limit lies above the score of {name}, which is far above the others': defects up to it pass"),
    mark(
        "look at {name}: its score is {largest}, the next one's {second}, further out than the others make likely. It "
        "had no say in the limit, and parts like it will be rejected. If it is not good, calibrate again with "
        "--leave-out {same_name}"
    ),
)
_DEFECTS: Final = (
    mark(
        "{missed} of {number} known-defective parts would pass. With 95 % confidence fewer than {bound} of "
        "defects like "
        "these would; of other kinds this says nothing. {more_words}"
    ),
    mark(
        "{missed} of {number} known-defective parts would pass: {names}. With 95 % confidence fewer than {bound} of "
        "defects like these would; of other kinds this says nothing. {more_words}"
    ),
    mark("They had a say in how parts are compared: for a share that is certain, judge others. {more_words}"),
    mark("None of them was stopped by its score: they do not tell whether the limit lies right."),
    mark("The least conspicuous of them, {name}, scores {ratio} times what a part may score to pass."),
    mark("No limit catches all of them: one scores less than every good part."),
    mark(
        "A limit of {limit} would let none of them pass. Expect it to reject {expected} of good parts, with 95 % "
        "confidence fewer than {bound}; to set it, ask for --false-rejects {ask}. What a limit that was set so misses "
        "must be proven with other defective parts."
    ),
)
_LAY: Final = (
    mark("images are compared as they come, without registration"),
    mark("parts are searched within {degrees} degrees, as asked"),
    mark("parts are searched within {degrees} degrees: a wider search serves them no better"),
    mark("the good parts lie within {degrees} degrees"),
    mark("the good parts lie turned at any angle: the full circle is searched"),
    mark("registration lays no good image onto another: {words}"),
    mark("the reference image has too little structure to register to"),
    mark("the reference image has too little structure to register to: {words}"),
    mark("no part is rejected for where it lies: the score alone judges it"),
    mark("left out: {names} of {number} good images do not register, nor will such parts on the line"),
    mark("good parts register badly: they differ among themselves more than in where they lie"),
    mark("no gate on registration quality: good parts reach {usual}, others {others}"),
    mark("good parts register at {low} to {high}, below {gate} a part is rejected"),
    mark("the gate stops poses that are wrong by {number} px or more"),
    mark("the gate stops no pose that is wrong by {number} px or less"),
    mark("it stops a part turned by half a circle (quality {quality})"),
    mark(
        "no gate on the part's likeness as a whole, which says nothing of where it lies: good parts have {least} "
        "or more, "
        "moved by a tenth of the picture {moved}"
    ),
    mark(
        "a part whose likeness to the reference as a whole is below {gate} is rejected: good parts have {least} "
        "or more, "
        "moved by a tenth of the picture {moved}"
    ),
    mark(
        "Nothing but the score stops a part that lies wrong, there is no gate on where it lies: where parts can "
        "come so, "
        "let the fixture or a tool of the controller refuse them, and put one through the line: it must be rejected."
    ),
    mark(
        "The registration gate does not stop a part turned by half a circle (quality {quality}, rejected below "
        "{gate}): "
        "where parts can come so, let the fixture or a tool of the controller refuse them, and put one through the "
        "line: it must be rejected. A part that looks the same from there does no harm."
    ),
    mark("the whole inspected area counts: no part stands out from what is at its border"),
    mark("the whole inspected area counts, as far as the mask is white: no part stands out from what is at its border"),
    mark(
        "the part at full size is looked at with {width} x {height} px: an inspection took {took} ms with it on this "
        "PC, {within} ms are asked for with --within"
    ),
    mark(
        "the part at full size is looked at with {width} x {height} px: an inspection took {took} ms with it on this "
        "PC, {within} ms are what line.deadline_ms leaves an inspection"
    ),
    mark(
        "line.deadline_ms leaves an inspection {within} ms, and no size is that quick here: looked at with {width} x "
        "{height} px, the smallest there is, an inspection takes {took} ms on this PC ({cpu}), {before} ms of them to "
        "read the image and to find the part in it. An agent on a PC like this one will not start with this bundle"
    ),
    mark("only the part counts: {share}% of the inspected area"),
    mark("only the part counts, as far as the mask is white: {share}% of the inspected area"),
)
_ANSWERS: Final = (
    mark("parts are laid on each other before they are compared"),
    mark("images are compared as they come"),
    mark("each place is compared with the same place of good parts"),
    mark("each place is compared with all places of good parts"),
    mark("the part at full size is seen in all its colours"),
    mark("the part at full size is seen in one colour, and beside it in all of them"),
    mark("defects are told apart better (AUC {figures})"),
    mark("nothing speaks clearly for the other way (AUC of defects: {figures})"),
    mark("nothing can be clearly better (AUC of defects: {figures})"),
    mark("as asked"),
    mark("{plane}, as asked"),
    mark("every good image registers at {quality} or better"),
    mark("every good image registers well"),
    mark("its colours would be seen by too few other views"),
    mark("there is no colour in which good parts differ clearly less than in grey"),
    mark("{plane}, for there good parts differ {share}% as much as in grey"),
)
_LEARNED: Final = (
    mark(
        "the autoencoder did not learn: its error on good images it has not seen is {error}; the mean image alone has "
        "{mean}, the images' own variance is {variance}"
    ),
    mark(
        "the autoencoder did not learn: its error on good images it has not seen is {error}; the mean image alone has "
        "{mean}, the images' own variance is {variance}: it has no voice in the score, but its map in the "
        "pictures says "
        "little"
    ),
    mark(
        "the autoencoder did not learn: its error on good images it has not seen is {error}; the mean image alone has "
        "{mean}, the images' own variance is {variance}: the channels {first} and {second} are left out"
    ),
    mark(
        "{number} of {total} good images stands apart from all others: {names}; the next one has {next}, the "
        "usual one 0"
    ),
    mark(
        "{number} of {total} good images stand apart from all others: {names}; the next one has {next}, the usual one 0"
    ),
    mark(
        "{number} of {total} good images stands apart from all others: {names}; the next one has {next}, the "
        "usual one 0: "
        "look at them"
    ),
    mark(
        "{number} of {total} good images stand apart from all others: {names}; the next one has {next}, the usual "
        "one 0: "
        "look at them"
    ),
    mark("kept as good by a person: {names}; the oddest of the others has {next}"),
    mark("an image is rejected as LIGHT or FOCUS outside {ranges}"),
    mark(
        "{name} differs from the others in {quantity_words} ({value}, theirs {low} to {high}): was the light, or the "
        "focus, another one? Leave it out if so"
    ),
)
_MORE: Final = (
    mark(
        "learned from {counts} of the {number} good parts, a synthetic defect scored above a new good part in {shares} "
        "of 100 cases: about as many again are likely to pay"
    ),
    mark(
        "learned from {counts} of the {number} good parts, a synthetic defect scored above a new good part in {shares} "
        "of 100 cases: more of the same will change little"
    ),
    mark(
        "learned from {counts} of the {number} good parts, a synthetic defect scored above a new good part in {shares} "
        "of 100 cases; where each place is compared with all places some {wanted} good parts are wanted"
    ),
    mark("{words}; where each place is compared with all places some {wanted} good parts are wanted"),
    mark("not tried with more than {number} good parts"),
    mark("not tried on an inspected area this narrow"),
    mark("it could not be found out: {error}"),
    mark(
        "a usual good part passes in each of {number} disturbances of light and lens; none takes it nearer to the limit"
    ),
    mark(
        "a usual good part passes in each of {number} disturbances of light and lens; the worst, {title_words}, "
        "takes it "
        "{share} of the way to the limit"
    ),
    mark(
        "good parts would be rejected by their score in: {titles}. These good parts are so much alike that this looks "
        "like a defect: keep light, focus and kind of image as constant as they were for these images, or add good "
        "images that were taken so"
    ),
    mark("10 % darker"),
    mark("10 % brighter"),
    mark("gamma {value}"),
    mark("red +5 %, blue -5 %"),
    mark("red -5 %, blue +5 %"),
    mark("10 % brighter to the right"),
    mark("10 % brighter to the left"),
    mark("defocus, sigma 1 px"),
    mark("JPEG, quality 75"),
    mark("noise, sigma 2"),
)
_COLLECTED: Final = (
    mark("registers at {quality}"),
    mark("another shape: {width} x {height}, the others are {usual_width} x {usual_height}"),
    mark("the same picture as {name}"),
    mark("does not register like the others (quality {quality}): another part, or turned?"),
    mark("broken: {words}"),
    mark("it shows program {program}, not {wanted}"),
    mark("the controller's own tools judged it NG"),
    mark("its file ends in {rows} rows of zeros, most of the others are black in {usual} there: its end is lost"),
    mark("passed over in {folder}: {names}"),
    mark("passed over in {folder}: {names}, left there by a program or an operating system"),
    mark("passed over in {folder}: {names}, a link to a folder, a pipe or the like and no file"),
    mark(
        "passed over in {folder}: {names}, a folder with images in it: images are taken from one folder only",
    ),
    mark("passed over in {folder}: {names}, a folder that cannot be read"),
    mark("passed over in {address}: {number} objects that are no PNG, BMP or JPEG by their names"),
)

CALIBRATED: Final = (*_LIMIT, *_DEFECTS, *_LAY, *_ANSWERS, *_LEARNED, *_MORE, *_COLLECTED)
