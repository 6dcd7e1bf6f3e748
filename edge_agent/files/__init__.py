"""Files that anybody may have written: read within bounds; and whose the files of a line are."""
