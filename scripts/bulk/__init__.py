"""Slices by the million without a server: listed once, scored in shards by any number of processes, then gathered."""
