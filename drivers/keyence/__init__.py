"""KEYENCE CV-X: its command port, its image names, its FTP push, its drop folder."""
