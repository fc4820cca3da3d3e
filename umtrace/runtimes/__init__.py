"""What this host knows of its containers: paths of cgroups, and the files of the runtimes."""
