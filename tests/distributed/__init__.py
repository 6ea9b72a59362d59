"""A deployment of several machines, all of them this one: it is put to work, loses parts of itself, and is audited."""
