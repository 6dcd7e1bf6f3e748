"""What the inbox and the inspection say of one image. One entry is one phrase."""

from __future__ import annotations

from typing import Final

from edge_agent.wording import mark

__all__ = ["IMAGE"]

_RECEIVED: Final = (
    mark("empty: 0 bytes were received"),
    mark("larger than the {number} bytes that are taken"),
    mark("larger than the {limit} bytes that are taken, after {number} bytes"),
    mark("no data connection was made"),
    mark("no data connection was made, after {number} bytes"),
    mark("the transfer was aborted, after {number} bytes"),
    mark("nothing came for {seconds} s, after {number} bytes"),
    mark("the data connection broke ({error}), after {number} bytes"),
    mark("could not be stored: {error}"),
    mark("could not be read back: {error}"),
    mark("the proof itself failed: {error}"),
    mark("could not be taken out of the watched folder: {error}"),
    mark("STOR was refused: {reply}"),
    mark("{number} images were already waiting"),
    mark("{number} before it were not even listed"),
    mark("it lay in the folder before the agent watched it"),
    mark("it came while the agent stood still for {seconds} s"),
    mark("one of {number} files that came at once"),
    mark(
        "the file changed between its proof and its inspection: what was read is not what came (sha256 {sha256}): "
        "something else writes into the spool"
    ),
    mark("the file cannot be read again after its proof: {error}"),
    mark("the file changed after it came: something else writes into the spool"),
    mark("cannot be read: {error}"),
    mark("a link that leads nowhere"),
    mark("it is no file"),
    mark("{number} bytes are more than any image has ({limit})"),
    mark("its name is not UTF-8, and no record could hold it: rename it"),
)
_FORMAT: Final = (
    mark("the file is empty"),
    mark("the file holds nothing but {number} zero bytes"),
    mark("not a BMP, PNG or JPEG file: it starts with {bytes}"),
    mark("a TIFF file, not a BMP, PNG or JPEG file"),
    mark("a GIF file, not a BMP, PNG or JPEG file"),
    mark("a WebP file, not a BMP, PNG or JPEG file"),
    mark("a JPEG 2000 file, not a BMP, PNG or JPEG file"),
    mark("a PDF file, not a BMP, PNG or JPEG file"),
    mark("a ZIP file, not a BMP, PNG or JPEG file"),
    mark("a Git LFS pointer, not the picture itself: a text file, not a BMP, PNG or JPEG file"),
    mark("{width} x {height} pixels are more than the limit of {limit}"),
    mark("the {format} file does not decode: {error}"),
    mark("a {format} file of mode {mode} is not supported: save it as 8-bit grey or RGB"),
    mark("got {shape_words}, the reference is {other_words}"),
    mark("{size} grey"),
    mark("{size} RGB"),
    mark("{size} {number} channels"),
    mark("an array of shape {shape}"),
    mark("broken BMP file: {words}"),
    mark("broken PNG file: {words}"),
    mark("broken JPEG file: {words}"),
    mark("a BMP file that is not understood: {words}"),
    mark("a PNG file that is not understood: {words}"),
    mark("a JPEG file that is not understood: {words}"),
    mark("an odd file: {where}: {words}"),
    mark("{number} of {total} files are odd, and their pictures whole: {where}: {words}"),
)
_BMP: Final = (
    mark("{number} bytes are too few for the headers"),
    mark("its header says {said} bytes, {number} came"),
    mark("the BMP file's header says {said} bytes, {number} came"),
    mark("a header of OS/2 (12 bytes): save it as a Windows BMP or as PNG"),
    mark("impossible header: size {size}, planes {planes}, {width} x {height}"),
    mark("its pixels are said to begin at {at}, inside its header of {number} bytes"),
    mark("{width} x {height} at {bits} bits need {needed} bytes from {at} on, the file has {number}"),
    mark("a pixel names colour {number} of a palette of {total}"),
    mark("{bits} bits a pixel are not supported: only 8, 24 and 32 are"),
    mark("8 bits a pixel without a palette do not tell grey values: save it with its palette, or as PNG"),
    mark("a palette of {number} colours does not fit between its header and its pixels at {at}"),
    mark("a 32-bit file with unusual colour masks is not supported"),
    mark("compression {number} is not supported: only uncompressed files prove their length"),
)
_JPEG: Final = (
    mark("it holds no picture"),
    mark("an end mark (EOI) at {at} of {number} bytes, before all of the picture was told"),
    mark("an end mark (EOI) at {at} of {number} bytes, in the middle of the picture"),
    mark("no marker at {at} of {number} bytes, the end mark (EOI) is missing"),
    mark("segment {segment} at {at} is cut off, the end mark (EOI) is missing"),
    mark("a frame of kind {kind} is not supported: save it as 8-bit baseline JPEG"),
    mark("impossible size {width} x {height}"),
    mark("a scan header is cut off"),
    mark("a run of zeros at {at}, inside the coded pixels"),
    mark("a Huffman table is cut off"),
    mark("its coded pixels do not end, the end mark (EOI) is missing"),
    mark("{number} bytes follow the end mark (EOI) of the JPEG file"),
)
_PNG: Final = (
    mark("{number} bytes follow the end mark (IEND) of the PNG file"),
    mark("its pixel data is not the {number} bytes of {width} x {height} pixels"),
    mark("its header has {number} bytes instead of 13"),
    mark("impossible header: {width} x {height}, colour type {colour}"),
    mark("{bits} bits a channel are not supported: save it with 8"),
    mark("an interlaced file is not supported: save it without interlacing"),
    mark("cut off at {at} bytes, the end mark (IEND) is missing"),
    mark("chunk {kind} ends at {at}, the file at {number}"),
    mark("chunk {kind} at {at} has a wrong checksum"),
    mark("it does not start with its one header chunk (IHDR)"),
    mark("its pixel data does not inflate: {error}"),
    mark("an animated PNG file: its first picture is judged"),
)
_LAY: Final = (
    mark("score {score}, registration quality {quality}"),
    mark("registration quality {quality} is below {least}"),
    mark("the part is not where it should be: its likeness {likeness} is below {least}"),
    mark("{share}% of the inspected area lies outside the image"),
    mark("the part is {pose_words}"),
    mark("turned by {value} degrees, the good parts by {low} to {high} (limit {limit})"),
    mark("shifted to the right by {value} px, the good parts by {low} to {high} (limit {limit})"),
    mark("shifted down by {value} px, the good parts by {low} to {high} (limit {limit})"),
    mark("larger by a factor of {value}, the good parts by {low} to {high} (limit {limit})"),
    mark("of a contrast multiplied by {value}, the good parts by {low} to {high} (limit {limit})"),
    mark("brighter by {value} grey values, the good parts by {low} to {high} (limit {limit})"),
    mark(
        "the file ends in {rows} rows of zeros: good images end in at most {most}, and as the part lies good parts are "
        "black in {dark}"
    ),
)
_CONDITION: Final = (
    mark(
        "the image is {how_words} than the good parts' images (its {quantity_words} on the part is {value}, "
        "theirs have "
        "{low} to {high}, allowed is at least {edge}): {look_words}"
    ),
    mark(
        "the image is {how_words} than the good parts' images (its {quantity_words} on the part is {value}, "
        "theirs have "
        "{low} to {high}, allowed is at most {edge}): {look_words}"
    ),
    mark(
        "the image is {how_words} than the good parts' images (its {quantity_words} on the part is {value}, "
        "theirs have "
        "{low} to {high}): {look_words}"
    ),
    mark("brightness"),
    mark("contrast"),
    mark("sharpness"),
    mark("red"),
    mark("blue"),
    mark("darker"),
    mark("brighter"),
    mark("lower in contrast"),
    mark("higher in contrast"),
    mark("less sharp"),
    mark("sharper"),
    mark("less red"),
    mark("redder"),
    mark("less blue"),
    mark("bluer"),
    mark("{share}% darker"),
    mark("{share}% brighter"),
    mark("{share}% lower in contrast"),
    mark("{share}% higher in contrast"),
    mark("{share}% less sharp"),
    mark("{share}% sharper"),
    mark("{share}% less red"),
    mark("{share}% redder"),
    mark("{share}% less blue"),
    mark("{share}% bluer"),
    mark("look at the lamp, the exposure and the lens"),
    mark("look at the lamp, at light from outside, and for dirt on the lens"),
    mark("look at the focus, the distance, and for dirt on the lens"),
    mark("look at the colour of the lamp and the camera's white balance"),
)
_SCORE: Final = (
    mark("the score {score} is at or above the limit {limit} too: it may be the part itself"),
    mark("score {score} is at or above the limit {limit}"),
    mark("score {score} is at or above the limit {limit}, seen in {view_words}"),
    mark("to be reviewed: score {score} is in the band from {begin} to the limit {limit}"),
    mark("to be reviewed: score {score} is in the band from {begin} to the limit {limit}, seen in {view_words}"),
    mark("seen in {view_words}"),
    mark("the part at full size"),
    mark("the part at full size, in one colour"),
    mark("the part as a whole"),
    mark("brightness and colour"),
    mark("what the autoencoder would repair"),
)
_RENDERED: Final = (
    mark("good"),
    mark("BUBBLE {size} px {contrast}"),
    mark("RESIDUE {size} px {contrast}"),
    mark("HALO {size} px {contrast}"),
    mark("SCRATCH {size} px {contrast}"),
)

IMAGE: Final = (*_RECEIVED, *_FORMAT, *_BMP, *_JPEG, *_PNG, *_LAY, *_CONDITION, *_SCORE, *_RENDERED)
