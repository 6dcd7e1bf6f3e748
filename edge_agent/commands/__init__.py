"""The command line: parse, call, print, exit code. Each file is one command and its options."""
