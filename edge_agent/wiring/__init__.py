"""From line.toml to live things. The only room that names concrete drivers."""
