"""The user's own data: image, mesh, volume, scene and signal files, checked and brought into the tasks' form."""
