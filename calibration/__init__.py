"""Good images in, reference bundle out; and the evaluation of the result on labelled images."""
