"""What the running agent, its links and its store say of a part, a condition or an event. One entry is one phrase."""

from __future__ import annotations

from typing import Final

from edge_agent.wording import mark

__all__ = ["LINE", "WRAPPERS"]

WRAPPERS: Final = (mark("{where}: {words}"), mark("restarting after {words}"))
"""They fit nearly everything: taken only where what they hold is known as well."""

_PART: Final = (
    mark("camera {camera}: {words}"),
    mark("camera {camera}: the name {name} carries no count"),
    mark("neither image nor result came"),
    mark("no image of camera {cameras} by the deadline"),
    mark("no result line by the deadline: nothing proves when the image was taken"),
    mark("camera {camera}: not inspected by the deadline"),
    mark("camera {camera}: its image was not on the disk by the deadline"),
    mark("the inspection said early that this image is a reject for certain, and OK when it was done"),
    mark("the inspection said early that this part is a reject, and found nothing against it when it was done"),
    mark("the controller's own judgement is {judgement}"),
    mark("the controller's own judgement is not told"),
    mark("a result of a count that was already judged, without a new image"),
    mark("judged after the deadline"),
    mark("the next part came before this verdict"),
    mark("not ready"),
    mark("the line judges by it now"),
    mark("{folder} holds another bundle than the one that was begun"),
    mark("nothing proves that the result is of now"),
    mark("AGENT_DOWN: imaged while the agent did not hear it"),
    mark("DRY RUN: the output stays REJECT"),
    mark("BYPASS by {by}, which changes nothing here: {codes}: {words}"),
    mark("BYPASS by {by}, which changes nothing here: {codes}"),
    mark("BYPASS by {by}; without it {codes}: {words}"),
    mark("BYPASS by {by}; without it {codes}"),
    mark("BYPASS by {by}, {minutes} min left"),
    mark("not durable in time; the decision was {codes}: {words}"),
    mark("not durable in time; the decision was {codes}: "),
)
_TIME: Final = (
    mark("the result line before had the same count: this may be that line once more, or the counter was reset"),
    mark("a second result of its count came: the counter may have been reset, and the next part be here"),
    mark(
        "two parts were triggered before the controller told the count of the first: nothing tells whose result comes"
    ),
    mark("part {part} had this count, {count}, and is decided already: the image may belong to it"),
    mark("the controller's counter was reset at {session}: the result may belong to an earlier part"),
    mark("the controller's counter was reset after {time}: the image may belong to an earlier part"),
    mark(
        "the image was taken at {taken}, and the controller's clock said {clock} when its result had come: more than "
        "{seconds} s between the two, which is imaging_ms and deadline_ms of [line] and a second. Does the controller "
        "need more than imaging_ms?"
    ),
    mark("the image was taken at {taken}, the link is up since {since}"),
    mark("the image was taken at {taken}, and the controller's clock said {clock} just now"),
    mark("the image is of session {session}, which had ended: a newer one had begun"),
    mark("the controller has not told its clock since the result came: nothing proves that it is of now"),
    mark("it came before the link to the controller was up"),
    mark("the agent did not trigger it, or its verdict is given already"),
    mark("the controller's link had a gap: {words}"),
    mark("the controller changed from program {before} to {program}"),
    mark(
        "neither the image's folders nor the result line tell the program: add program to the controller's output and "
        "to [controller] result_items"
    ),
)
_CONDITIONS: Final = (
    mark("not checked yet"),
    mark("healthy"),
    mark("FAULT"),
    mark("the agent's loop is silent"),
    mark("it is being stopped"),
    mark("it ended by itself"),
    mark("the remote I/O is not there or not read back"),
    mark("the inbox is not open"),
    mark("a write has been waiting for the disk for {seconds} s"),
    mark("one inspection has been running for {seconds} s and does not come back"),
    mark("the controller took the trigger of part {part} and told nothing by the deadline"),
    mark(
        "its link is up, and the line waits until its clock shows the next second: an image of this second may have "
        "been taken before the link was up"
    ),
    mark(
        "its clock stands still at {clock}: nothing tells an old image from a new one. Set it, or restart the "
        "controller"
    ),
    mark(
        "images of two sessions come in turn: {name} of session {session}, and others of {other}, which had begun "
        "before it was taken. Two controllers send their images to this agent, or write into its folder: give each of "
        "them one of its own, then restart the agent. Where there is one controller alone, its clock was set back, and "
        "a restart is enough"
    ),
    mark("the controller's program is not known"),
    mark("the controller runs program {program}, which has no [[bundle]]"),
    mark("the part was imaged with program {program}, the controller runs {current}"),
    mark("the PLC has not asked for a program yet"),
    mark("the PLC wants program {wanted}, the controller runs {current}"),
    mark("the PLC wants program {wanted}, the controller runs {current}; program {program} has no [[bundle]]"),
    mark("the PLC wants program {wanted}, the controller runs none yet"),
    mark("the PLC wants program {wanted}, the controller runs none yet; program {program} has no [[bundle]]"),
    mark("part {part} was rejected and not seen leaving: look for it, then acknowledge"),
    mark("part {part} was rejected and not seen leaving, nor {others} after it: look for it, then acknowledge"),
    mark("the mode switch has not been read yet"),
    mark("the mode switch cannot be read: {words}"),
    mark("the mode switch is not on automatic"),
    mark("the disk has not answered for {seconds} s"),
    mark(
        "{free} are free on the disk of the {place_words} ({folder}), {needed} are needed; the archive has given what "
        "it can: free space there"
    ),
    mark("the disk of the {place_words} ({folder}) takes no file: {error}"),
    mark("journal"),
    mark("spool"),
    mark("the journal is closed"),
    mark("the journal {path} cannot be written: {error}"),
    mark("the journal {path} refused the row: {error}"),
    mark("the journal {path} cannot be opened: {error}"),
    mark("the journal {path} was moved or replaced while the agent writes to it"),
)
_CHANGES: Final = (
    mark("the images are {percent}% {moved_words} since {since_words}: {look_words}"),
    mark("the images are {moved_words} since {since_words}: {look_words}"),
    mark("the part lies {pixels} px further left since {since_words}: {look_words}"),
    mark("the part lies {pixels} px further right since {since_words}: {look_words}"),
    mark("the part lies {pixels} px further up since {since_words}: {look_words}"),
    mark("the part lies {pixels} px further down since {since_words}: {look_words}"),
    mark("the part lies turned by {degrees} degrees clockwise since {since_words}: {look_words}"),
    mark("the part lies turned by {degrees} degrees counter-clockwise since {since_words}: {look_words}"),
    mark("the part looks {percent}% larger since {since_words}: {look_words}"),
    mark("the part looks {percent}% smaller since {since_words}: {look_words}"),
    mark("the images fit the reference better ({now}, usual is {usual}) since {since_words}"),
    mark("the images fit the reference less well ({now}, usual is {usual}) since {since_words}"),
    mark("a verdict takes {now} ms, usual is {usual} ms, since {since_words}"),
    mark("good parts have a score of {now}% of the limit, usual is {usual}%, since {since_words}"),
    mark("good parts have {now}% of the limit in the view {name}, usual is {usual}%, since {since_words}"),
    mark("look at the stop, the fixture and the camera's mount"),
    mark("and {number} more: see the drift view"),
    mark("Monday, {time}"),
    mark("Tuesday, {time}"),
    mark("Wednesday, {time}"),
    mark("Thursday, {time}"),
    mark("Friday, {time}"),
    mark("Saturday, {time}"),
    mark("Sunday, {time}"),
)
_BESIDE: Final = (
    mark(
        "the archive's disk is nearly full: its oldest images go before it has reached its limit (free space there, or "
        "lower store.archive_max_gib)"
    ),
    mark("results for {receiver}: {words}"),
    mark("{receiver} did not get {number} result, which is set aside: edge-agent results list"),
    mark("{receiver} did not get {number} results, which are set aside: edge-agent results list"),
    mark("holds {passes_words}, {rejects_words} ({size})"),
    mark("no passes"),
    mark("no rejects"),
    mark("passes from before this journal"),
    mark("rejects from before this journal"),
    mark("{number} hours of passes"),
    mark("{number} hours of rejects"),
    mark("{number} days of passes"),
    mark("{number} days of rejects"),
    *_CHANGES,
    mark(
        "camera {camera}: the images have become {moved_words}, {share}% of the way to where every part is rejected "
        "({reason}): {look_words}"
    ),
)
_LINK: Final = (
    mark("setup mode"),
    mark("the agent stops"),
    mark("{name} was sent"),
    mark("not connected yet"),
    mark("{number} events were not taken"),
    mark("{number} events were not taken; the connection is dropped"),
    mark("the controller's clock went back from {before} to {clock}"),
    mark("{where}: this process stood still for {seconds} s"),
    mark(
        "{where}: the controller's clock went on by {seconds} s more than this machine's: this one stood still (a "
        "paused virtual machine), or that one was set forward"
    ),
    mark("the clock of {where} stands still at {clock}"),
    mark("{where} is not up: {words}"),
    mark("{where} is not connected: {words}"),
    mark("{where} took R0 but is not in run mode after {seconds} s"),
    mark("{where} goes on sending results after OE,0"),
    mark("{where} is in run mode but does not tell its program"),
    mark("the connection is closed"),
    mark("closed by the agent"),
    mark("{where} closed the connection"),
    mark("{name} was not sent: its deadline had passed"),
    mark("{name} was not sent: another command was in flight"),
    mark("no reply to {name} in time; the connection is dropped"),
    mark("the wait for the reply to {name} was cancelled"),
    mark("no resynchronisation after {name}: {words}"),
    mark("{where} sends without a delimiter: {bytes}"),
    mark("{where} sent {number} bytes without a delimiter"),
    mark("{where} answered {line} while {name} was in flight"),
    mark("{command} refused with {code}: {words}"),
    mark("the controller does not know this command"),
    mark("it cannot be executed now (not READY, trigger disabled, or wrong mode)"),
    mark("wrong number or range of parameters"),
    mark("a code that this driver does not know"),
    mark("{where} did not accept the connection within {seconds} s"),
    mark("{where} cannot be reached: {error}"),
    mark("{where} did not open within {seconds} s"),
    mark("{where} cannot be opened: {error}"),
    mark("the serial line was lost: look at its plug and its adapter or device server ({error})"),
    mark("the serial line takes nothing any more: look at its cable, and at the power of the peer"),
    mark("the remote I/O is not connected: {error}"),
)
_EVENTS: Final = (
    mark("the agent is up"),
    mark("SIMULATED peers"),
    mark("stopped on request"),
    mark("begins, by {by}, for {seconds} s: {why}"),
    mark("begins, by {by}: PASS is energised by hand"),
    mark("begins, by {by}: PASS stands, then nothing is written"),
    mark("begins: {words}"),
    mark("ends: {words}; it was begun by {by}"),
    mark("ends: {words}"),
    mark("ends: {words}; REJECT stands"),
    mark("ends: {words}; REJECT is NOT PROVEN"),
    mark("ends: {words}; PASS is off"),
    mark("ends: {words}; PASS is NOT PROVEN OFF"),
    mark("every step was read back"),
    mark("PASS fell {ms} ms after the last write"),
    mark("the gate was seen to close when the writes stopped, by {by}"),
    mark("its time is over"),
    mark("by {by}"),
    mark("there is room again, and a write was taken"),
    mark("part {part}, which was rejected and not seen leaving, by {by}"),
    mark("part {part}, camera {camera}: {words}"),
    mark("count {count}, {name}"),
    mark("counts {first} to {last}: {number} without any sign"),
    mark(
        "counts {first} to {last}: {number} without any sign; before them counts {begin} to {end}, which have no rows "
        "of their own"
    ),
)
_RECORD: Final = (
    mark("link {link} is missing: the next one is {next}"),
    mark("link {link}: {kind} {row} is not the row that was sealed, or is gone"),
    mark("link {link} is not the head that was noted: the chain was written anew"),
    mark("the noted head is link {link}, the chain ends at {end}: its end was cut off"),
    mark("{kind} {row} has no link: it was slipped in"),
    mark("part {part} is gone, its images are not"),
    mark("this image is not in the archive"),
    mark("the archived file is not the image that was judged: its hash differs from the journal's"),
    mark("the archived image cannot be read: {error}"),
    mark("the file is not the image that came: its sha256 is {found}, the journal says {recorded}"),
    mark("the file is not the image that was archived: its sha256 is {found}, its name says {recorded}"),
    mark("recorded {recorded}, now {now}"),
    mark("recorded score {recorded}, now {now}"),
    mark("recorded light and focus {recorded}, now {now}"),
    mark("recorded with bundle {recorded}, now {now}"),
    mark("no recorded verdicts to compare with"),
    mark("not judged: this image ended three workers, one after the other, with nothing beside it"),
    mark("{number} parts between them never had an image: their verdict is the recorded one"),
    mark(
        "{number} parts between them have no image here (a sample of passes is kept, or they were pruned): these "
        "images "
        "can be replayed, the shift cannot"
    ),
)
_PAGE: Final = (
    mark("this image was not inspected"),
    mark("this part has no image of that camera"),
    mark("there is no part {part} in the journal"),
    mark("this part cannot be judged again: {words}"),
    mark("the bundle that judged this part is not the one in line.toml now, nor one before it"),
    mark("too many pictures are asked for at once"),
    mark("too many requests wait for the agent"),
    mark("the agent did not answer"),
    mark("try again in a moment"),
    mark("see its log: systemctl status edge-agent"),
    mark("this page is read-only: line.toml names no web.token_file"),
    mark("the token is wrong or missing"),
    mark("a time of this calendar is expected"),
    mark(
        "{number} parts fit: a download has at most {most}. Choose a shorter time, or take: edge-agent journal export"
    ),
    mark("part {part} is {verdict}: what can be said of it is {fitting}"),
    mark("by a limit of {limit} known defects would pass: {defects}"),
    mark("what is known has changed meanwhile: {words}"),
    mark("another bundle was activated meanwhile"),
    mark("another limit is being moved: try again in a moment"),
    mark("another limit of this line is being moved"),
    mark("it was not to be kept, had to make room, or comes yet"),
    mark("somebody changed it, or the disk did; keep it for the record"),
)

_OF_OLDER_AGENTS: Final = (
    mark("the result before was of this count too: it may be the same once more"),
    mark("two parts were triggered, and no count had come"),
    mark("part {part} of count {count} was decided before: this image may be of it"),
    mark("the counter began anew at {session}: the result may be of a part before"),
    mark("the counter began anew after {time}: the image may be of a part before"),
    mark("the image is of session {session}, which was over"),
    mark("it came before the link was up"),
    mark("its link is up, and its clock has to show another second first: an image of this one may be of before"),
)
"""As journals have it that were written before these sentences were said in other words: rows are never changed."""

LINE: Final = (*_PART, *_TIME, *_CONDITIONS, *_BESIDE, *_LINK, *_EVENTS, *_RECORD, *_PAGE, *_OF_OLDER_AGENTS)
